"""Answers to questions that only another state of the catalog changes, kept by a process that only reads it.

A search asks for the settings, the names of tags and the like each time, and opening the file takes longer than reading
them. A writing process keeps nothing.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from photoindex.store.connection import CatalogFile

# File systems tell time in steps of some milliseconds: what was written just now may be written again at the same time.
_SETTLED_NS = 1_000_000_000


def remembered(file: CatalogFile, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a question without parameters: a text of this program, of which there are few."""
    state = _state(file)
    kept = file.answers.get(sql)
    if kept is not None and state is not None and kept[0] == state:
        rows: list[tuple[Any, ...]] = kept[1]
        return rows
    with file.read() as con:
        rows = con.execute(sql).fetchall()
    if state is not None:
        file.answers[sql] = state, rows
    return rows


def _state(file: CatalogFile) -> tuple[tuple[int, int, int] | None, ...] | None:
    """What tells this state of the file, and of what a killed writer left beside it, from any other; None where
    nothing does."""
    if file.writable:
        return None
    states = _state_of(file.path), _state_of(file.path.with_name(f"{file.path.name}.wal"))
    settled_before = time.time_ns() - _SETTLED_NS
    if states[0] is None or any(state is not None and state[2] >= settled_before for state in states):
        return None
    return states


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
