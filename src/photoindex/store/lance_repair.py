"""Getting a damaged table of the vector store back: an earlier state of it, where one can be read."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from photoindex.errors import LibraryUnreadable
from photoindex.store.lance_errors import in_words
from photoindex.store.vectors import Vectors

_TRIED = 50
_OS_ERROR = re.compile(r"\bos error (\d+)")
_PASSING = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS}
# What a killed process leaves: tables that were being made or dropped, and files that were being written.
_AWAY = ".manifests"
_LEFT = ("new", "dropped", "*.part", "*.lance/data/.tmp*")


def fall_back(vectors: Vectors, table: str, read: Callable[[], object]) -> int | None:
    """Take the newest states of a table away until `read` succeeds. Returns how many, or None where none can be read.

    Lance keeps the state of a table after each commit in a file of its own; a power cut may leave the newest empty.
    They lie aside until one can be read; else they are put back, after a kill by `put_back`. Raises LibraryUnreadable
    where `read` fails for a reason that says nothing against the table, such as too little memory.
    """
    versions = vectors.folder / f"{table}.lance" / "_versions"
    away = vectors.folder / f"{table}{_AWAY}"
    _put_back(away, versions)
    (versions / "latest_version_hint.json").unlink(missing_ok=True)
    try:
        for tried, manifest in enumerate([*_newest_first(versions)[:_TRIED], None]):
            try:
                read()
            except Exception as error:
                if is_passing(error):
                    raise LibraryUnreadable(vectors.folder.parent, f"{table}: {in_words(error)}") from error
                if manifest is not None:
                    away.mkdir(exist_ok=True)
                    manifest.rename(away / manifest.name)
            else:
                clear(away)
                return tried
        return None
    finally:
        _put_back(away, versions)


def is_passing(error: Exception) -> bool:
    """Whether an error comes from the machine, or from a Lance that is too old, and not from damage."""
    if isinstance(error, MemoryError):
        return True
    told = _OS_ERROR.search(str(error))  # Lance has the number in words alone
    number = int(told[1]) if told else error.errno if isinstance(error, OSError) else None
    return number in _PASSING or "upgrade Lance" in str(error)


def lying_aside(vectors: Vectors) -> dict[str, int]:
    """By table how many of its states `fall_back` was trying to do without when its process was killed."""
    found = {path.name.removesuffix(_AWAY): path for path in vectors.folder.glob(f"*{_AWAY}")}
    return {table: sum(1 for _ in path.iterdir()) for table, path in sorted(found.items())}


def put_back(vectors: Vectors) -> None:
    """What lies aside is a part of its table again, unless that is gone or was written to since."""
    for table in lying_aside(vectors):
        _put_back(vectors.folder / f"{table}{_AWAY}", vectors.folder / f"{table}.lance" / "_versions")


def _put_back(away: Path, versions: Path) -> None:
    if not away.is_dir():
        return
    manifests = list(away.iterdir())
    if versions.is_dir() and not any((versions / manifest.name).exists() for manifest in manifests):
        for manifest in manifests:
            manifest.rename(versions / manifest.name)
    clear(away)


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
