"""Putting a whole library in the place of another, so that a process killed at any moment leaves one or the other.

The new one is built in `FOLDER/restoring`, which is ready once the file READY lies in it. Then part after part goes to
its place, the catalog last, and what was there goes to `FOLDER/set-aside/WHEN`. Whoever opens the library first after a
kill finishes that. The journal and the quarantine of applied plans stay where they are: they are about files on disk.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from photoindex.durable import sync_file, sync_folder

STAGE, ASIDE = "restoring", "set-aside"
_READY = "READY"
_CATALOG = "catalog.duckdb"
_PARTS = ("cache", "vectors", f"{_CATALOG}.wal", _CATALOG)


def new_stage(folder: Path) -> Path:
    """An empty folder to build the new parts in; what a killed process left there is deleted."""
    stage = folder / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    return stage


def swap(folder: Path) -> Path | None:
    """Let the parts in the stage take the place of those of the library. Run it as the library's only writer.

    Returns the folder with what was there before, or None where nothing was. Raises OSError.
    """
    stage, when = folder / STAGE, _new_name(folder / ASIDE)
    for path, _, files in os.walk(stage):
        for name in files:
            sync_file(Path(path) / name)
        sync_folder(Path(path))
    (stage / "READY.part").write_text(when)
    sync_file(stage / "READY.part")
    (stage / "READY.part").replace(stage / _READY)
    sync_folder(stage)
    return finish_swap(folder)


def _new_name(parent: Path) -> str:
    now, again = datetime.now(UTC).strftime("%Y%m%d-%H%M%S"), 1
    while (parent / (name := now if again == 1 else f"{now}-{again}")).exists():
        again += 1
    return name


def is_pending(folder: Path) -> bool:
    """Whether a process was killed while it put a library in its place."""
    return (folder / STAGE / _READY).exists()


def finish_swap(folder: Path) -> Path | None:
    """Go on where `swap` was broken off; nothing happens where it was not. As for `swap`."""
    if not is_pending(folder):
        return None
    stage = folder / STAGE
    aside = folder / ASIDE / (stage / _READY).read_text()
    aside.mkdir(parents=True, exist_ok=True)
    for part in _PARTS:
        _put(stage, folder, aside, part)
    shutil.rmtree(stage)
    sync_folder(folder)
    if any(aside.iterdir()):
        return aside
    aside.rmdir()
    if not any(aside.parent.iterdir()):
        aside.parent.rmdir()
    return None


def _put(stage: Path, folder: Path, aside: Path, part: str) -> None:
    """A part of which there is a new one takes its place. Without a new one it stays, but for the old catalog's log."""
    log = part.endswith(".wal")
    there = (stage / (part.removesuffix(".wal") if log else part)).exists()
    if there and (folder / part).exists():
        (folder / part).rename(aside / part)
        sync_folder(aside)
    if there and not log:
        (stage / part).rename(folder / part)
    sync_folder(folder)
