"""Folders that go away: unplugged, emptied, silent. Nothing is taken for deleted that is not, and all comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import QUICK, Shell, draw
from faults import IMPATIENT, disk, silent, unplugged
from photoindex.errors import DiskGone
from photoindex.models.registry import load_registry
from photoindex.scan import ScanOptions
from photoindex.scan.run import scan
from photoindex.store.library import Library
from terminal import on_terminal
from test_scan_kill import contents, group_is_gone, many_photos, photos_in, wait_for_photos

Register = Callable[["subprocess.Popen[bytes]"], "subprocess.Popen[bytes]"]


def small_photos(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(first, first + count):
        draw(n, (64, 48)).save(folder / f"beach {n}.png")
    return folder


def files(run: Shell) -> list[tuple[Any, ...]]:
    return run.rows("SELECT * FROM files ORDER BY path") + run.rows("SELECT * FROM ledger ORDER BY ALL")


def status(run: Shell) -> Any:
    return run("status", "--format", "json").json


# --- between scans --------------------------------------------------------------------------------------------------


def test_a_folder_that_lost_most_of_its_pictures_is_a_question_and_nothing_is_changed(
    run: Shell, tmp_path: Path
) -> None:
    photos = small_photos(tmp_path / "photos", 8)
    small_photos(photos / "disk", 24, 100)
    run.scan(photos)
    before = files(run)
    shutil.move(photos / "disk", tmp_path / "away")
    ran = run("scan", photos, *QUICK, code=16)
    assert "Of the 32 pictures known in" in ran.err
    assert "24 are not there any more" in ran.err
    assert "--accept-missing" in ran.err
    assert files(run) == before
    assert len(run("search", "beach", "--mode", "keyword", "--limit", "99", "--format", "json").json) == 32
    assert run.scan(photos, "--accept-missing")["missing"] == 24
    hits = run("search", "beach", "--mode", "keyword", "--limit", "99", "--format", "json").json
    assert sum(hit["missing"] for hit in hits) == 24
    shutil.move(tmp_path / "away", photos / "disk")
    report = run.scan(photos)
    assert (report["due"], report["missing"], status(run)["missing"]) == (0, 0, 0)


def test_a_few_deleted_pictures_and_a_folder_that_was_moved_by_copying_are_no_question(
    run: Shell, tmp_path: Path
) -> None:
    photos = small_photos(tmp_path / "photos", 19)
    run.scan(photos)
    shutil.rmtree(photos)
    small_photos(photos, 1)  # the only one left of 19: too few to stop for
    assert run.scan(photos)["missing"] == 18
    small_photos(photos / "2023", 30, 100)
    run.scan(photos)
    shutil.copytree(photos / "2023", photos / "2024")
    shutil.rmtree(photos / "2023")
    report = run.scan(photos)
    assert (report["missing"], report["due"], report["steps"]) == (30, 30, {})


def test_on_a_terminal_the_question_is_asked(run: Shell, tmp_path: Path) -> None:
    photos = small_photos(tmp_path / "photos", 2)
    run.scan(photos)
    with unplugged(photos):
        for word, code, missing in ((b"n\n", 16, 0), (b"y\n", 0, 2)):

            def answer(unanswered: bytes, word: bytes = word) -> bytes:
                return word if b"Are they really gone?" in unanswered else b""

            told = on_terminal(run, "scan", str(photos), *QUICK, answer=answer, code=code)
            assert "2 were known there" in told
            assert status(run)["missing"] == missing


def test_a_yes_is_for_the_folder_that_was_asked_about_alone(run: Shell, tmp_path: Path) -> None:
    mine, stick = small_photos(tmp_path / "a", 2), small_photos(tmp_path / "b", 3, 10)
    run.scan(mine, str(stick))
    words = [b"y\n", b"n\n", b"y\n", b"y\n"]

    def answer(unanswered: bytes) -> bytes:
        return words.pop(0) if b"Are they really gone?" in unanswered else b""

    with unplugged(mine), unplugged(stick):
        for code, missing in ((16, 0), (0, 5)):
            told = on_terminal(run, "scan", str(mine), str(stick), *QUICK, answer=answer, code=code)
            assert "2 were known there" in told
            assert "3 were known there" in told
            assert status(run)["missing"] == missing


def test_a_disk_unplugged_from_within_the_folder_is_noticed_by_its_empty_place(run: Shell, tmp_path: Path) -> None:
    photos = small_photos(tmp_path / "photos", 9)
    with disk(photos / "card"):
        small_photos(photos / "card" / "2023", 3, 100)
        run.scan(photos)
    ran = run("scan", photos, *QUICK, code=16)
    assert f"{photos / 'card'} is empty, but 3 pictures were known there" in ran.err
    assert status(run)["missing"] == 0
    assert run.scan(photos, "--accept-missing")["missing"] == 3
    with disk(photos / "card"):
        small_photos(photos / "card" / "2023", 3, 100)
        assert run.scan(photos)["steps"] == {}
        assert status(run)["missing"] == 0


def test_a_disk_unplugged_while_watching_is_noticed_however_few_its_pictures_are(
    library: Library, tmp_path: Path
) -> None:
    photos = small_photos(tmp_path / "photos", 9)
    small_photos(photos / "trip", 1)
    options = ScanOptions(steps=("metadata",), workers=1)
    registry = load_registry(None)
    with disk(photos / "card"):
        small_photos(photos / "card" / "2023", 3, 100)
        scan(library, [str(photos)], registry, library.folder, options)
    touched = {str(photos / "card"): True, str(photos / "card" / "2023"): True}
    with pytest.raises(DiskGone, match="3 pictures were known there"):
        scan(library, [str(photos)], registry, library.folder, replace(options, only={str(photos): touched}))
    assert library.queries.status().missing == 0
    (photos / "trip" / "beach 0.png").unlink()  # a folder emptied on the same disk is no question, then
    part = replace(options, only={str(photos): {str(photos / "trip"): False}})
    assert scan(library, [str(photos)], registry, library.folder, part).missing == 1


def test_an_emptied_folder_of_the_same_disk_is_no_question(run: Shell, tmp_path: Path) -> None:
    photos = small_photos(tmp_path / "photos", 9)
    small_photos(photos / "trip", 3, 100)
    run.scan(photos)
    shutil.rmtree(photos / "trip")
    (photos / "trip").mkdir()
    assert run.scan(photos)["missing"] == 3


def test_photos_of_an_unplugged_folder_are_offline_stay_searchable_and_come_back_by_themselves(
    run: Shell, tmp_path: Path
) -> None:
    photos, others = small_photos(tmp_path / "photos", 2), small_photos(tmp_path / "others", 1, 100)
    run.scan(photos, others)

    def offline() -> dict[str, bool]:
        hits = run("search", "beach", "--mode", "keyword", "--format", "json").json
        return {os.path.basename(hit["path"]): hit["offline"] for hit in hits}

    with unplugged(photos):
        assert offline() == {"beach 0.png": True, "beach 1.png": True, "beach 100.png": False}
        assert "(offline)" in run("search", "beach", "--mode", "keyword").text
        assert status(run)["offline"] == {str(photos): "it is empty"}
    with silent(photos):
        assert offline() == {"beach 0.png": True, "beach 1.png": True, "beach 100.png": False}
        assert status(run)["offline"] == {str(photos): "it does not answer"}
    assert not any(offline().values())
    assert status(run)["offline"] == {}


def test_of_several_files_of_a_photo_one_in_reach_is_shown(run: Shell, tmp_path: Path) -> None:
    disk_a, disk_b = small_photos(tmp_path / "a", 2), tmp_path / "b"
    shutil.copytree(disk_a, disk_b)
    run.scan(disk_a, disk_b)

    def shown() -> list[tuple[str, bool]]:
        hits = run("search", "beach", "name:*0.png", "--mode", "keyword", "--format", "json").json
        return [(hit["path"], hit["offline"]) for hit in hits]

    def files_of(photo: str) -> list[tuple[str, bool, bool]]:
        found = run("show", photo, "--format", "json").json["files"]
        return [(file["path"], file["missing"], file["offline"]) for file in found]

    in_a, in_b = str(disk_a / "beach 0.png"), str(disk_b / "beach 0.png")
    assert shown() == [(in_a, False)]
    assert files_of(in_a) == [(in_a, False, False), (in_b, False, False)]
    with unplugged(disk_a):
        assert shown() == [(in_b, False)]
        assert files_of(in_a) == [(in_b, False, False), (in_a, False, True)]
        assert "a/beach 0.png  (offline)" in run("show", in_a).text
        run("export", "name:*0.png", "--to", "folder", "--output", tmp_path / "out")
        assert (tmp_path / "out" / "beach 0.png").read_bytes() == (disk_b / "beach 0.png").read_bytes()
        with unplugged(disk_b):
            assert shown() == [(in_a, True)]
    (disk_a / "beach 0.png").unlink()
    run.scan(disk_a)
    assert files_of(in_b) == [(in_b, False, False), (in_a, True, False)]
    with unplugged(disk_b):  # what is only away comes before what is gone
        assert shown() == [(in_b, True)]


# --- in the middle of a scan ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_folder_unplugged_in_the_middle_of_a_scan_stops_it_and_the_same_command_goes_on(
    run: Shell, tmp_path: Path, ended: Register
) -> None:
    photos = many_photos(tmp_path / "many", 300)
    process = ended(run.start("scan", photos, *QUICK, "--batch-size", "4"))
    wait_for_photos(run, process, 1)
    with unplugged(photos):
        err = process.communicate()[1].decode()
        assert process.returncode == 15, err
        assert f"The folder {photos} cannot be reached any more: it is empty." in err
        had = photos_in(run)
        assert 0 < had < 300, "the scan was over too soon to show anything"
        assert run.rows("SELECT count(*) FROM files WHERE code IS NOT NULL") == [(0,)]
        assert run.rows("SELECT outcome FROM runs") == [("failed",)]
        run("scan", photos, *QUICK, code=16)
        assert photos_in(run) == had
    assert run.scan(photos)["analysed"] == 300 - had
    run("scan", photos, *QUICK, "--library", tmp_path / "calm")
    assert contents(run.open()) == contents(Library.open(tmp_path / "calm"))


# --- a folder that does not answer ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_folder_whose_server_is_silent_is_said_and_nothing_is_changed(
    run: Shell, tmp_path: Path, ended: Register
) -> None:
    photos = small_photos(tmp_path / "photos", 4)
    inner = small_photos(photos / "share", 4, 100)
    run.scan(photos)
    before = files(run)
    with silent(photos):
        process = ended(run.start("scan", photos, *QUICK, script=IMPATIENT))
        err = process.communicate(timeout=300)[1].decode()
        assert process.returncode == 15, err
        assert f"Cannot read the folder {photos}: it does not answer." in err
    with silent(inner):
        process = ended(run.start("scan", photos, *QUICK, script=IMPATIENT))
        err = process.communicate(timeout=300)[1].decode()
        assert process.returncode == 15, err
        assert f"The folder {inner} cannot be reached any more: it does not answer." in err
    assert files(run) == before
    assert run.scan(photos)["due"] == 0


def test_ctrl_c_works_while_a_folder_does_not_answer(run: Shell, tmp_path: Path, ended: Register) -> None:
    photos = small_photos(tmp_path / "photos", 4)
    inner = small_photos(photos / "share", 4, 100)
    with silent(inner):
        process = ended(run.start("scan", photos, *QUICK))
        deadline = time.monotonic() + 300
        while not (run.folder / "writer.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=300)
        assert process.returncode == 130
    assert run.scan(photos)["analysed"] == 8


@pytest.mark.slow
def test_a_folder_that_falls_silent_in_the_middle_of_a_scan_ends_it_and_blames_no_photo(
    run: Shell, tmp_path: Path, ended: Register
) -> None:
    photos = many_photos(tmp_path / "many", 200)
    process = ended(run.start("scan", photos, *QUICK, "--batch-size", "4", script=IMPATIENT))
    wait_for_photos(run, process, 1)
    with silent(photos):
        err = process.communicate(timeout=300)[1].decode()
        assert process.returncode == 15, err
        assert f"The folder {photos} cannot be reached any more: it does not answer." in err
        assert group_is_gone(process, 120), "decode workers outlive the scan"
        had = photos_in(run)
        assert 0 < had < 200
        assert len(run("search", "format:jpeg", "--limit", "0", "-0").out.split(b"\0")) > 1
    assert run.scan(photos)["analysed"] == 200 - had
    run("scan", photos, *QUICK, "--library", tmp_path / "calm")
    assert contents(run.open()) == contents(Library.open(tmp_path / "calm"))
