"""Getting a damaged table of the vector store back: an earlier state of it, where one can be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from photoindex.store.vectors import Vectors

_TRIED = 50
# What a killed process leaves: tables that were being made or dropped, and files that were being written.
_LEFT = ("new", "dropped", "*.part", "*.lance/data/.tmp*")


def fall_back(vectors: Vectors, table: str, read: Callable[[], object]) -> int | None:
    """Take the newest states of a table away until `read` succeeds. Returns how many, or None where none can be read.

    Lance keeps the state of a table after each commit in a file of its own; a power cut may leave the newest empty.
    """
    versions = vectors.folder / f"{table}.lance" / "_versions"
    (versions / "latest_version_hint.json").unlink(missing_ok=True)
    for tried, manifest in enumerate([*_newest_first(versions)[:_TRIED], None]):
        try:
            read()
        except Exception:  # noqa: BLE001 - Lance raises anything for a damaged file
            if manifest is not None:
                manifest.unlink()
        else:
            return tried
    return None


def _newest_first(versions: Path) -> list[Path]:
    """Lance counts the names down from 2**64 - 1, or up in tables of an older form."""
    found = [path for path in versions.glob("*.manifest") if path.stem.isdigit()]
    down = all(len(path.stem) == 20 for path in found)
    return sorted(found, key=lambda path: int(path.stem), reverse=not down)


def left_behind(vectors: Vectors) -> Iterator[Path]:
    """Files and folders that a killed process left in the vector store."""
    for pattern in _LEFT:
        yield from (path for path in vectors.folder.glob(pattern) if not path.is_dir() or any(path.iterdir()))


def clear(path: Path) -> None:
    """Delete a file or a folder with all it holds."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
