"""`photoindex scan`: what is read, what is remembered, and what is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import QUICK, Shell, draw, exif
from hostile_decoders import MARK, HostileBatches
from photoindex.config import read_settings
from photoindex.models.registry import load_registry
from photoindex.scan import ScanOptions, scan
from photoindex.store.library import Library
from scan_state import XMP, ledger, snapshot, status

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the decoder that hangs is written for Linux")
def test_a_file_that_takes_too_long_costs_only_itself(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is ended over one file has done nothing wrong to the others that it held."""
    folder = tmp_path / "slow"
    folder.mkdir()
    for n in range(7):
        draw(40 + n).save(folder / f"{n}.jpg")
    with (folder / "3.jpg").open("ab") as endless:
        endless.write(MARK + b"hang_with_the_lock")
    monkeypatch.setattr("photoindex.scan.loader.Batches", HostileBatches)
    limit_s = 6.0  # the others need a hundredth of it
    options = ScanOptions(
        steps=("metadata", "thumbnail", "hash"), workers=2, batch_size=3, time_limit_s=limit_s, profile="fast"
    )
    with Library.writing(tmp_path / "library") as library:
        report = scan(library, [str(folder)], load_registry(None), read_settings().models_dir, options)
        [failure] = library.queries.failures()
    assert (failure.path, failure.code) == (str(folder / "3.jpg"), "time_limit")
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
