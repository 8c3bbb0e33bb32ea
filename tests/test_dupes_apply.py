"""Applying plans and taking that back, to every target: what goes, what stays, what is told, and what comes back."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from apply_faults import Faults, Killed, clones_by_copying, kill
from applying import OF_EQUALS, TARGETS, Setting, contents, sha256, trash_in, tree
from conftest import Shell, draw
from photoindex import saved
from photoindex.dupes import ApplyOptions, applied_runs, apply_plan
from photoindex.dupes.journal import Journal
from photoindex.errors import LibraryNotWritable, UsageError
from photoindex.keeping.leftovers import unfinished_applies
from photoindex.pure.plans import plan_object
from photoindex.store.library import Library


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Setting]]:
    """Its catalog stays open, as DuckDB keeps an open file in memory: opening it again costs nothing."""
    trash_in(tmp_path / "data", monkeypatch)
    clones_by_copying(monkeypatch)
    with contextlib.ExitStack() as stack:

        def made(to: str = "quarantine") -> Setting:
            setting = Setting(tmp_path, to)
            stack.enter_context(contextlib.closing(duckdb.connect(setting.folder / "catalog.duckdb")))
            return setting

        yield made


@pytest.fixture
def setting(make: Callable[..., Setting]) -> Setting:
    return make()


@pytest.mark.parametrize("to", TARGETS)
def test_apply_lets_go_and_undo_brings_back_all(make: Callable[..., Setting], to: str) -> None:
    setting = make(to)
    before, known = tree(setting.photos), setting.known()
    kept = look = (setting.photos / "sub" / "b.jpg").stat()
    assert [done.problem for done in setting.apply()] == [None] * len(setting.plan.groups[0].go)
    assert setting.went()
    if to == "reflink":
        look = (setting.photos / "sub" / "b.jpg").stat()
        assert (look.st_ino, look.st_mtime_ns) != (kept.st_ino, 0)
    setting.nothing_lost(before)
    assert all(done.problem is None for done in setting.undo())
    setting.restored(before, known)
    with pytest.raises(UsageError, match="nothing to undo"):
        setting.undo()


@pytest.mark.parametrize("to", TARGETS)
def test_a_dry_run_changes_nothing(make: Callable[..., Setting], to: str) -> None:
    setting = make(to)
    before, known = tree(setting.base), setting.known()
    assert {done.problem for done in setting.apply(dry_run=True)} == {None}
    setting.restored({path: look for path, look in before.items() if "/photos/" in path}, known)
    assert not (setting.folder / "journal").exists()


@pytest.mark.parametrize("to", TARGETS)
def test_the_catalog_knows_at_once(make: Callable[..., Setting], to: str) -> None:
    setting = make(to)
    setting.apply()
    file_stays = to in ("hardlink", "reflink")
    near = {"c.jpg"} if to in OF_EQUALS else set()
    assert setting.present() == {"a.jpg", *near, *(["sub/b.jpg"] if file_stays else [])}
    with Library.writing(setting.folder) as library:
        rows = {Path(row.path).name for row in library.queries.file_rows()}
    assert ("b.jpg" in rows) is (to == "reflink")  # hard links are one file


def test_links_share_the_bytes_of_what_stays(make: Callable[..., Setting]) -> None:
    setting = make("symlink")
    setting.apply()
    link = setting.photos / "sub" / "b.jpg"
    assert os.readlink(link) == "../a.jpg"
    assert link.with_name("b.jpg.xmp").read_bytes() == b"stars"  # the sidecar stays beside its name


@pytest.mark.parametrize("to", OF_EQUALS)
def test_only_files_of_the_same_bytes_become_links_or_are_deleted(setting: Setting, to: str) -> None:
    before = tree(setting.base)
    setting.options = ApplyOptions(to)
    with pytest.raises(UsageError, match=r"c\.jpg \(re-encoded\).*--to quarantine or trash"):
        setting.apply()
    assert tree(setting.photos) == {path: look for path, look in before.items() if "/photos/" in path}


def test_where_nothing_can_go_is_said(setting: Setting) -> None:
    setting.options = ApplyOptions("nowhere")
    with pytest.raises(UsageError, match="There are: quarantine, trash"):
        setting.apply()
    setting.options = ApplyOptions(along=("cats",))
    with pytest.raises(UsageError, match="There are: sidecars, raw, video"):
        setting.apply()


def test_where_the_disk_cannot_share_bytes_that_is_said(tmp_path: Path) -> None:
    setting = Setting(tmp_path, "reflink")
    before = tree(setting.photos)
    with pytest.MonkeyPatch.context() as patch:

        def refuse(path: str, new: str) -> None:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        patch.setattr("photoindex.dupes.cloning._ficlone", refuse)
        (done,) = setting.apply()
    assert "take --to hardlink, symlink or quarantine" in (done.problem or "")
    assert tree(setting.photos) == before


def test_a_file_with_other_hard_links_is_not_replaced(make: Callable[..., Setting]) -> None:
    setting = make("hardlink")
    os.link(setting.photos / "sub" / "b.jpg", setting.photos / "third.jpg")
    (done,) = setting.apply()
    assert "other hard links" in (done.problem or "")


def test_two_libraries_do_not_let_go_of_each_others_keepers(setting: Setting) -> None:
    import fcntl

    before = tree(setting.photos)
    with (setting.photos / "a.jpg").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as another that is letting go of it
        assert {done.problem for done in setting.apply()} == {f"another program is at work upon {file.name}"}
    assert tree(setting.photos) == before


def test_what_a_symbolic_link_leads_to_stays(make: Callable[..., Setting]) -> None:
    setting = make("symlink")
    setting.apply()
    (group,) = setting.plan.groups
    shutil.copyfile(setting.photos / "a.jpg", setting.photos / "z.jpg")
    keep = replace(group.keep[0], path=str(setting.photos / "z.jpg"))
    go = replace(group.keep[0], tier="identical")
    setting.plan = replace(setting.plan, groups=(replace(group, keep=(keep,), go=(go,)),))
    setting.options = ApplyOptions("quarantine")
    (done,) = setting.apply()
    assert "leads to it" in (done.problem or "")


def test_a_link_that_was_written_to_stays_and_it_is_said(make: Callable[..., Setting]) -> None:
    setting = make("hardlink")
    setting.apply()
    (setting.photos / "a.jpg").write_bytes(b"edited")
    (done,) = setting.undo()
    assert "bytes were changed since" in (done.problem or "")
    assert (setting.photos / "sub" / "b.jpg").read_bytes() == b"edited"


@pytest.mark.parametrize("to", ["delete", "symlink"])
def test_bytes_that_are_left_elsewhere_are_found(make: Callable[..., Setting], to: str) -> None:
    setting = make(to)
    before = tree(setting.photos)
    setting.apply()
    os.rename(setting.photos / "a.jpg", setting.photos / "moved.jpg")
    (done,) = [d for d in setting.undo() if d.path.endswith("b.jpg")]
    assert "no copy of its bytes is left" in (done.problem or "")
    with Library.writing(setting.folder) as library:
        library.catalog.save([setting._analysed(setting.photos / "moved.jpg")], [], 0)
    assert [d.problem for d in setting.undo()] == [None]
    assert tree(setting.photos)[str(setting.photos / "sub" / "b.jpg")] == before[str(setting.photos / "sub" / "b.jpg")]


# -- the user's words


def test_what_stays_takes_over_the_words_about_what_goes_and_gives_them_back(setting: Setting) -> None:
    known = setting.known()
    a, c = sha256(setting.photos / "a.jpg"), sha256(setting.photos / "c.jpg")
    setting.apply()
    now = setting.known()
    assert now["collections"]["trip"] == {c: known["collections"]["trip"][c], a: known["collections"]["trip"][c]}
    assert [set(d.photos) for d in now["decisions"]] == [{c, "d" * 64}, {a, "d" * 64}]
    setting.undo()
    assert setting.known() == known


def test_words_that_the_user_gave_what_stays_are_its_own(setting: Setting) -> None:
    a = sha256(setting.photos / "a.jpg")
    with Library.writing(setting.folder) as library:
        trip = library.collections.read()["trip"]
        library.collections.replace({"trip": replace(trip, photos={**trip.photos, a: datetime(2025, 1, 1)})})
    known = setting.known()
    setting.apply()
    assert setting.known()["collections"] == known["collections"]
    setting.undo()
    assert setting.known() == known


def test_words_are_not_merged_where_several_photos_stay_or_another_file_holds_what_goes(setting: Setting) -> None:
    known = setting.known()
    shutil.copy2(setting.photos / "c.jpg", setting.photos / "c again.jpg")
    with Library.writing(setting.folder) as library:
        library.catalog.save([setting._analysed(setting.photos / "c again.jpg")], [], 0)
    setting.apply()
    assert setting.known()["collections"] == known["collections"]


# -- what travels with a picture


def shot(setting: Setting, **files: bytes) -> None:
    for key, data in files.items():
        where, suffix = key.split("_")
        base = setting.photos / ("sub/b" if where == "go" else "a")
        base.with_suffix(f".{suffix}").write_bytes(data)


@pytest.mark.parametrize("to", ["quarantine", "trash", "delete"])
def test_a_raw_file_and_a_video_travel_where_copies_stay(make: Callable[..., Setting], to: str) -> None:
    setting = make(to)
    shot(setting, go_CR2=b"raw", go_mov=b"video", keep_cr2=b"raw", keep_MOV=b"video")
    (setting.photos / "sub" / "b.xmp").write_bytes(b"of both")
    before = tree(setting.photos)
    assert {done.problem for done in setting.apply()} == {None}
    assert not [path for path in (setting.photos / "sub").iterdir() if path.is_file()]
    setting.nothing_lost(before)
    assert all(done.problem is None for done in setting.undo())
    assert tree(setting.photos) == before


def test_a_raw_file_of_which_no_copy_stays_is_left_and_said(setting: Setting) -> None:
    shot(setting, go_CR2=b"raw", go_mov=b"video", keep_cr2=b"another raw")
    (setting.photos / "sub" / "b.xmp").write_bytes(b"of both")
    first = setting.apply()[0]
    assert (first.problem, "b.CR2, b.mov stays" in first.note) == (None, True)
    assert {path.name for path in (setting.photos / "sub").iterdir()} == {"b.CR2", "b.mov", "b.xmp"}


def test_nothing_travels_that_the_plan_names_or_that_is_not_wanted(setting: Setting) -> None:
    shot(setting, go_CR2=b"raw", keep_cr2=b"raw")
    setting.options = ApplyOptions(along=("raw",))
    setting.apply()
    assert {path.name for path in (setting.photos / "sub").iterdir()} == {"b.jpg.xmp"}
    setting.undo()
    setting.options = ApplyOptions(along=())
    setting.apply()
    assert {path.name for path in (setting.photos / "sub").iterdir()} == {"b.jpg.xmp", "b.CR2"}


def test_a_sidecar_that_another_file_may_own_stays(setting: Setting) -> None:
    for name in ("c.xmp", "c.cr2", "sub/b.xmp"):
        (setting.photos / name).write_bytes(name.encode())
    setting.apply()
    assert {Path(path).name for path in tree(setting.photos)} == {"a.jpg", "c.xmp", "c.cr2"}


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


def test_a_plan_of_another_library_is_refused(setting: Setting, tmp_path: Path) -> None:
    with Library.writing(tmp_path / "other") as other, pytest.raises(UsageError, match="not of"):
        next(iter(apply_plan(other, setting.plan)))


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


# -- the commands


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
    run: Shell, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("photoindex.dupes.apply._do_all", broken)
    ran = run("dupes", "apply", written_plan(setting), "--library", setting.folder, code=2)
    assert "untouched" not in ran.err
    assert "`photoindex undo 2" in ran.err
