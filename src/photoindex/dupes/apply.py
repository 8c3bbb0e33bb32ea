"""Doing what a plan says, reversibly: what goes is moved into the library's quarantine, and `undo` brings it back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from photoindex.dupes.journal import Journal, Moved
from photoindex.dupes.moving import FileChanged, move, same_bytes, settle, sha256_of
from photoindex.errors import LibraryNotWritable, UsageError
from photoindex.pure.plans import Plan, PlannedFile, PlannedGroup
from photoindex.pure.tiers import IDENTICAL


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a file of a plan. `problem`: in words why it was left alone, or None; `bytes`: its size."""

    path: str
    bytes: int
    problem: str | None = None


def apply_plan(plan: Plan, folder: Path, dry_run: bool = False) -> Iterator[Done | str]:
    """Move what goes into the quarantine of the library at `folder`, one file after the other; first the run's id.

    Before each move the bytes of the file and of the one that stays are read again; what is not as the plan says is
    left alone. Run it as the library's only writer. With `dry_run` all is read and nothing moved, and the id is empty.
    Raises UsageError and LibraryNotWritable.
    """
    if PurePath(plan.library) != folder:
        raise UsageError(f"This plan is of the library at {plan.library}, not of {folder}.")
    try:
        journal = None if dry_run else Journal.begin(folder)
        yield journal.id if journal else ""
        for group in plan.groups:
            for file in group.go:
                yield Done(file.path, file.size, _let_go(file, group, journal))
        if journal:
            journal.write({"ended": True})
    except OSError as error:
        raise LibraryNotWritable(folder, error.strerror or str(error)) from error


def _let_go(file: PlannedFile, group: PlannedGroup, journal: Journal | None) -> str | None:
    """Why a file was left alone; None where it went. Raises OSError where the journal cannot be written."""
    try:
        keeper, seen = _checked(file, group)
        sidecars = [(path, *sha256_of(path)) for path in _sidecars(file.path)]
    except FileChanged as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    if journal is None:
        return None
    try:
        _move_all([(file.path, file.sha256, seen), *sidecars], keeper, journal)
    except FileChanged as error:
        return str(error)
    return None


def _move_all(files: list[tuple[str, str, os.stat_result]], keeper: str, journal: Journal) -> None:
    """A picture and its sidecars into the quarantine, all or none. Raises FileChanged, where none went, and OSError."""
    moved: list[Moved] = []
    try:
        for path, sha256, found in files:
            moved.append(Moved(path, journal.announce(path, sha256), sha256))
            _move(moved[-1], found)
            if not os.path.lexists(keeper):  # one file seen in two ways, as over two mounts
                raise FileChanged(f"it is the same file as {keeper}, seen in another way")
    except FileChanged:
        for mine in reversed(moved):
            if settle(mine.path, mine.place, mine.sha256):
                move(mine.place, mine.path, mine.sha256)
        raise


def _move(moved: Moved, found: os.stat_result) -> None:
    try:
        move(moved.path, moved.place, moved.sha256, found)
    except OSError as error:
        if not settle(moved.path, moved.place, moved.sha256):
            raise FileChanged(f"{os.path.basename(moved.path)}: {error.strerror or error}") from None


def _checked(file: PlannedFile, group: PlannedGroup) -> tuple[str, os.stat_result]:
    """The path that stays for this file, and what the file is now. Raises OSError and FileChanged."""
    sha256, seen = sha256_of(file.path)
    if (sha256, seen.st_size) != (file.sha256, file.size):
        raise FileChanged("its bytes are not those of the plan any more")
    stays = [k for k in group.keep if k.sha256 == file.sha256] if file.tier == IDENTICAL else group.keep
    keeper = stays[0]
    try:
        kept, found = sha256_of(keeper.path)
    except OSError as error:
        raise FileChanged(f"what stays cannot be read: {keeper.path}: {error.strerror}") from None
    if kept != keeper.sha256:
        raise FileChanged(f"what stays is not as the plan says any more: {keeper.path}")
    if os.path.samestat(seen, found):
        raise FileChanged(f"it is the same file as {keeper.path}, which stays")
    if file.tier == IDENTICAL and not same_bytes(file.path, keeper.path):
        raise FileChanged(f"its bytes are not those of {keeper.path}")
    return keeper.path, seen


def _sidecars(path: str) -> list[str]:
    """Its XMP files: NAME.jpg.xmp, and NAME.xmp unless another file of that name may own it."""
    folder, name = os.path.split(path)
    stem = PurePath(name).stem
    names = sorted(other for other in os.listdir(folder) if other != name)
    own = [other for other in names if other.lower() == f"{name}.xmp".lower()]
    plain = [other for other in names if other.lower() == f"{stem}.xmp".lower()]
    others = [n for n in names if PurePath(n).stem == stem and not n.lower().endswith(".xmp")]
    found = [os.path.join(folder, other) for other in (*own, *([] if others else plain))]
    return [sidecar for sidecar in found if os.path.isfile(sidecar) and not os.path.islink(sidecar)]


def undo(folder: Path, number: str | None = None) -> Iterator[Done | str]:
    """Bring back what a run moved, the latest one first; first the run's id. Without a number the last run that has
    something to bring back.

    A file whose place is taken by another now stays in the quarantine, and so does one whose bytes changed there. Run
    it as the library's only writer; it may be run again. Raises UsageError and LibraryNotWritable.
    """
    journal = _run(folder, number)
    yield journal.id
    try:
        for moved in reversed(journal.moved()):
            if settle(moved.path, moved.place, moved.sha256):
                yield _bring_back(moved)
        journal.write({"undone": True})
        with contextlib.suppress(OSError):  # it may still hold what could not go back
            journal.quarantine.rmdir()
    except OSError as error:
        raise LibraryNotWritable(folder, error.strerror or str(error)) from error


def _run(folder: Path, number: str | None) -> Journal:
    runs = [j for j in Journal.all(folder) if number in (None, j.id)]
    if number is not None and not runs:
        raise UsageError(f"No run has the id {number!r}. There are: {', '.join(j.id for j in Journal.all(folder))}.")
    for journal in reversed(runs):
        if number or any(os.path.lexists(moved.place) for moved in journal.moved()):
            return journal
    raise UsageError("There is nothing to undo.")


def _bring_back(moved: Moved) -> Done:
    size = 0
    try:
        sha256, seen = sha256_of(moved.place)
        size = seen.st_size
        if sha256 != moved.sha256:
            return Done(moved.path, size, f"its bytes changed in the quarantine; it stays there: {moved.place}")
        os.makedirs(os.path.dirname(moved.path), exist_ok=True)
        move(moved.place, moved.path, sha256, seen)
    except FileExistsError:
        return Done(moved.path, size, f"something else lies there now; it stays in the quarantine: {moved.place}")
    except (OSError, FileChanged) as error:
        return Done(moved.path, size, f"{error}; it stays in the quarantine: {moved.place}")
    return Done(moved.path, size)
