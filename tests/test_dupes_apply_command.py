"""`photoindex dupes apply` and `photoindex undo` as a user runs them."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from applying import Setting, tree
from conftest import Shell, draw
from photoindex.dupes.cloning import UNKNOWN
from photoindex.dupes.journal import Act, Journal
from photoindex.pure.plans import plan_object
from photoindex.store.library import Library


def test_the_commands(run: Shell, tmp_path: Path) -> None:
    photos, plan = tmp_path / "photos", tmp_path / "plan.json"
    photos.mkdir()
    draw(2).save(photos / "twin.jpg")
    shutil.copyfile(photos / "twin.jpg", photos / "twin (1).jpg")
    run.scan(photos)
    plan.write_bytes(run("dupes", "plan").out)
    before = tree(photos)
    assert "1 file would go" in run("dupes", "apply", plan, "--dry-run").err
    assert tree(photos) == before
    with Library.writing(run.folder):
        assert "being written by process" in run("dupes", "apply", plan, code=11).err
        assert "being written by process" in run("undo", code=11).err
    assert tree(photos) == before
    assert "photoindex undo" in run("dupes", "apply", plan).err
    assert [Path(path).name for path in tree(photos)] == ["twin.jpg"]
    assert run.scan(photos)["missing"] == 0
    assert "1 left alone" in run("dupes", "apply", plan, code=1).err
    assert "1 file is back" in run("undo").err
    assert tree(photos) == before
    assert "nothing to undo" in run("undo", code=2).err
    assert "No run has the id 'x'" in run("undo", "x", code=2).err


def written_plan(setting: Setting) -> Path:
    plan = setting.base / "plan.json"
    plan.write_text(json.dumps(plan_object(setting.plan)))
    return plan


def test_deleting_is_asked_for_twice(run: Shell, make: Callable[..., Setting], monkeypatch: pytest.MonkeyPatch) -> None:
    setting = make("delete")
    before = tree(setting.photos)
    command = ("dupes", "apply", written_plan(setting), "--library", setting.folder, "--to", "delete")
    assert "Say --yes" in run(*command, code=2).err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda _told, **_named: "0")
    assert "Nothing was deleted" in run(*command, "--yes", code=2).err
    assert tree(setting.photos) == before
    monkeypatch.setattr("typer.prompt", lambda _told, **_named: "1")
    ran = run(*command, "--yes")
    assert "1 file was deleted with 1 that belong to it" in ran.err
    assert ran.text.splitlines() == [str(setting.photos / "sub" / name) for name in ("b.jpg", "b.jpg.xmp")]
    assert "2 files are back" in run("undo", "--library", setting.folder).err
    (undone,) = run("undo", "--list", "--library", setting.folder, "--format", "json").json
    assert (undone["to"], undone["files"], undone["state"]) == ("delete", 2, "undone")
    assert "undone" in run("undo", "--list", "--library", setting.folder).text
    assert tree(setting.photos) == before


def test_a_crash_says_where_the_journal_is_and_not_that_photos_are_untouched(
    run: Shell, make: Callable[..., Setting], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make()

    def broken(*given: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("photoindex.dupes.apply._do_all", broken)
    ran = run("dupes", "apply", written_plan(setting), "--library", setting.folder, code=2)
    assert "untouched" not in ran.err
    assert "`photoindex undo 2" in ran.err


def told(setting: Setting, run: Shell, *options: str, code: int = 0) -> bytes:
    plan = written_plan(setting)
    return run("dupes", "apply", plan, "--library", setting.folder, *options, code=code).out


def test_what_was_done_is_told_in_every_format(run: Shell, make: Callable[..., Setting]) -> None:
    setting = make()
    b, c, sidecar = (str(setting.photos / name) for name in ("sub/b.jpg", "c.jpg", "sub/b.jpg.xmp"))
    one = {"path": b, "to": "quarantine", "bytes": 7, "along": [sidecar], "problem": None, "note": None}
    other = {"path": c, "to": "quarantine", "bytes": 15, "along": [], "problem": None, "note": None}
    dry = ("--dry-run", "--format")
    assert json.loads(told(setting, run, *dry, "json")) == [one, other]
    assert [json.loads(line) for line in told(setting, run, *dry, "ndjson").splitlines()] == [one, other]
    header, first, _ = csv.reader(io.StringIO(told(setting, run, *dry, "csv").decode()))
    assert header == ["path", "to", "bytes", "along", "problem", "note"]
    assert first == [b, "quarantine", "7", json.dumps([sidecar]), "", ""]
    for output in ("paths", "table"):
        assert told(setting, run, *dry, output).decode().splitlines() == [b, sidecar, c]
    assert told(setting, run, "-0").split(b"\0") == [*(name.encode() for name in (b, sidecar, c)), b""]
    assert setting.went()


def test_what_was_left_alone_is_told_with_the_reason(run: Shell, make: Callable[..., Setting]) -> None:
    setting = make()
    (setting.photos / "c.jpg").write_bytes(b"edited meanwhile")
    assert told(setting, run, "--dry-run", "--format", "paths", code=1).count(b"\n") == 2
    _, left = json.loads(told(setting, run, "--format", "json", code=1))
    assert (left["path"], left["to"]) == (str(setting.photos / "c.jpg"), None)
    assert left["problem"] == "its bytes are not those of the plan any more"


def refuse_to_clone(_path: str, _new: str) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def many(run: Shell, tmp_path: Path) -> tuple[str, ...]:
    """A plan of three files of the same bytes, of which two go, as clones."""
    photos, plan = tmp_path / "photos", tmp_path / "plan.json"
    photos.mkdir()
    draw(2).save(photos / "a.jpg")
    for number in (1, 2):
        shutil.copyfile(photos / "a.jpg", photos / f"a ({number}).jpg")
    run.scan(photos)
    plan.write_bytes(run("dupes", "plan").out)
    return ("dupes", "apply", str(plan), "--to", "reflink")


def test_a_dry_run_foresees_that_a_disk_cannot_share_bytes_and_says_so_once(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = many(run, tmp_path)
    monkeypatch.setattr("photoindex.dupes.cloning.sys.platform", "linux")
    monkeypatch.setattr("photoindex.dupes.cloning._ficlone", refuse_to_clone)
    before = tree(tmp_path / "photos")
    for options, summary in (("--dry-run", "0 files would go, 2 left alone."), ("--null", "0 files became clones")):
        told = run(*command, options, code=1).err
        assert told.count("cannot share bytes") == 1
        assert "2 files on the disk at /" in told
        assert summary in told
    assert tree(tmp_path / "photos") == before
    assert not list(run.folder.glob(".reflink-*"))
    rows = run(*command, "--dry-run", "--format", "json", code=1).json
    assert [(row["to"], "cannot share bytes" in row["problem"]) for row in rows] == [(None, True)] * 2


def test_a_dry_run_says_where_only_the_real_run_can_tell_whether_bytes_are_shared(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = many(run, tmp_path)
    monkeypatch.setattr("photoindex.dupes.cloning._tried", lambda _folder: UNKNOWN)
    told = run(*command, "--dry-run").err
    assert told.count("only the real run can tell") == 1
    assert "2 files would go, 0 left alone." in told


def test_what_was_done_by_then_is_told_where_an_error_ends_it(
    run: Shell, make: Callable[..., Setting], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make()
    real = Journal.announce

    def full(journal: Journal, unit: Sequence[Act]) -> None:
        if unit[0].path.endswith("c.jpg"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(journal, unit)

    monkeypatch.setattr(Journal, "announce", full)
    ran = run("dupes", "apply", written_plan(setting), "--library", setting.folder, "--format", "json", code=None)
    assert ran.code
    assert [Path(row["path"]).name for row in ran.json] == ["b.jpg"]
    assert "`photoindex undo 2" in ran.err
