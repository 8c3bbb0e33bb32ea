"""What killed processes left in a library's folder, and what they were about."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from photoindex.dupes.journal import Journal
from photoindex.keeping.findings import Finding
from photoindex.store.lance_repair import clear, left_behind
from photoindex.store.library import Library
from photoindex.store.swap import STAGE, is_pending

# What a question had no memory for; another process may be at it now.
_SPILLED, _SETTLED_S = "catalog.duckdb.tmp/*", 3_600.0
_FILES = (
    *("catalog.part*", "catalog.compact*", "catalog.wanted", "cache/near_hashes.part"),
    *("backups/.*.part", "backups/.*.parts"),
)


def leftovers(library: Library) -> list[Path]:
    """Files and folders that nothing needs any more. Thumbnails: see `thumbs`."""
    found = [path for pattern in _FILES for path in library.folder.glob(pattern)]
    settled = time.time() - _SETTLED_S
    found += [path for path in library.folder.glob(_SPILLED) if _changed(path) < settled]
    stage = library.folder / STAGE
    if stage.exists() and not is_pending(library.folder):
        found.append(stage)
    return [*found, *left_behind(library.vectors)]


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:  # the other process has just ended
        return time.time()


def clear_leftovers(library: Library) -> int:
    found = leftovers(library)
    for path in found:
        clear(path)
    return len(found)


def unfinished_applies(folder: Path) -> Iterator[Finding]:
    """Runs of `dupes apply` that were broken off: what they moved lies in the quarantine."""
    for journal in Journal.all(folder):
        announced = sum(len(unit) for unit in journal.units())
        if announced and not journal.says("ended") and not journal.says("undone"):
            text = f"The run {journal.id} of `dupes apply` was broken off after it had announced {announced:,} files."
            advice = f"`photoindex undo {journal.id}` brings them back; applying the same plan again goes on."
            yield Finding("warning", "apply_unfinished", text, announced, advice)
