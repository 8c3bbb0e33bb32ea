"""The numbers that a scan and `status` show: whoever adds them up gets what there is."""

from __future__ import annotations

import shutil
from pathlib import Path

from conftest import QUICK, Shell


def test_the_numbers_of_a_scan_add_up(run: Shell, photos: Path) -> None:
    report = run.scan(photos, code=1)
    thumbnails, undecoded = report["steps"]["thumbnail"]["done"], report["steps"]["decode"]["failed"]
    assert (report["found"], report["analysed"], report["copies"]) == (12, 12, 1)
    assert thumbnails + undecoded + report["copies"] == report["analysed"]
    shutil.copyfile(photos / "beach.webp", photos / "once more.webp")
    again = run.scan(photos)
    assert (again["found"], again["unchanged"], again["analysed"], again["copies"]) == (13, 12, 1, 1)
    assert run.scan(photos)["copies"] == 0


def test_a_scan_tells_copies_and_what_could_not_be_decoded_first(run: Shell, photos: Path) -> None:
    shown = run("scan", photos, *QUICK, code=1).text
    assert "copies     1 of these, analysed once with what they copy\n" in shown
    rows = [line.split() for line in shown.partition("skipped\n")[2].splitlines()]
    assert rows[:2] == [["decode", "1"], ["metadata", "10", "0", "0"]]
    (photos / "broken.jpg").unlink()
    shown = run("scan", photos, *QUICK).text
    assert "copies" not in shown
    assert "decode" not in shown


def test_the_numbers_of_status_add_up(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    status = run("status", "--format", "json").json
    assert status["photos"] + status["copies"] + status["unreadable"] == status["files"] == 12
    assert sum(status["states"].values()) == status["photos"]
    undecoded = status["states"]["failed"]
    for step in ("thumbnail", "hash", "ocr", "faces"):
        tried = sum(status["steps"].get(step, {}).values())
        assert tried + status["due"].get(step, 0) + undecoded == status["photos"], step
    assert status["due"] == dict.fromkeys(("ocr", "embedding", "tags", "faces"), 10)


def test_status_shows_steps_that_are_due_and_none_once_all_were_tried(run: Shell, photos: Path) -> None:
    run.scan(photos, "--limit", "0")
    assert run("status", "--format", "json").json["due"] == {}
    run.scan(photos, code=1)
    shown = run("status").text
    assert "files      12  (1 copy of another, 0 missing, 0 unreadable)\n" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["step", "done", "failed", "skipped", "due", "model"] in rows
    assert ["decode", "1"] in rows
    assert ["hash", "10", "0", "0", "0"] in rows
    assert ["ocr", "0", "0", "0", "10"] in rows
    shutil.rmtree(photos / "2023")
    run.scan(photos, "--accept-missing")
    assert run("status", "--format", "json").json["due"]["ocr"] == 4  # what is not there cannot be analysed


def test_a_scan_names_one_command_for_all_weights_that_are_missing(run: Shell, sound: Path) -> None:
    said = run("scan", sound, "--dry-run").err
    pull = "`photoindex models pull siglip2-b-32-256 insightface-buffalo-s`"
    assert said.count(f"All of these at once: {pull}\n") == 1
    assert said.count("did not run") == 2
    assert "All of these" not in run("scan", sound, "--dry-run", "--steps", "hash,faces").err


def test_where_there_are_no_pictures_nothing_is_said_of_models(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    said = run("scan", tmp_path / "none").err
    assert "No pictures there." in said
    assert "did not run" not in said
