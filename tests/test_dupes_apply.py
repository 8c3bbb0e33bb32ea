"""Applying plans to every target: what goes, what stays, what is told, and what comes back with `undo`."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from applying import OF_EQUALS, TARGETS, Setting, sha256, tree
from photoindex.dupes import ApplyOptions, apply_plan
from photoindex.errors import UsageError
from photoindex.store.library import Library


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


def test_a_plan_of_another_library_is_refused(setting: Setting, tmp_path: Path) -> None:
    with Library.writing(tmp_path / "other") as other, pytest.raises(UsageError, match="not of"):
        next(iter(apply_plan(other, setting.plan)))


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
