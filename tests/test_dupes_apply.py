"""Applying plans and taking that back: killed at every step, nothing is lost, and undo restores byte for byte."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Shell, draw
from photoindex.dupes import journal as journal_module
from photoindex.dupes import moving
from photoindex.dupes.apply import Done, apply_plan, undo
from photoindex.errors import LibraryNotWritable, UsageError
from photoindex.pure.plans import Plan, PlannedFile, PlannedGroup
from photoindex.store.library import Library

STEPS = ("write", "fsync", "link", "unlink", "rename", "chown", "utime")


class Faulty:
    """`os`, where the given number of steps is done before `fault` strikes; `crossing` moves fail as between disks."""

    def __init__(self, after: int, fault: Callable[[], None], crossing: bool) -> None:
        self._left, self._fault, self._crossing = after, fault, crossing

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in STEPS:
            return real

        def step(*given: Any, **named: Any) -> Any:
            if self._left == 0:
                self._fault()
            self._left -= 1
            if self._crossing and name in ("link", "rename") and ".photoindex-part" not in str(given[0]):
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return real(*given, **named)

        return step


def faulty(patch: pytest.MonkeyPatch, after: int, fault: Callable[[], None], crossing: bool) -> None:
    replaced = Faulty(after, fault, crossing)
    for module in (journal_module, moving):
        patch.setattr(module, "os", replaced)


def killed(after: int, crossing: bool, work: Callable[[], Any]) -> bool:
    """Do the work in a child that is killed before the step of that number. Returns whether it was."""
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            faulty(patch, after, lambda: os.kill(os.getpid(), signal.SIGKILL), crossing)
            try:
                work()
            finally:
                os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def tree(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """All that undo has to bring back: names, bytes, times, permissions."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_mode) for p in files}


def contents(*folders: Path) -> set[bytes]:
    return {p.read_bytes() for folder in folders for p in folder.rglob("*") if p.is_file()}


def planned(path: Path, tier: str) -> PlannedFile:
    found = path.stat()
    return PlannedFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), found.st_size, found.st_mtime_ns, tier)


class Setting:
    """A kept file, an identical one with a sidecar, a near one that goes; and the plan."""

    def __init__(self, base: Path) -> None:
        self.photos, self.library = base / "photos", base / "library"
        (self.photos / "sub").mkdir(parents=True)
        self.library.mkdir()
        (self.photos / "a.jpg").write_bytes(b"picture")
        (self.photos / "sub" / "b.jpg").write_bytes(b"picture")
        (self.photos / "sub" / "b.jpg.xmp").write_bytes(b"stars")
        (self.photos / "c.jpg").write_bytes(b"smaller picture")
        for at, name in enumerate(("a.jpg", "sub/b.jpg", "sub/b.jpg.xmp", "c.jpg")):
            (self.photos / name).chmod(0o640 if at % 2 else 0o604)
            os.utime(self.photos / name, ns=(10**18 + at, 10**18 + at))
        go = (planned(self.photos / "sub" / "b.jpg", "identical"), planned(self.photos / "c.jpg", "re-encoded"))
        keep = (planned(self.photos / "a.jpg", "keeper"),)
        self.plan = Plan(str(self.library), (PlannedGroup("1", "re-encoded", "larger", keep, go),))

    def apply(self) -> list[Done]:
        return [done for done in apply_plan(self.plan, self.library) if isinstance(done, Done)]

    def undo(self) -> list[Done]:
        return [done for done in undo(self.library) if isinstance(done, Done)]

    def undo_all(self) -> None:
        for run in [*(self.library / "journal").glob("*.jsonl")]:
            assert all(isinstance(done, str) or done.problem is None for done in undo(self.library, run.stem))


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def kept_open(setting: Setting, before: dict[str, tuple[bytes, int, int]]) -> None:
    """What holds at every moment: no bytes are lost, and what stays is as it was."""
    assert {data for data, _, _ in before.values()} <= contents(setting.photos, setting.library)
    stays = str(setting.photos / "a.jpg")
    assert tree(setting.photos)[stays] == before[stays]


def test_apply_moves_what_goes_with_its_sidecar_and_undo_brings_it_back(setting: Setting) -> None:
    before = tree(setting.photos)
    assert [done.problem for done in setting.apply()] == [None, None]
    assert {Path(path).name for path in tree(setting.photos)} == {"a.jpg"}
    kept_open(setting, before)
    assert [done.problem for done in setting.undo()] == [None, None, None]
    assert tree(setting.photos) == before


@pytest.mark.parametrize("crossing", [False, True], ids=["one disk", "two disks"])
def test_killed_at_any_step_of_apply_nothing_is_lost_and_undo_restores(tmp_path: Path, crossing: bool) -> None:
    steps = 0
    while True:
        setting = Setting(tmp_path / str(steps))
        before = tree(setting.photos)
        was_killed = killed(steps, crossing, setting.apply)
        kept_open(setting, before)
        setting.undo_all()
        assert tree(setting.photos) == before, f"killed before step {steps}"
        if not was_killed:
            break
        assert [done.problem for done in setting.apply()] == [None, None]  # and the same plan goes on
        assert {Path(path).name for path in tree(setting.photos)} == {"a.jpg"}
        steps += 1
    assert steps > 20


@pytest.mark.parametrize("crossing", [False, True], ids=["one disk", "two disks"])
def test_killed_at_any_step_of_undo_nothing_is_lost_and_undo_goes_on(tmp_path: Path, crossing: bool) -> None:
    steps = 0
    while True:
        setting = Setting(tmp_path / str(steps))
        before = tree(setting.photos)
        setting.apply()
        was_killed = killed(steps, crossing, setting.undo)
        kept_open(setting, before)
        setting.undo_all()
        assert tree(setting.photos) == before, f"killed before step {steps}"
        assert not [path for path in (setting.library / "quarantine").rglob("*") if path.is_file()]
        if not was_killed:
            break
        steps += 1
    assert steps > 10


@pytest.mark.parametrize("crossing", [False, True], ids=["one disk", "two disks"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_full_disk_or_lost_permission_at_any_step_loses_nothing(tmp_path: Path, crossing: bool, code: int) -> None:
    for steps in range(60):
        setting = Setting(tmp_path / str(steps))
        before = tree(setting.photos)

        def fail() -> None:
            raise OSError(code, os.strerror(code))

        with pytest.MonkeyPatch.context() as patch:
            faulty(patch, steps, fail, crossing)
            with contextlib.suppress(LibraryNotWritable):
                setting.apply()
        kept_open(setting, before)
        setting.undo_all()
        assert tree(setting.photos) == before, f"failed at step {steps}"


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda photos: (photos / "sub" / "b.jpg").write_bytes(b"picturE"), [True, False]),
        (lambda photos: (photos / "sub" / "b.jpg").unlink(), [True, False]),
        (lambda photos: (photos / "a.jpg").write_bytes(b"picturE"), [True, True]),
        (lambda photos: (photos / "a.jpg").unlink(), [True, True]),
        (lambda photos: os.replace(photos / "c.jpg", photos / "a.jpg"), [True, True]),
    ],
)
def test_what_changed_since_the_plan_is_left_alone_and_said(
    setting: Setting, change: Callable[[Path], Any], left: list[bool]
) -> None:
    change(setting.photos)
    before = tree(setting.photos)
    assert [done.problem is not None for done in setting.apply()] == left
    assert {data for data, _, _ in before.values()} <= contents(setting.photos, setting.library)
    if all(left):
        assert tree(setting.photos) == before


@pytest.mark.parametrize("make", [os.link, os.symlink])
def test_links_to_what_stays_are_not_taken_for_copies(setting: Setting, make: Callable[..., None]) -> None:
    copy = setting.photos / "sub" / "b.jpg"
    before = tree(setting.photos)
    copy.unlink()
    make(setting.photos / "a.jpg", copy)
    assert setting.apply()[0].problem is not None
    assert copy.read_bytes() == b"picture"
    setting.undo()
    assert tree(setting.photos).keys() == before.keys()


def test_a_line_of_the_journal_that_was_cut_off_does_not_matter(setting: Setting) -> None:
    before = tree(setting.photos)
    setting.apply()
    (run,) = (setting.library / "journal").glob("*.jsonl")
    with run.open("a") as file:
        file.write('{"path": "/photos/never", "pla')
    setting.undo()
    assert tree(setting.photos) == before
    assert run.read_text().splitlines()[-2:] == ['{"path": "/photos/never", "pla', '{"undone": true}']


def test_bytes_that_changed_in_the_quarantine_stay_there_and_it_is_said(setting: Setting) -> None:
    setting.apply()
    (copy,) = (setting.library / "quarantine").rglob("*.xmp")
    copy.write_bytes(b"other")
    problems = {Path(done.path).name: done.problem for done in setting.undo()}
    assert "its bytes changed in the quarantine" in (problems["b.jpg.xmp"] or "")
    assert problems["b.jpg"] is None
    assert copy.read_bytes() == b"other"


def test_a_sidecar_that_another_file_may_own_stays(setting: Setting) -> None:
    for name in ("c.xmp", "c.cr2", "sub/b.xmp"):
        (setting.photos / name).write_bytes(name.encode())
    setting.apply()
    assert {Path(path).name for path in tree(setting.photos)} == {"a.jpg", "c.xmp", "c.cr2"}


def test_a_plan_of_another_library_is_refused(setting: Setting) -> None:
    with pytest.raises(UsageError, match="not of"):
        next(iter(apply_plan(setting.plan, setting.library / "other")))


def test_undo_overwrites_nothing(setting: Setting) -> None:
    setting.apply()
    (setting.photos / "c.jpg").write_bytes(b"new")
    problems = {Path(done.path).name: done.problem for done in setting.undo()}
    assert "something else lies there now" in (problems["c.jpg"] or "")
    assert (setting.photos / "c.jpg").read_bytes() == b"new"
    assert b"smaller picture" in contents(setting.library)
    (setting.photos / "c.jpg").unlink()
    assert [done.problem for done in setting.undo()] == [None]
    assert (setting.photos / "c.jpg").read_bytes() == b"smaller picture"


def test_the_commands(run: Shell, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    draw(2).save(photos / "twin.jpg")
    shutil.copyfile(photos / "twin.jpg", photos / "twin (1).jpg")
    run.scan(photos)
    before = tree(photos)
    plan = tmp_path / "plan.json"
    plan.write_bytes(run("dupes", "plan").out)
    assert "1 file would go" in run("dupes", "apply", plan, "--dry-run").err
    assert tree(photos) == before
    with Library.writing(run.folder):
        assert "being written by process" in run("dupes", "apply", plan, code=11).err
        assert "being written by process" in run("undo", code=11).err
    assert tree(photos) == before
    assert "photoindex undo" in run("dupes", "apply", plan).err
    assert [Path(path).name for path in tree(photos)] == ["twin.jpg"]
    assert "1 left alone" in run("dupes", "apply", plan, code=1).err
    assert "1 file is back" in run("undo").err
    assert tree(photos) == before
    assert "nothing to undo" in run("undo", code=2).err
    assert "No run has the id 'x'" in run("undo", "x", code=2).err
