"""`photoindex scan` after files have moved, come, changed and gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conftest import QUICK, Shell, draw
from photoindex.config import read_settings
from photoindex.models.registry import load_registry
from photoindex.records import Problem
from photoindex.scan import ScanOptions, scan
from photoindex.scan.options import ScanProgress
from photoindex.store import vectors
from photoindex.store.library import Library
from photoindex.store.vectors import DOCUMENTS
from scan_state import XMP, found, ledger, status

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


def test_a_scan_leaves_few_texts_outside_of_the_index_though_nothing_was_read(
    run: Shell, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search reads what the index lacks text by text, and a renamed folder gives each of its photos another one."""

    def outside() -> int:
        documents = run.open().vectors.snapshot(DOCUMENTS)
        return int(documents.stats.index_stats("text_idx")["num_unindexed_rows"])

    run.scan(photos, code=1)
    assert outside() > 5  # few: an index of so few pays for nobody
    monkeypatch.setattr(vectors, "_MAX_UNINDEXED", 5)
    (photos / "2023").rename(photos / "2024")
    assert run.scan(photos)["analysed"] == 0
    assert outside() == 0
    assert run("search", "2024", "--mode", "keyword", "--count").text == "7\n"


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


# --- problems that are over -----------------------------------------------------------------------------------------


def test_what_could_not_be_read_is_no_failure_any_more_once_it_has_gone(run: Shell, photos: Path) -> None:
    with open(photos / "sparse.jpg", "wb") as file:
        file.truncate(1 << 42)  # refused without reading it, so that nobody knows what it holds
    run.scan(photos, code=1)
    now = status(run)
    assert (now["failures"], now["unreadable"], now["states"]) == (2, 1, {"partial": 10, "failed": 1})
    assert "failures   2  see `photoindex failures`" in run("status").text
    (photos / "sparse.jpg").unlink()
    (photos / "broken.jpg").unlink()
    assert run.scan(photos)["missing"] == 2
    now = status(run)
    assert (now["failures"], now["unreadable"], now["states"]) == (0, 0, {"partial": 10, "missing": 1})
    assert (now["files"], now["missing"]) == (12, 1)  # of what was never read nothing is left to be missed
    assert "see `photoindex failures`" not in run("status").text


def test_a_known_photo_that_could_not_be_read_is_tried_again_by_the_next_scan(run: Shell, sound: Path) -> None:
    run.scan(sound)
    with Library.writing(run.folder) as library:
        known = library.catalog.known_files(str(sound))
        library.save([], [(known[str(sound / "beach.webp")].file, Problem("permission", "No permission."))])
    assert (status(run)["failures"], status(run)["unreadable"], status(run)["missing"]) == (1, 1, 0)
    before = ledger(run)
    report = run.scan(sound)
    assert (report["analysed"], report["failed"], report["steps"]) == (1, 0, {})
    assert (status(run)["failures"], status(run)["unreadable"]) == (0, 0)
    assert ledger(run) == before


def test_a_file_that_goes_before_it_is_read_is_no_problem(run: Shell, sound: Path) -> None:
    settings = read_settings()

    def shown(moment: ScanProgress) -> None:
        if moment.stage == "load models":  # the folders have been walked, and nothing was read yet
            (sound / "beach.webp").unlink(missing_ok=True)

    options = ScanOptions(steps=("metadata",), workers=1, progress=shown)
    with Library.writing(run.folder) as library:
        registry = load_registry(settings.user_models)
        report = scan(library, [str(sound)], registry, settings.models_dir, options)
    assert (report.found, report.due, report.analysed, report.failed) == (11, 11, 10, 0)
    now = status(run)
    assert (now["files"], now["missing"], now["failures"], now["unreadable"]) == (10, 0, 0, 0)
    assert (run.scan(sound)["found"], status(run)["missing"]) == (10, 0)
