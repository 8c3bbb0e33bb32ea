"""A small library with duplicates and a plan, and all that applying and undoing it must keep."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from apply_faults import clones_by_copying
from photoindex.dupes import ApplyOptions, Done, apply_plan, undo
from photoindex.dupes.journal import Journal
from photoindex.pure.plans import Plan, PlannedFile, PlannedGroup
from photoindex.records import Analysed, Decision, FoundFile, PhotoCollection
from photoindex.store.library import Library

TARGETS = ("quarantine", "trash", "hardlink", "reflink", "symlink", "delete")
OF_EQUALS = TARGETS[2:]
Look = tuple[bytes, int, int, tuple[tuple[str, bytes], ...]]


def look_at(path: Path) -> Look:
    """All of a file that undo has to bring back."""
    if path.is_symlink():
        return os.fsencode(os.readlink(path)), 0, 0, ()
    found = path.stat()
    attributes = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
    return path.read_bytes(), found.st_mtime_ns, found.st_mode, attributes


def tree(folder: Path) -> dict[str, Look]:
    """Names, bytes, times, permissions and extended attributes of all files below a folder, links as links."""
    return {str(path): look_at(path) for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def contents(*folders: Path) -> set[bytes]:
    return {p.read_bytes() for folder in folders for p in folder.rglob("*") if p.is_file()}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def planned(path: Path, tier: str) -> PlannedFile:
    found = path.stat()
    return PlannedFile(str(path), sha256(path), found.st_size, found.st_mtime_ns, tier)


def trash_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the trash of this user be below `folder`, on whatever disk that is."""
    from send2trash import plat_other

    patch.setenv("XDG_DATA_HOME", str(folder))
    patch.setattr("send2trash.send2trash", plat_other.send2trash)  # not a desktop's own, which asks a service
    patch.setattr(plat_other, "XDG_DATA_HOME", os.fsencode(folder))
    patch.setattr(plat_other, "HOMETRASH_B", os.fsencode(folder / "Trash"))
    patch.setattr(plat_other, "get_dev", lambda _path: 1)


@functools.cache
def _empty_catalog() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        with Library.writing(Path(folder)):
            pass
        return (Path(folder) / "catalog.duckdb").read_bytes()


def catalog_open(folder: Path) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
    """DuckDB keeps an open file in memory: opening it again, as a library does, costs nothing."""
    config: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": "false"}
    return contextlib.closing(duckdb.connect(folder / "catalog.duckdb", config=config))


@contextlib.contextmanager
def which_makes(base: Path, patch: pytest.MonkeyPatch) -> Iterator[Callable[..., Setting]]:
    """Makes settings below `base`, whose catalogs stay open."""
    trash_in(base / "data", patch)
    clones_by_copying(patch)
    with contextlib.ExitStack() as stack:

        def made(to: str = "quarantine") -> Setting:
            setting = Setting(base, to)
            stack.enter_context(catalog_open(setting.folder))
            return setting

        yield made


@pytest.fixture(name="make")
def make_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Setting]]:
    """Makes a `Setting` for a target."""
    with which_makes(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture(name="setting")
def quarantine_setting(make: Callable[..., Setting]) -> Setting:
    """One for the quarantine."""
    return make()


class Setting:
    """A kept file, an identical one with a sidecar, and, unless only `equals` are wanted, a near one; and the plan.

    The identical one and the near one are in a collection; of the near one and another photo it is decided that they
    are no duplicates.
    """

    def __init__(self, base: Path, to: str = "quarantine") -> None:
        self.base, self.photos, self.folder, self.data = base, base / "photos", base / "library", base / "data"
        self.options = ApplyOptions(to)
        self.spares = False
        (self.photos / "sub").mkdir(parents=True)
        self._write()
        self.near = [] if to in OF_EQUALS else [planned(self.photos / "c.jpg", "re-encoded")]
        go = (planned(self.photos / "sub" / "b.jpg", "identical"), *self.near)
        keep = (planned(self.photos / "a.jpg", "keeper"),)
        self.plan = Plan(str(self.folder), (PlannedGroup("1", "re-encoded", "larger", keep, go),))
        self._note()

    def _write(self) -> None:
        files = {"a.jpg": b"picture", "sub/b.jpg": b"picture", "sub/b.jpg.xmp": b"stars", "c.jpg": b"smaller picture"}
        for at, (name, data) in enumerate(files.items()):
            path = self.photos / name
            path.write_bytes(data)
            os.setxattr(path, "user.photo", name.encode())
            path.chmod(0o640 if at % 2 else 0o604)
            os.utime(path, ns=(10**18 + at, 10**18 + at))

    def _note(self) -> None:
        """What the catalog knows; an empty one is made once and copied, which is quicker than to make it."""
        self.folder.mkdir()
        (self.folder / "catalog.duckdb").write_bytes(_empty_catalog())
        with Library.writing(self.folder) as library:
            files = [self.photos / "a.jpg", self.photos / "sub" / "b.jpg", self.photos / "c.jpg"]
            library.catalog.save([self._analysed(path) for path in files], [], 0)
            mine, other = sha256(files[2]), "d" * 64
            trip = PhotoCollection("trip", None, datetime(2026, 1, 1), {mine: datetime(2026, 1, 2, 3, 4, 5, 678)})
            library.collections.replace({"trip": trip})
            photos = {mine: 1, other: 1}
            library.decisions.put([Decision("0" * 16, "not-duplicates", photos, None, datetime(2026, 1, 3))])

    def _analysed(self, path: Path) -> Analysed:
        found = path.stat()
        place = (found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino)
        return Analysed(FoundFile(str(path), str(self.photos), *place), sha256(path), ())

    def apply(self, dry_run: bool = False) -> list[Done]:
        options = ApplyOptions(self.options.to, dry_run, self.options.along)
        with Library.writing(self.folder) as library:
            return [done for done in apply_plan(library, self.plan, options) if isinstance(done, Done)]

    def undo(self, number: str | None = None) -> list[Done]:
        with Library.writing(self.folder) as library:
            return [done for done in undo(library, number) if isinstance(done, Done)]

    def undo_all(self) -> None:
        """Every run, the last first."""
        for run in sorted((self.folder / "journal").glob("*.jsonl"), reverse=True):
            assert [done.problem for done in self.undo(run.stem) if done.problem] == []

    def known(self) -> dict[str, Any]:
        """What the catalog says: its files, and the user's words."""
        library = Library(self.folder, writable=True)
        with library.catalog.file.read() as con:
            rows = con.execute("SELECT path, size, mtime_ns, photo_id FROM files ORDER BY path").fetchall()
            words = {name: dict(c.photos) for name, c in library.collections.read().items()}
            return {"files": rows, "collections": words, "decisions": library.decisions.read()}

    def present(self) -> set[str]:
        return {os.path.relpath(os.fsdecode(row[0]), self.photos) for row in self.known()["files"]}

    def went(self) -> bool:
        """Whether all that the plan lets go is gone, or a link."""
        b = self.photos / "sub" / "b.jpg"
        to = self.options.to
        if to == "symlink":
            return b.is_symlink()
        if to == "hardlink":
            return b.samefile(self.photos / "a.jpg")
        if to in ("reflink", "delete"):
            return b.exists() is (to == "reflink")
        return {p.name for p in self.photos.rglob("*") if p.is_file()} == {"a.jpg"}

    def nothing_lost(self, before: dict[str, Look]) -> None:
        """What holds at every moment: no bytes are lost, and what stays is as it was."""
        assert {look[0] for look in before.values()} <= contents(self.photos, self.folder, self.data)
        stays = str(self.photos / "a.jpg")
        assert tree(self.photos)[stays] == before[stays]

    def restored(self, before: dict[str, Look], known: dict[str, Any]) -> None:
        """What holds after undo."""
        assert tree(self.photos) == before
        assert self.known() == known
        left = [path for path in (self.folder / "quarantine").rglob("*") if path.is_file()]
        assert left == []
        assert self.spares or not [p for p in (self.data / "Trash").rglob("*") if p.is_file()]

    def journal_is_true(self, before: dict[str, Look]) -> None:
        """Whatever is not as it was has been announced, with the bytes it had."""
        now = tree(self.photos)
        acts = [act for run in Journal.all(self.folder) for unit in run.units() for act in unit]
        announced = {act.path: act.sha256 for act in acts}
        for path, look in before.items():
            assert now.get(path) == look or announced[path] == hashlib.sha256(look[0]).hexdigest()

    def forget_runs(self) -> None:
        for folder in (self.folder / "journal", self.folder / "quarantine", self.data / "Trash"):
            shutil.rmtree(folder, ignore_errors=True)
