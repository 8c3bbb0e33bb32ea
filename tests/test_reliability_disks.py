"""An index on a disk that is full or read-only, and rights that are lost: said, nothing harmed, resumed later."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import QUICK, Shell
from faults import LIKE_OTHER_USERS, disk, read_only
from photoindex.store.library import Library
from test_scan_kill import contents

Register = Callable[["subprocess.Popen[bytes]"], "subprocess.Popen[bytes]"]


def reads(run: Shell, query: str = "beach") -> None:
    """Everything that only asks works."""
    assert len(run("search", query, "--mode", "keyword", "--format", "json").json) > 0
    assert run("status", "--format", "json").json["photos"] == 11
    run("show", next(iter(run("search", query, "--mode", "keyword", "--format", "json").json))["path"])
    run("failures")
    run("sql", "SELECT count(*) FROM photos")
    run("dupes", "--format", "json")
    run("export", "--to", "csv")


def test_a_read_only_index_is_searched_and_says_why_it_cannot_be_written(run: Shell, photos: Path) -> None:
    run.home.mkdir()
    with disk(run.folder):
        run.scan(photos, code=1)
        before = contents(run.open())
        with read_only(run.folder):
            reads(run)
            for command in (
                ("scan", photos, *QUICK),
                ("collections", "create", "mine"),
                ("categories", "add", "a", "b"),
            ):
                ran = run(*command, code=14)
                assert ran.err.startswith(
                    f"photoindex: Cannot write to the library at {run.folder}: Read-only file system"
                )
                assert "Traceback" not in ran.err
        assert contents(run.open()) == before
        assert run.scan(photos)["due"] == 0
        run("collections", "create", "mine")


@pytest.mark.slow
def test_a_disk_that_becomes_read_only_in_the_middle_of_a_scan_loses_nothing(
    run: Shell, tmp_path: Path, ended: Register
) -> None:
    """As Linux does with a disk that reports errors."""
    from test_scan_kill import many_photos, photos_in, wait_for_photos

    photos = many_photos(tmp_path / "many", 200)
    run.home.mkdir()
    with disk(run.folder, "256m"):
        process = ended(run.start("scan", photos, *QUICK, "--batch-size", "4"))
        wait_for_photos(run, process, 1)
        with read_only(run.folder):
            err = process.communicate(timeout=300)[1].decode()
            assert process.returncode == 14, err
            assert "Read-only file system" in err
            assert "Traceback" not in err
            had = photos_in(run)
        assert 0 < had < 200
        assert run.scan(photos)["analysed"] == 200 - had
        run("scan", photos, *QUICK, "--library", tmp_path / "calm")
        assert contents(run.open()) == contents(Library.open(tmp_path / "calm"))


def as_other_user(run: Shell, ended: Register, *arguments: str | Path) -> tuple[int, bytes, str]:
    if os.geteuid() != 0:
        process = ended(run.start(*arguments))
    else:
        process = ended(run.start(*arguments, script=LIKE_OTHER_USERS))
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err.decode()


@pytest.mark.slow
def test_photos_and_folders_whose_rights_are_lost_fail_alone_and_come_back_by_themselves(
    run: Shell, photos: Path, ended: Register
) -> None:
    (photos / "broken.jpg").unlink()
    run.scan(photos)
    (photos / "beach.webp").write_bytes((photos / "beach.webp").read_bytes() + b"more")
    (photos / "beach.webp").chmod(0)
    (photos / "2023").chmod(0)
    try:
        code, _, err = as_other_user(run, ended, "scan", photos, *QUICK)
        assert code == 1, err
        assert "Traceback" not in err
        failures = {os.path.relpath(f["path"], photos): f["code"] for f in run("failures", "--format", "json").json}
        assert failures == {"beach.webp": "permission", "2023": "folder_unreadable"}
        assert run("status", "--format", "json").json["missing"] == 0
        photos.chmod(0)
        code, _, err = as_other_user(run, ended, "scan", photos, *QUICK)
        assert (code, err.strip()) == (15, f"photoindex: Cannot read the folder {photos}: Permission denied.")
    finally:
        for path in (photos, photos / "2023", photos / "beach.webp"):
            path.chmod(0o755)
    assert run.scan(photos)["analysed"] == 1
    assert run("failures", "--format", "json").json == []


def test_an_index_that_may_not_be_written_or_read_is_said(run: Shell, photos: Path, ended: Register) -> None:
    run.scan(photos, code=1)
    paths = [run.folder, *run.folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    try:
        for path in reversed(paths):
            path.chmod(0o555 if path.is_dir() else 0o444)
        code, _, err = as_other_user(run, ended, "scan", photos, *QUICK)
        assert (code, "Traceback" in err) == (14, False), err
        assert "Permission denied" in err
        code, out, err = as_other_user(run, ended, "search", "beach", "--mode", "keyword")
        assert code == 0, err
        assert b"beach.webp" in out
        (run.folder / "catalog.duckdb").chmod(0)
        code, _, err = as_other_user(run, ended, "search", "beach", "--mode", "keyword")
        assert code == 13, err
        assert "Permission denied" in err
        assert "Nothing is lost" in err
    finally:
        for path in paths:
            path.chmod(modes[path])
    assert run.scan(photos)["due"] == 0


@pytest.mark.slow
def test_a_disk_that_is_full_for_every_kind_of_change_loses_nothing(run: Shell, photos: Path, tmp_path: Path) -> None:
    """The sizes of a library that is filled are tried by tests/test_scan_kill.py."""
    run.home.mkdir()
    with disk(run.folder):
        run.scan(photos, code=1)
        before = contents(run.open())
        filler = run.folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
            while stream.write(bytes(4096)):
                pass
        reads(run)
        for command in (
            ("scan", photos, *QUICK, "--rescan", "thumbnail"),
            ("categories", "add", "a", "b"),
            ("collections", "create", "mine"),
        ):
            ran = run(*command, code=14)
            assert "No space left on device" in ran.err
            assert "Traceback" not in ran.err
        filler.unlink()
        run.scan(photos)
        assert contents(run.open()) == before
