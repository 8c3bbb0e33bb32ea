"""`photoindex scan`: what is read, what is remembered, and what is left alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import QUICK, Shell, draw, exif
from photoindex.config import read_settings
from photoindex.errors import RuntimeUnavailable
from photoindex.models.registry import load_registry
from photoindex.records import View
from photoindex.runtimes.attendant import STUCK
from photoindex.scan import ScanOptions, scan
from photoindex.store.library import Library

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>{}</rdf:li></rdf:Bag>
</dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""


def snapshot(folder: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything that a program could change in a folder, but for the times of access."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for where, folders, files in os.walk(os.fsencode(folder)):
        for name in [*folders, *files]:
            path = os.path.join(where, name)
            stat = os.lstat(path)
            content = Path(os.fsdecode(path)).read_bytes() if name in files else None
            found[path] = (content, stat.st_mtime_ns, stat.st_mode, stat.st_ino, stat.st_nlink, stat.st_uid)
    return found


def ledger(run: Shell, where: str = "true") -> list[tuple[Any, ...]]:
    return run.rows(f"SELECT photo_id, step, status, version, done_at FROM ledger WHERE {where} ORDER BY ALL")


def found(run: Shell, *query: str | Path) -> list[str]:
    return [hit["path"] for hit in run("search", *query, "--mode", "keyword", "--format", "json").json]


def status(run: Shell) -> Any:
    return run("status", "--format", "json").json


# --- what a scan does -----------------------------------------------------------------------------------------------


def test_a_first_scan_analyses_every_photo_once_and_its_copies_not_again(run: Shell, photos: Path) -> None:
    report = run.scan(photos, code=1)
    assert (report["found"], report["unchanged"], report["failed"]) == (12, 0, 1)
    done = {step: counts["done"] for step, counts in report["steps"].items() if "done" in counts}
    assert done == {"metadata": 10, "place": 10, "thumbnail": 10, "hash": 10}
    now = status(run)
    assert (now["files"], now["photos"], now["states"]) == (12, 11, {"partial": 10, "failed": 1})
    assert run.rows("SELECT photo_id, step FROM ledger GROUP BY ALL HAVING count(*) > 1") == []
    assert len([*run.folder.glob("cache/thumbnails/*/*/*.jpg")]) == 10


def test_a_broken_file_is_one_failure_and_the_rest_is_done(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    [failure] = run("failures", "--format", "json").json
    assert failure["path"] == str(photos / "broken.jpg")
    assert failure["code"] in {"truncated", "damaged", "not_a_picture"}
    assert failure["message"].endswith(".")


def test_a_file_that_cannot_be_decoded_is_not_read_at_every_scan(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    report = run.scan(photos)
    assert (report["due"], report["unchanged"], report["failed"]) == (0, 12, 0)


def test_rescanning_an_unchanged_folder_does_no_work(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    before = ledger(run), run.rows("SELECT * EXCLUDE (message) FROM files ORDER BY path")
    report = run.scan(photos)
    assert (report["found"], report["unchanged"], report["due"], report["analysed"]) == (12, 12, 0, 0)
    assert (ledger(run), run.rows("SELECT * EXCLUDE (message) FROM files ORDER BY path")) == before


def test_rescanning_an_unchanged_folder_loads_neither_torch_nor_lancedb(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    script = (
        "import sys\nfrom photoindex.cli import main\n"
        f"sys.argv = ['photoindex', 'scan', {str(photos)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        "print(code, [m for m in ('torch', 'lancedb', 'cv2', 'rapidocr', 'transformers') if m in sys.modules])"
    )
    script = script.replace("'scan', ", "'scan', '--steps', 'metadata,place,thumbnail,hash', ")
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == "0 []", ran.stderr


def test_photos_are_never_written(run: Shell, photos: Path) -> None:
    (photos / "plain.xmp").write_text(XMP.format("kept"))
    (photos / "plain.bmp").chmod(0o444)
    before = snapshot(photos)
    run.scan(photos, code=1)
    run.scan(photos, "--rescan", "thumbnail", "--retry-failed", code=1)
    run("search", "beach", "--mode", "keyword")
    run("dupes")
    run("show", photos / "beach.webp")
    assert snapshot(photos) == before


def test_a_library_may_lie_below_its_own_photos(run: Shell, photos: Path) -> None:
    run("scan", photos, *QUICK, "--library", photos / "index", code=1)
    again = run("scan", photos, *QUICK, "--library", photos / "index", "--format", "json").json
    assert (again["found"], again["due"]) == (12, 0)


# --- what changed on disk -------------------------------------------------------------------------------------------


def test_a_renamed_file_and_a_renamed_folder_keep_everything_unread(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    before = ledger(run)
    (photos / "beach.webp").rename(photos / "holiday.webp")
    (photos / "2023" / "trip").rename(photos / "france")
    report = run.scan(photos)
    assert (report["moved"], report["missing"], report["due"]) == (3, 0, 0)
    assert ledger(run) == before
    assert found(run, "holiday") == [str(photos / "holiday.webp")]
    assert found(run, "france", "--camera", "kamera") == [str(photos / "france" / "paris.jpg")]
    assert found(run, "beach") == [str(photos / "beach small.gif")]  # its former name is forgotten
    assert status(run)["files"] == 12


def test_a_photo_renamed_together_with_its_sidecar_is_not_read_again(run: Shell, photos: Path) -> None:
    (photos / "beach.xmp").write_text(XMP.format("Sylt"))
    run.scan(photos, code=1)
    before = ledger(run)
    (photos / "beach.webp").rename(photos / "sea.webp")
    (photos / "beach.xmp").rename(photos / "sea.xmp")
    assert run.scan(photos)["due"] == 0
    assert ledger(run) == before
    assert found(run, "sylt") == [str(photos / "sea.webp")]


def test_a_photo_renamed_away_from_its_sidecar_loses_what_that_said(run: Shell, photos: Path) -> None:
    (photos / "beach.xmp").write_text(XMP.format("Sylt"))
    run.scan(photos, code=1)
    (photos / "beach.webp").rename(photos / "sea.webp")
    assert run.scan(photos)["due"] == 1
    assert found(run, "sylt") == []
    assert found(run, "sea") == [str(photos / "sea.webp")]


def test_a_file_renamed_over_another_takes_its_place(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    (photos / "beach.webp").rename(photos / "large.jpg")
    report = run.scan(photos)
    assert (report["moved"], report["due"], report["missing"]) == (1, 0, 0)
    assert run("show", photos / "large.jpg", "--format", "json").json["metadata"]["format"] == "WEBP"
    assert status(run)["files"] == 11


def test_a_new_copy_of_a_known_photo_is_not_analysed(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    before = ledger(run)
    shutil.copyfile(photos / "beach.webp", photos / "beach again.webp")
    run.scan(photos)
    assert ledger(run) == before
    shown = run("show", photos / "beach again.webp", "--format", "json").json
    assert [file["path"] for file in shown["files"]] == [str(photos / "beach again.webp"), str(photos / "beach.webp")]


def test_a_new_copy_of_a_half_analysed_photo_gets_it_analysed(run: Shell, photos: Path) -> None:
    """The known file is out of reach of this scan, so that only the copy can tell what the photo looks like."""
    run("scan", photos, "--steps", "metadata", code=None)
    other = photos.parent / "other"
    other.mkdir()
    shutil.copyfile(photos / "beach.webp", other / "copy.webp")
    report = run.scan(other)
    assert report["steps"]["hash"] == {"done": 1}
    assert status(run)["steps"]["hash"] == {"done": 1}


def test_changed_content_is_analysed_anew(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    old = run("show", photos / "plain.bmp", "--format", "json").json
    draw(77, (400, 300)).save(photos / "plain.bmp")
    assert run.scan(photos)["analysed"] == 1
    new = run("show", photos / "plain.bmp", "--format", "json").json
    assert new["photo"] != old["photo"]
    assert (new["metadata"]["width"], new["state"]) == (400, "partial")
    assert run.scan(photos)["due"] == 0


def test_a_file_changed_while_its_old_content_was_due_becomes_readable_at_once(run: Shell, photos: Path) -> None:
    run("scan", photos, "--steps", "metadata", code=None)
    draw(78).save(photos / "plain.bmp")
    assert run.scan(photos)["steps"]["hash"] == {"done": 10}
    assert [failure["path"] for failure in run("failures", "--format", "json").json] == [str(photos / "broken.jpg")]
    assert run("show", photos / "plain.bmp", "--format", "json").json["state"] == "partial"
    assert run.scan(photos)["due"] == 0


def test_a_sidecar_that_comes_changes_or_goes_makes_the_metadata_due(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    hashed = ledger(run, "step = 'hash'")
    sidecar = photos / "beach.xmp"
    for word in ("Juist", "Wangerooge", None):
        sidecar.write_text(XMP.format(word)) if word else sidecar.unlink()
        report = run.scan(photos)
        assert report["steps"]["metadata"] == {"done": 1}
        assert set(report["steps"]) <= {"metadata", "place"}
        assert found(run, "juist") == ([str(photos / "beach.webp")] if word == "Juist" else [])
    assert ledger(run, "step = 'hash'") == hashed


def test_a_deleted_file_is_missing_stays_searchable_and_comes_back_unread(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    before = ledger(run)
    away = photos.parent / "away.webp"
    (photos / "beach.webp").rename(away)
    assert run.scan(photos)["missing"] == 1
    hits = run("search", "beach", "--mode", "keyword", "--format", "json").json
    assert {hit["path"]: hit["missing"] for hit in hits} == {
        str(photos / "beach.webp"): True,
        str(photos / "beach small.gif"): False,
    }
    away.rename(photos / "beach.webp")
    assert run.scan(photos)["due"] == 0
    assert ledger(run) == before
    assert status(run)["missing"] == 0


def test_an_empty_root_is_an_error_and_nothing_is_changed(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    before = run.rows("SELECT * FROM files ORDER BY path"), ledger(run), run.rows("SELECT * FROM runs")
    photos.rename(photos.parent / "elsewhere")
    photos.mkdir()
    ran = run("scan", photos, *QUICK, code=16)
    assert "12 were known there" in ran.err
    assert (run.rows("SELECT * FROM files ORDER BY path"), ledger(run), run.rows("SELECT * FROM runs")) == before
    assert run.scan(photos, "--accept-missing")["missing"] == 12
    assert status(run)["photos"] == 11


def test_a_folder_that_never_held_pictures_is_no_error(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run.scan(tmp_path / "empty")["found"] == 0


def test_patterns_do_not_make_the_other_files_missing(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    for pattern in (("--include", "*.png"), ("--include", "*.heic"), ("--exclude", "2023"), ("--exclude", "*.JPG")):
        assert run.scan(photos, *pattern)["missing"] == 0
    assert status(run)["missing"] == 0


def test_a_scan_of_a_subfolder_does_not_make_the_other_files_missing(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    report = run.scan(photos / "2023", photos / "2023" / "trip")
    assert (report["found"], report["missing"]) == (7, 0)


# --- options --------------------------------------------------------------------------------------------------------


def test_limit_analyses_so_many_photos_and_the_next_scan_the_others(run: Shell, photos: Path) -> None:
    (photos / "broken.jpg").unlink()
    assert run.scan(photos, "--limit", "3")["analysed"] == 3
    assert run.scan(photos, "--limit", "0")["analysed"] == 0
    assert run.scan(photos)["analysed"] == 8
    assert status(run)["files"] == 11


def test_steps_run_alone_and_the_others_are_done_later(run: Shell, photos: Path) -> None:
    (photos / "broken.jpg").unlink()
    first = run("scan", photos, "--steps", "metadata", "--format", "json").json
    assert first["steps"] == {"metadata": {"done": 10}}
    place = run("scan", photos, "--steps", "place", "--format", "json").json
    assert place["steps"] == {"place": {"done": 10}}
    rest = run.scan(photos)
    assert rest["steps"] == {"thumbnail": {"done": 10}, "hash": {"done": 10}}


def test_rescan_does_one_step_again(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    others = ledger(run, "step <> 'hash' AND status = 'done'")
    hashed = ledger(run, "step = 'hash'")
    assert run.scan(photos, "--rescan", "hash")["steps"] == {"hash": {"done": 10}}
    assert ledger(run, "step <> 'hash' AND status = 'done'") == others
    assert not set(ledger(run, "step = 'hash'")) & set(hashed)


def test_retry_failed_tries_again_what_failed_and_nothing_else(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    done = ledger(run, "status = 'done'")
    assert run.scan(photos, "--retry-failed", code=1)["analysed"] == 1
    assert ledger(run, "status = 'done'") == done


def test_a_dry_run_counts_and_changes_nothing(run: Shell, photos: Path) -> None:
    ran = run("scan", photos, *QUICK, "--dry-run")
    assert "to analyse  12" in ran.text
    assert not run.home.exists()
    run.scan(photos, code=1)
    shutil.copyfile(photos / "beach.webp", photos / "new.webp")
    (photos / "plain.bmp").unlink()
    before = snapshot(run.home)
    report = run.scan(photos, "--dry-run")
    assert (report["due"], report["missing"], report["analysed"]) == (1, 1, 0)
    assert snapshot(run.home) == before


def test_a_dry_run_knows_what_rescan_and_retry_failed_would_do(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    (photos / "beach.xmp").write_text(XMP.format("Sylt"))
    assert run.scan(photos, "--dry-run")["due"] == 1
    assert run.scan(photos, "--dry-run", "--rescan", "hash")["due"] == 10
    assert run.scan(photos, "--dry-run", "--retry-failed")["due"] == 2


# --- odd files ------------------------------------------------------------------------------------------------------


def test_names_of_any_bytes_work_end_to_end(run: Shell, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "odd")
    names = [
        b"line\nbreak.jpg",
        b"not utf-8 \xff\xfe.jpg",
        "emoji \N{SLICE OF PIZZA}.jpg".encode(),
        b"-rf.jpg",
        b"$(x) 'q'.jpg",
        b"e\x1b[31mred.jpg",
        b"[bold]markup :pizza:.jpg",
        b"n" * 251 + b".jpg",
    ]
    os.mkdir(folder)
    for n, name in enumerate(names):
        with open(os.path.join(folder, name), "wb") as file:
            draw(20 + n).save(file, "JPEG", exif=exif("2024:01:01 00:00:00"))
    assert run.scan(tmp_path / "odd")["analysed"] == len(names)
    assert run.scan(tmp_path / "odd")["due"] == 0
    ran = run("search", "--after", "2024", "--limit", "50", "-0")
    assert sorted(ran.out.split(b"\0")) == sorted([b"", *(os.path.join(folder, name) for name in names)])
    table = run("search", "--after", "2024").text
    assert "\x1b" not in table
    assert "e\\x1b[31mred.jpg" in table
    assert "line\\nbreak.jpg" in table
    assert "not utf-8 \\xff\\xfe.jpg" in table
    assert "[bold]markup :pizza:.jpg" in table
    shown = run("show", os.fsdecode(os.path.join(folder, names[1])), "--format", "json").json
    assert os.fsencode(shown["files"][0]["path"]) == os.path.join(folder, names[1])


def test_failures_print_names_as_they_are_but_no_control_characters(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "x :smile: [red]\x1b[2J.jpg").write_bytes(b"no picture")
    run.scan(tmp_path / "odd", code=1)
    text = run("failures").text
    assert "x :smile: [red]\\x1b[2J.jpg" in text
    assert "\x1b" not in text


def test_a_file_that_takes_too_long_costs_only_itself(run: Shell, tmp_path: Path) -> None:
    """A worker that is ended over one file has done nothing wrong to the others that it held."""
    folder = tmp_path / "slow"
    folder.mkdir()
    for n in range(6):
        draw(40 + n).save(folder / f"{n}.jpg")
    draw(46, (12_000, 9_000)).save(folder / "3 huge.png", compress_level=1)
    options = ScanOptions(
        steps=("metadata", "thumbnail", "hash"), workers=2, batch_size=3, time_limit_s=0.5, profile="fast"
    )
    with Library.writing(tmp_path / "library") as library:
        report = scan(library, [str(folder)], load_registry(None), read_settings().models_dir, options)
        [failure] = library.queries.failures()
    assert (failure.path, failure.code) == (str(folder / "3 huge.png"), "time_limit")
    assert (report.analysed, report.failed, report.steps["hash"]) == (7, 1, {"done": 6})


def test_a_step_without_weights_says_how_to_get_them_and_runs_once_they_are_there(
    tiny_clip: Shell, photos: Path
) -> None:
    run = tiny_clip
    registry = run.home / "models.toml"
    blocks = registry.read_text()
    registry.write_text(
        '[models.absent]\ntask = "embedding"\narchitecture = "ViT-B-32"\nlicence = "MIT"\ncommercial = true\n'
        'files = [{ name = "w.safetensors", url = "https://example.org/w.safetensors" }]\n'
        '[profiles.tiny]\nembedding = "absent"\n'
    )
    (photos / "broken.jpg").unlink()
    arguments = ("scan", photos, "--steps", "hash,embedding", "--profile", "tiny")
    ran = run(*arguments)
    assert "photoindex models pull absent" in ran.err
    assert status(run)["steps"]["embedding"] == {"skipped": 10}
    assert status(run)["states"] == {"partial": 10}
    registry.write_text(blocks)
    assert run(*arguments, "--format", "json").json["steps"] == {"embedding": {"done": 10}}
    assert status(run)["states"] == {"partial": 10}  # six other steps were not asked for


# --- wrong input ----------------------------------------------------------------------------------------------------


def test_wrong_folders_get_one_sentence_and_make_no_library(run: Shell, photos: Path) -> None:
    gone = run("scan", photos / "nowhere", code=15)
    assert gone.err == f"photoindex: No folder at {photos / 'nowhere'}. Is the disk plugged in, or the name misspelt?\n"
    file = run("scan", photos / "beach.webp", code=15)
    assert "is a file" in file.err
    assert "--include 'beach.webp'" in file.err
    assert not run.home.exists()


def test_unknown_steps_and_profiles_are_named_beside_those_that_exist_and_make_no_library(
    run: Shell, photos: Path
) -> None:
    for arguments in (("--steps", "metadata,smell"), ("--rescan", "smell")):
        ran = run("scan", photos, *arguments, code=17)
        assert "'smell'" in ran.err
        assert "metadata, place, thumbnail" in ran.err
    ran = run("scan", photos, "--profile", "cheap", code=17)
    assert "'cheap'" in ran.err
    assert "quality" in ran.err
    assert not run.home.exists()


def test_the_library_itself_is_not_scanned(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    assert "is the library itself" in run("scan", run.folder, code=2).err


def test_an_unreadable_folder_is_reported_and_its_files_stay(run: Shell, photos: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every folder")
    run.scan(photos, code=1)
    (photos / "2023").chmod(0)
    try:
        report = run.scan(photos, code=1)
    finally:
        (photos / "2023").chmod(0o755)
    assert report["missing"] == 0
    assert [f["code"] for f in run("failures", "--format", "json").json if f["step"] == "walk"] == ["folder_unreadable"]


# --- steps that build on others, and what is asked for ----------------------------------------------------------------


@pytest.fixture
def sound(photos: Path) -> Path:
    """The photos without the broken one: ten pictures and a copy."""
    (photos / "broken.jpg").unlink()
    return photos


def test_a_step_whose_need_was_not_asked_for_stays_due(run: Shell, sound: Path) -> None:
    run("scan", sound, "--steps", "place")
    assert "place" not in status(run)["steps"]
    run("scan", sound, "--steps", "metadata,place")
    assert status(run)["steps"]["place"] == {"done": 10}


def test_doing_metadata_again_does_the_places_again(run: Shell, sound: Path) -> None:
    run("scan", sound, *QUICK)
    report = run("scan", sound, *QUICK, "--rescan", "metadata", "--format", "json").json
    assert report["steps"]["place"] == report["steps"]["metadata"] == {"done": 10}


def test_a_step_done_again_for_some_files_leaves_the_others_alone(run: Shell, sound: Path) -> None:
    run("scan", sound, *QUICK)
    arguments = ("scan", sound, *QUICK, "--rescan", "hash", "--include", "plain.bmp", "--format", "json")
    assert run(*arguments).json["steps"] == {"hash": {"done": 1}}
    assert run("scan", sound, *QUICK, "--format", "json").json["due"] == 0


def test_a_folder_given_by_two_names_is_scanned_once(run: Shell, sound: Path, tmp_path: Path) -> None:
    (tmp_path / "other name").symlink_to(sound)
    report = run("scan", sound, tmp_path / "other name", *QUICK, "--format", "json").json
    assert report["found"] == 11


def test_the_thumbnails_of_another_library_are_nobodys_photos(run: Shell, sound: Path, tmp_path: Path) -> None:
    run("scan", sound, *QUICK, "--library", sound / "lib")
    report = run("scan", sound, *QUICK, "--library", tmp_path / "second", "--format", "json").json
    assert report["found"] == 11


def test_the_other_copy_of_an_edited_photo_gets_what_is_due_at_once(run: Shell, sound: Path) -> None:
    run("scan", sound, "--steps", "metadata")
    draw(79).save(sound / "2023" / "copy of large.jpg")  # sorts before large.jpg, which still holds what is due
    assert run.scan(sound)["steps"]["hash"] == {"done": 11}
    assert run.scan(sound)["due"] == 0


def test_a_file_out_of_the_pattern_does_not_hide_its_copy(run: Shell, sound: Path) -> None:
    run("scan", sound, "--steps", "metadata")
    report = run("scan", sound, *QUICK, "--include", "large.jpg", "--format", "json").json
    assert report["steps"]["hash"] == {"done": 1}


def test_thumbnails_and_their_names_are_made_safe_before_they_count(
    run: Shell, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe: set[tuple[int, int]] = set()
    really = os.fsync

    def noted(handle: int) -> None:
        safe.add((os.fstat(handle).st_dev, os.fstat(handle).st_ino))
        really(handle)

    monkeypatch.setattr(os, "fsync", noted)
    run.scan(sound)
    thumbnails = [*run.folder.glob("cache/thumbnails/*/*/*")]
    assert len(thumbnails) == 10
    for path in (*thumbnails, *(thumbnail.parent for thumbnail in thumbnails)):
        assert (path.stat().st_dev, path.stat().st_ino) in safe, path


# --- memory ---------------------------------------------------------------------------------------------------------


def test_an_amount_of_memory_that_makes_no_sense_or_never_suffices_is_an_error(
    run: Shell, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'4' is no amount of memory. Write it with its unit" in run("scan", sound, "--max-memory", "4", code=2).err
    assert "--max-memory" in run("scan", sound, "--max-memory", "100M", "--dry-run", code=27).err
    monkeypatch.setenv("PHOTOINDEX_MAX_MEMORY", "100M")
    assert "may take 100M" in run("scan", sound, "--dry-run", code=27).err


def test_a_scan_that_ends_by_an_error_is_noted_as_failed(run: Shell, sound: Path) -> None:
    run("scan", sound, *QUICK, "--max-memory", "100M", code=27)
    assert run.rows("SELECT outcome, ended_at IS NULL FROM runs") == [("failed", False)]


def test_too_little_memory_to_do_a_step_again_forgets_nothing(run: Shell, sound: Path) -> None:
    run("scan", sound, *QUICK)
    before = ledger(run)
    run("scan", sound, *QUICK, "--rescan", "hash", "--max-memory", "100M", code=27)
    assert ledger(run) == before
    assert run.rows("SELECT outcome FROM runs") == [("finished",)]


def test_a_dry_run_shows_how_memory_is_shared(run: Shell, sound: Path) -> None:
    roomy = run("scan", sound, *QUICK, "--dry-run", "--max-memory", "8G")
    assert re.search(r"memory +\d.* of the 8G that it may take", roomy.text)
    assert "workers: 2" in roomy.text
    tight = run("scan", sound, *QUICK, "--dry-run", "--max-memory", "1.6G", "--format", "json").json["memory"]
    assert tight["workers"] == 1
    assert tight["bytes"] <= tight["budget"] == int(1.6 * 2**30)


def test_a_picture_too_large_for_the_memory_is_a_failure_until_there_is_more(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    draw(1).save(tmp_path / "photos" / "usual.png")
    Image.new("RGB", (7_000, 5_000), "teal").save(tmp_path / "photos" / "large.png", compress_level=1)
    report = run.scan(tmp_path / "photos", "--max-memory", "1.3G", code=1)
    assert report["steps"]["hash"] == {"done": 1}
    [failure] = run("failures", "--format", "json").json
    assert (failure["code"], os.path.basename(failure["path"])) == ("over_memory", "large.png")
    assert "35 megapixels, more than a scan may take (1.3G in all)" in failure["message"]
    assert "--retry-failed" in failure["message"]
    again = run.scan(tmp_path / "photos", "--max-memory", "8G", "--retry-failed")
    assert again["steps"]["hash"] == {"done": 1}


def test_large_pictures_are_decoded_by_one_worker_after_the_other(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for n in range(4):
        Image.new("RGB", (6_000, 5_000 + n), "navy").save(tmp_path / "photos" / f"{n}.png", compress_level=1)
    report = run.scan(tmp_path / "photos", "--max-memory", "8G", "--batch-size", "1")
    assert report["steps"]["hash"] == {"done": 4}
    assert (report["memory"]["workers"], report["failed"]) == (2, 0)


@pytest.fixture
def two_large_models(tiny_clip: Shell) -> Shell:
    """OCR, and an embedding model that claims so much that both do not fit into 3 GiB."""
    registry = tiny_clip.home / "models.toml"
    needs = "memory = { weights_mb = 500, picture_mb = { f32 = 1 } }\n"
    registry.write_text(registry.read_text().replace("width = 64\n", f"width = 64\n{needs}"))
    return tiny_clip


PASSES = ("--profile", "tiny", "--steps", "metadata,place,hash,ocr,embedding,tags", "--max-memory", "2300M")


@pytest.mark.slow
def test_models_that_do_not_fit_together_take_turns_over_the_same_photos(two_large_models: Shell, sound: Path) -> None:
    run = two_large_models
    ran = run("scan", sound, *PASSES, "--limit", "4", "--format", "json")
    passes = [set(one["models"]) for one in ran.json["memory"]["passes"]]
    assert sorted(map(len, passes)) == [1, 2]
    assert {"ocr"} in passes
    [line] = [note for note in ran.json["notes"] if "2 times" in note]
    assert line in ran.err
    assert "More --max-memory makes it one." in line
    assert (ran.json["analysed"], ran.json["failed"], ran.json["due"]) == (4, 0, 4)
    steps = ("metadata", "place", "hash", "ocr", "embedding", "tags")
    assert {step: counts["done"] for step, counts in ran.json["steps"].items()} == dict.fromkeys(steps, 4)
    assert run.rows("SELECT count(DISTINCT photo_id), count(*) FROM ledger WHERE status = 'done'") == [(4, 24)]


@pytest.mark.slow
def test_a_scan_stopped_between_passes_goes_on_with_what_is_left(two_large_models: Shell, sound: Path) -> None:
    run, seen = two_large_models, []
    settings = read_settings()
    options = ScanOptions(
        steps=("metadata", "ocr", "embedding"),
        profile="tiny",
        max_memory=2300 << 20,
        limit=3,
        progress=lambda moment: seen.append(moment.stage),
        stop=lambda: seen.count("analyse (1 of 2)") > 0,
    )
    registry = load_registry(settings.user_models)
    with Library.writing(settings.library) as library:
        first = scan(library, [str(sound)], registry, settings.models_dir, options)
        assert first.interrupted
        assert len(first.steps) == 2  # metadata, and the one model of the first pass
        again = scan(library, [str(sound)], registry, settings.models_dir, replace(options, stop=lambda: False))
    [left] = {"ocr", "embedding"} - set(first.steps)
    assert again.steps[left]["done"] == 3
    assert run.rows("SELECT step FROM ledger WHERE status <> 'done'") == []


class Dying:
    """A step with a model that works for three pictures and never again."""

    model, runtime, batch_size = "dying", "test-cpu-f32", 2
    views = (View("embedding", "crop", 48),)
    left = 3

    def run(self, pictures: list[Any], _: list[Any]) -> list[Any]:
        if self.left < len(pictures):
            raise RuntimeUnavailable("dying", "the device is gone")
        self.left -= len(pictures)
        return [np.ones(64, np.float16)] * len(pictures)

    def close(self) -> None:
        self.left = 0


@pytest.mark.slow
def test_a_model_that_dies_is_left_out_and_the_rest_goes_on(
    tiny_clip: Shell, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_clip
    arguments = ("scan", sound, "--profile", "tiny", "--steps", "metadata,hash,embedding", "--workers", "1")
    with monkeypatch.context() as patch:
        patch.setattr("photoindex.scan.steps.open_model_step", lambda *_: Dying())
        ran = run(*arguments, "--format", "json")
    assert ran.json["steps"]["hash"] == {"done": 10}
    assert ran.json["steps"]["embedding"] == {"done": 3, "skipped": 7}
    assert ran.json["skipped"]["embedding"]["code"] == "model_died"
    assert "the device is gone" in ran.json["skipped"]["embedding"]["message"]
    [line] = [note for note in ran.json["notes"] if "stopped working" in note]
    assert ran.err.count(line) == 1
    assert ran.json["failed"] == 0
    assert run.rows("SELECT DISTINCT runtime FROM ledger WHERE step = 'embedding' AND status = 'done'") == [
        ("test-cpu-f32",)
    ]
    assert run(*arguments, "--format", "json").json["steps"] == {"embedding": {"done": 7}}


def test_a_scan_beside_a_call_that_is_stuck_leaves_at_once_with_its_own_exit_code(run: Shell, sound: Path) -> None:
    """And the next scan of the same process works: this one ended none of what both need."""
    over = threading.Event()
    threading.Thread(target=over.wait, name=STUCK, daemon=True).start()
    try:
        assert run.scan(sound, "--limit", "3")["analysed"] == 3
        assert run.scan(sound)["analysed"] == 8
    finally:
        over.set()


class Choosy(Dying):
    """A step with a model that cannot take one picture, and is sound otherwise."""

    def run(self, pictures: list[Any], _: list[Any]) -> list[Any]:
        if any(picture.file.path.endswith("plain.bmp") for picture in pictures):
            raise RuntimeUnavailable("dying", "not this one")
        return [np.ones(64, np.float16)] * len(pictures)


def test_a_picture_that_a_model_cannot_take_fails_alone(
    tiny_clip: Shell, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoindex.scan.steps.open_model_step", lambda *_: Choosy())
    arguments = ("scan", sound, "--profile", "tiny", "--steps", "embedding", "--workers", "1", "--batch-size", "1")
    assert tiny_clip(*arguments, "--format", "json", code=1).json["steps"]["embedding"] == {"done": 9, "failed": 1}
