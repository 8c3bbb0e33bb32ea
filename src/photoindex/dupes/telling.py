"""Telling the catalog what went and what came back, and letting what stays take over the user's words about it.

What is told is in the journal first, so that a run that was killed is told by the next (`finish`), and `untell` knows
what to take back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from photoindex.dupes.deciding import decision_object, read_decision
from photoindex.dupes.decisions import NOT_DUPLICATES, id_of
from photoindex.dupes.journal import HARDLINK, REFLINK, Act, Journal
from photoindex.records import Decision
from photoindex.store.library import Library

_STAYS_A_FILE = (HARDLINK, REFLINK)


def tell(library: Library, journal: Journal, acts: Sequence[Act]) -> None:
    """These acts are done. Raises OSError and the Library* errors."""
    if acts:
        with library.catalog.file.read():  # open once for all questions and changes
            _ask_and_tell(library, journal, acts)


def _ask_and_tell(library: Library, journal: Journal, acts: Sequence[Act]) -> None:
    gone = [act.path for act in acts if act.how not in _STAYS_A_FILE]
    into = _taken_over(library, acts, gone)
    line = {
        "paths": [act.path for act in acts],
        "gone": gone,
        "rows": library.let_go.rows([act.path for act in acts]),
        "words": library.let_go.merged(into) if into else [],
        "decisions": [{"of": of, **decision_object(d)} for of, d in _merged_decisions(library, into)],
    }
    journal.write({"tell": line})
    _tell(library, line)
    journal.write({"told": True})


def finish(library: Library, journal: Journal, done: Sequence[Act]) -> None:
    """Tell what a run that was killed did not tell any more. `done`: its acts that are done."""
    lines = journal.lines()
    told = [line["tell"] for line in lines if "tell" in line]
    if len(told) > sum("told" in line for line in lines):
        _tell(library, told[-1])
        journal.write({"told": True})
    known = {path for line in told for path in line["paths"]}
    tell(library, journal, [act for act in done if act.path not in known])


def untell(library: Library, journal: Journal, undone: Iterable[Act]) -> None:
    """The acts of the run that are undone, or never were done: their files are back, and so are the words."""
    told = [line["tell"] for line in journal.lines() if "tell" in line]
    if told:
        with library.catalog.file.read():  # open once for all questions and changes
            _untell(library, told, {act.path: act.sha256 for act in undone})


def _untell(library: Library, told: Sequence[Mapping[str, Any]], back: Mapping[str, str]) -> None:
    rows = [row for line in told for row in line["rows"] if row["path"] in back]
    library.let_go.place([now for row in rows if (now := _as_it_lies(row)) and _is_as_before(now, row)])
    contents = set(back.values())
    library.let_go.take_back([w for line in told for w in line["words"] if w["of"] in contents])
    if made := [d for line in told for d in line["decisions"] if d["of"] in contents]:
        known = {decision.id: decision for decision in library.decisions.read()}
        library.decisions.put([], {d["id"] for d in made if known.get(d["id"]) == read_decision(d, "journal")})


def _tell(library: Library, line: Mapping[str, Any]) -> None:
    changed = [now for row in line["rows"] if row["path"] not in line["gone"] and (now := _as_it_lies(row))]
    library.let_go.place(changed, line["gone"])
    library.let_go.add(line["words"])
    if line["decisions"]:
        known = {decision.id for decision in library.decisions.read()}
        library.decisions.put([read_decision(d, "journal") for d in line["decisions"] if d["id"] not in known])


def _as_it_lies(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of the catalog with what the file is now; None where none is."""
    try:
        found = os.lstat(row["path"])
    except OSError:
        return None
    now = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "device": found.st_dev, "inode": found.st_ino}
    return {**row, **now}


def _is_as_before(now: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return all(now[name] == row[name] for name in ("size", "mtime_ns"))


def _taken_over(library: Library, acts: Sequence[Act], gone: Sequence[str]) -> dict[str, str]:
    """By the content that is gone from the library for good: the one that stays instead."""
    into = {act.sha256: act.into for act in acts if act.into and act.into != act.sha256}
    held = library.let_go.held(into, gone) if into else set()
    return {loser: keeper for loser, keeper in into.items() if loser not in held}


def _merged_decisions(library: Library, into: Mapping[str, str]) -> list[tuple[str, Decision]]:
    """What the decisions about contents that go say of those that stay, with a content that goes."""
    if not into:
        return []
    decisions = library.decisions.read()
    known = {decision.id for decision in decisions}
    found: dict[str, tuple[str, Decision]] = {}
    for decision in decisions:
        mine = merged_decision(decision, into)
        if mine is not None and mine.id not in known:
            found[mine.id] = next(of for of in decision.photos if of in into), mine
    return list(found.values())


def merged_decision(decision: Decision, into: Mapping[str, str]) -> Decision | None:
    """The decision with what stays in place of what goes; None where that says nothing."""
    if not decision.photos.keys() & into.keys():
        return None
    photos: dict[str, int] = {}
    for sha256, copies in decision.photos.items():
        stays = into.get(sha256, sha256)
        photos[stays] = max(copies, photos.get(stays, 0))
    least = 2 if decision.kind == NOT_DUPLICATES else 1
    if len(photos) < least or sum(photos.values()) < 2:
        return None
    keeper = into.get(decision.keeper, decision.keeper) if decision.keeper else None
    return replace(decision, id=id_of(photos), photos=photos, keeper=keeper)
