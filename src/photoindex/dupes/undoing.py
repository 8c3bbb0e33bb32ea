"""Taking a run back: every file to where it was, as it was, and nothing that lies there now overwritten."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from photoindex.dupes.apply import Done
from photoindex.dupes.disks import unplugged
from photoindex.dupes.doing import in_words, is_done, put_right, take_back
from photoindex.dupes.journal import MOVE, Act, Journal
from photoindex.dupes.moving import FileChanged
from photoindex.dupes.telling import untell
from photoindex.errors import LibraryNotWritable, UsageError
from photoindex.store.library import Library


@dataclass(frozen=True, slots=True)
class AppliedRun:
    """A run of `apply_plan`: `at` it began, in UTC; `to` what target; how many `files` it announced, with what went
    along; its `state`: "done", "broken off", "undone" or "partly undone"; how many pictures its plan let go (`planned`)
    and how many of them went (`done`), whatever came back since."""

    id: str
    at: str
    to: str
    files: int
    state: str
    planned: int
    done: int


def applied_runs(library: Library) -> list[AppliedRun]:
    """What `undo` may take back, the oldest first. The library may be open for reading. Raises OSError."""
    return [_told(journal) for journal in Journal.all(library.folder)]


def _told(journal: Journal) -> AppliedRun:
    lines = journal.lines()
    first = lines[0] if lines else {}
    undone = [line for line in lines if "undone" in line]
    if undone:
        state = "partly undone" if undone[-1].get("left") else "undone"
    else:
        state = "done" if any("ended" in line and not line.get("killed") for line in lines) else "broken off"
    units = journal.units()
    told = {path for line in lines if "tell" in line for path in line["tell"]["paths"]}
    done = sum(unit[0].path in told or (state == "broken off" and _went(unit[0])) for unit in units)
    planned = int(first.get("planned") or len(units))  # before it was noted: as many as were announced
    to = str(first.get("to", "quarantine"))
    return AppliedRun(journal.id, str(first.get("at", "")), to, sum(map(len, units)), state, planned, done)


def _went(act: Act) -> bool:
    with contextlib.suppress(OSError):
        return is_done(act)
    return False


def undo(library: Library, number: str | None = None) -> Iterator[Done | str]:
    """Bring back what a run let go, the latest first; first yields the run's id. Without a number the last run that
    has something to bring back.

    A file whose place is taken by another now stays where it is, and so does one whose bytes changed or whose disk is
    unplugged. It may be run again. `library` must be open for writing. Raises UsageError, LibraryNotWritable and other
    Library* errors.
    """
    try:
        journal = _run(library, number)
        yield journal.id
        yield from _undo(library, journal)
    except OSError as error:
        raise LibraryNotWritable(library.folder, error.strerror or str(error)) from error


def _undo(library: Library, journal: Journal) -> Iterator[Done]:
    units = journal.units()
    acts = [act for unit in units for act in unit]
    known = {row["path"]: row["root"] for line in journal.lines() if "tell" in line for row in line["tell"]["rows"]}
    roots = {act.path: known.get(unit[0].path, "") for unit in units for act in unit}
    stuck, left, trouble_with = set[str](), 0, unplugged()
    try:
        for act in reversed(acts):
            trouble = trouble_with([act], roots[act.path])
            result = Done(act.path, 0, trouble, away=True) if trouble else _bring_back(library, act)
            if result and result.problem:
                left += 1
                stuck.add(act.path)
            if result:
                yield result
    finally:
        back = [a for a in acts if a.path not in stuck and not trouble_with([a], roots[a.path])]
        untell(library, journal, [act for act in back if not is_done(act)])
    journal.write({"undone": True, "left": left})
    with contextlib.suppress(OSError):  # it may still hold what could not go back
        journal.quarantine.rmdir()


def _bring_back(library: Library, act: Act) -> Done | None:
    """None where there was nothing to do."""
    try:
        put_right(act)
        if not is_done(act):
            return None
        take_back(act, _copies(library, act))
        return Done(act.path, os.lstat(act.path).st_size)
    except FileExistsError:
        problem = f"something else lies there now{_stays(act)}"
    except (OSError, FileChanged) as error:
        problem = f"{in_words(act, error)}{_stays(act)}"
    return Done(act.path, 0, problem)


def _stays(act: Act) -> str:
    return f"; it stays in the quarantine: {act.place}" if act.how == MOVE and os.path.lexists(act.place) else ""


def _copies(library: Library, act: Act) -> Iterator[str]:
    """Where the bytes of a file may be by now: files that the catalog knows, and what other runs let go."""
    yield from library.let_go.paths_of(act.sha256)
    for journal in Journal.all(library.folder):
        for other in (other for unit in journal.units() for other in unit):
            if other.how == MOVE and other.sha256 == act.sha256:
                yield other.place


def _run(library: Library, number: str | None) -> Journal:
    every = Journal.all(library.folder)
    runs = [journal for journal in every if number in (None, journal.id)]
    if number is not None and not runs:
        raise UsageError(f"No run has the id {number!r}. There are: {', '.join(j.id for j in every) or 'none'}.")
    for journal in reversed(runs):
        if number or _has_something(journal):
            return journal
    raise UsageError("There is nothing to undo.")


def _has_something(journal: Journal) -> bool:
    ends = [line for line in journal.lines() if "undone" in line]
    if ends and not ends[-1].get("left"):
        return False
    if not ends and journal.says("tell"):
        return True
    trouble_with = unplugged()
    for act in (act for unit in journal.units() for act in unit):
        if trouble_with([act], ""):
            return True  # nobody can tell; taking it back says so
        with contextlib.suppress(OSError, FileChanged):
            put_right(act)
        if is_done(act):
            return True
    return False
