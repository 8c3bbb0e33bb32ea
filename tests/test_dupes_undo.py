"""Taking back what was applied, whatever broke it off, changed or is unplugged: nothing is lost or overwritten."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apply_faults import Faults, Killed, kill
from applying import OF_EQUALS, TARGETS, Setting, contents, sha256, tree
from photoindex import saved
from photoindex.dupes import applied_runs
from photoindex.dupes.journal import Journal
from photoindex.errors import LibraryNotWritable
from photoindex.keeping.leftovers import unfinished_applies
from photoindex.store.library import Library

# -- faults: tests/test_dupes_crashes.py tries every step of every target


@pytest.mark.parametrize("to", ["quarantine", "hardlink"])
def test_killed_in_the_middle_nothing_is_lost_and_undo_restores(make: Callable[..., Setting], to: str) -> None:
    setting, counting = make(to), Faults(10**9, kill)
    before, known = tree(setting.photos), setting.known()
    with counting.striking():
        setting.apply()
    setting.undo_all()
    for after in range(3, counting.steps, counting.steps // 6):
        setting.forget_runs()
        with pytest.raises(Killed), Faults(after, kill).striking():
            setting.apply()
        setting.nothing_lost(before)
        setting.journal_is_true(before)
        setting.undo_all()
        setting.restored(before, known)


def test_a_run_that_was_killed_is_finished_by_the_next(setting: Setting) -> None:
    """Killed between what happened to the files and the catalog."""
    with pytest.MonkeyPatch.context() as patch:

        def stop(*given: Any) -> None:
            raise Killed

        patch.setattr("photoindex.dupes.apply.tell", stop)
        with pytest.raises(Killed):
            setting.apply()
    assert setting.present() == {"a.jpg", "c.jpg", "sub/b.jpg"}
    assert [run.state for run in applied_runs(Library(setting.folder))] == ["broken off"]
    a = sha256(setting.photos / "a.jpg")
    assert all(done.problem for done in setting.apply())  # nothing is left to go
    assert setting.present() == {"a.jpg"}
    assert a in setting.known()["collections"]["trip"]


def test_what_stays_after_a_full_disk_can_be_undone(setting: Setting) -> None:
    before, known = tree(setting.photos), setting.known()

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(LibraryNotWritable, match="No space left"), Faults(14, full).striking():
        setting.apply()
    setting.nothing_lost(before)
    setting.undo_all()
    setting.restored(before, known)


@pytest.mark.parametrize("to", ["quarantine", "hardlink", "delete"])
@pytest.mark.parametrize(
    "change",
    [
        lambda photos: (photos / "sub" / "b.jpg").write_bytes(b"picturE"),
        lambda photos: (photos / "sub" / "b.jpg").unlink(),
        lambda photos: (photos / "a.jpg").write_bytes(b"picturE"),
        lambda photos: (photos / "a.jpg").unlink(),
        lambda photos: os.replace(photos / "sub" / "b.jpg", photos / "a.jpg"),
    ],
    ids=["other bytes", "gone", "keeper has other bytes", "keeper gone", "moved onto the keeper"],
)
def test_what_changed_since_the_plan_is_left_alone_and_said(
    make: Callable[..., Setting], to: str, change: Callable[[Path], Any]
) -> None:
    setting = make(to)
    change(setting.photos)
    before = tree(setting.photos)
    assert setting.apply()[0].problem is not None
    assert before.items() >= {p: look for p, look in tree(setting.photos).items() if "c.jpg" not in p}.items()
    assert {look[0] for look in before.values()} <= contents(setting.photos, setting.folder, setting.data)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_links_to_what_stays_are_not_taken_for_copies(setting: Setting, link: Callable[..., None]) -> None:
    copy = setting.photos / "sub" / "b.jpg"
    before = tree(setting.photos)
    copy.unlink()
    link(setting.photos / "a.jpg", copy)
    assert setting.apply()[0].problem is not None
    assert copy.read_bytes() == b"picture"
    setting.undo()
    assert tree(setting.photos).keys() == before.keys()


def test_a_line_of_the_journal_that_was_cut_off_does_not_matter(setting: Setting) -> None:
    before = tree(setting.photos)
    setting.apply()
    (run,) = (setting.folder / "journal").glob("*.jsonl")
    with run.open("a") as file:
        file.write('{"acts": [{"path": "/photos/never", "pla')
    setting.undo()
    assert tree(setting.photos) == before
    ends = ['{"acts": [{"path": "/photos/never", "pla', '{"undone": true, "left": 0}']
    assert run.read_text().splitlines()[-2:] == ends


def test_bytes_that_changed_in_the_quarantine_stay_there_and_it_is_said(setting: Setting) -> None:
    setting.apply()
    (copy,) = (setting.folder / "quarantine").rglob("*.xmp")
    copy.write_bytes(b"other")
    problems = {Path(done.path).name: done.problem for done in setting.undo()}
    assert "its bytes changed in the quarantine" in (problems["b.jpg.xmp"] or "")
    assert problems["b.jpg"] is None
    assert copy.read_bytes() == b"other"


@pytest.mark.parametrize("to", ["quarantine", "trash", "delete"])
def test_undo_overwrites_nothing(make: Callable[..., Setting], to: str) -> None:
    setting = make(to)
    before = tree(setting.photos)
    setting.apply()
    b = setting.photos / "sub" / "b.jpg"
    b.write_bytes(b"new")
    problems = {Path(done.path).name: done.problem for done in setting.undo()}
    if to != "delete":  # where it lies, nothing of the run is missing any more
        assert "something else lies there now" in (problems["b.jpg"] or "")
    assert b.read_bytes() == b"new"
    b.unlink()
    if to != "delete":
        assert [done.problem for done in setting.undo()] == [None]
        assert tree(setting.photos) == before


def test_nothing_comes_back_below_a_folder_that_is_not_there(setting: Setting) -> None:
    before = tree(setting.photos)
    setting.apply()
    away = setting.base / "unplugged"
    setting.photos.rename(away)
    assert all("is a disk unplugged?" in (done.problem or "") for done in setting.undo())
    assert not setting.photos.exists()
    away.rename(setting.photos)
    assert {done.problem for done in setting.undo()} == {None}
    assert tree(setting.photos) == before


@pytest.mark.parametrize("to", OF_EQUALS)
@pytest.mark.parametrize("broken", [False, True])
def test_what_stays_is_on_disk_before_its_copy_goes(
    make: Callable[..., Setting], to: str, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make(to)
    keeper, b = (setting.photos / "a.jpg").stat().st_ino, setting.photos / "sub" / "b.jpg"
    there, real = list[bool](), os.fsync

    def fsync(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == keeper:
            there.append(b.stat().st_ino != keeper)
            if broken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    before = tree(setting.photos)
    (done,) = setting.apply()
    assert there
    assert there[0]
    assert done.problem == (os.strerror(errno.EIO) if broken else None)
    if broken:
        assert tree(setting.photos) == before
    else:
        assert setting.went()


def test_a_membership_that_the_user_confirmed_stays_after_undo(setting: Setting) -> None:
    stays = sha256(setting.photos / "a.jpg")
    setting.apply()
    assert stays in setting.known()["collections"]["trip"]  # taken over from what went
    before = list(setting.known()["collections"]["trip"])
    with Library.writing(setting.folder) as library:
        assert saved.add(library, "trip", [stays]) == 0
    assert list(setting.known()["collections"]["trip"]) == before
    setting.undo()
    assert stays in setting.known()["collections"]["trip"]


@contextlib.contextmanager
def unplugged(setting: Setting, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The mount point stays behind, empty."""
    away = setting.base / "unplugged"
    setting.photos.rename(away)
    setting.photos.mkdir()
    patch.setattr("os.path.ismount", os.path.ismount.__wrapped__)
    yield
    assert list(setting.photos.iterdir()) == []
    setting.photos.rmdir()
    away.rename(setting.photos)


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The photos are on a disk of their own, by what the system says."""
    real = os.path.ismount

    @functools.wraps(real)
    def ismount(path: Any) -> bool:
        return Path(path) == tmp_path / "photos" or real(path)

    monkeypatch.setattr("os.path.ismount", ismount)


@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize("to", TARGETS)
def test_nothing_is_taken_back_while_an_empty_mount_point_is_there(
    make: Callable[..., Setting], to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make(to)
    before, known = tree(setting.photos), setting.known()
    setting.apply()
    told = setting.known()
    with unplugged(setting, monkeypatch):
        for _ in range(2):
            problems = [done.problem or "" for done in setting.undo()]
            assert problems
            assert all("it is empty); is a disk unplugged?" in problem for problem in problems)
        assert setting.known() == told
        with Library.writing(setting.folder) as library:
            assert [run.state for run in applied_runs(library)] == ["partly undone"]
    assert {done.problem for done in setting.undo()} == {None}
    setting.restored(before, known)


def test_an_emptied_folder_is_no_unplugged_disk(setting: Setting) -> None:
    """All that was scanned there went."""
    before = tree(setting.photos)
    setting.apply()
    (setting.photos / "a.jpg").rename(setting.base / "a.jpg")
    (setting.photos / "sub").rmdir()
    assert {done.problem for done in setting.undo()} == {None}
    (setting.base / "a.jpg").rename(setting.photos / "a.jpg")
    assert tree(setting.photos) == before


@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize("to", ["quarantine", "hardlink"])
def test_a_killed_run_stays_open_until_its_disk_is_back(
    make: Callable[..., Setting], to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make(to)
    before, known = tree(setting.photos), setting.known()
    made = "photoindex.dupes.moving.publish" if to == "quarantine" else "photoindex.dupes.replacing._let_go"
    count = iter(range(10))

    def killed(*_given: Any) -> None:
        if to == "hardlink" or next(count):
            raise Killed
        os.link(*_given)
        os.unlink(_given[0])

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(made, killed)  # between the sidecar and its picture, or with the second name made
        patch.setattr("photoindex.dupes.replacing.settle_replaced", kill)
        setting.apply()
    assert tree(setting.photos) != before
    (first,) = Journal.all(setting.folder)
    with unplugged(setting, monkeypatch):
        assert all(done.problem for done in setting.apply())
        assert not first.is_over()
        assert setting.known() == known
        (told,) = unfinished_applies(setting.folder)
        assert first.id in told.advice
    setting.apply()
    assert first.is_over()
    assert setting.went()
    setting.undo_all()
    setting.restored(before, known)
