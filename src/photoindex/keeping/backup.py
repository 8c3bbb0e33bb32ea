"""A library as one file, and the user's own words as another."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import photoindex
from photoindex.errors import LibraryCorrupt
from photoindex.keeping.words import Words, read_words, words_object
from photoindex.store.backup_file import (
    CATALOG,
    THUMBNAILS,
    VECTORS,
    WORDS,
    BackupWriter,
    new_file,
    writing_backup,
)
from photoindex.store.lance_errors import in_words
from photoindex.store.library import Library
from photoindex.store.migrations import SCHEMA
from photoindex.store.snapshot import copy_catalog, row_counts, shas_from
from photoindex.store.vector_copies import write_parquet
from photoindex.store.vectors import TERMS

_COUNTED = ("photos", "files", "collections", "decisions")
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made: the file, its size in bytes, and how many rows of each kind it holds."""

    file: str
    bytes: int
    counts: dict[str, int]


def backup(
    library: Library,
    target: Path,
    *,
    force: bool = False,
    thumbnails: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Backup:
    """Write all that a library knows into one file, as it is at one moment; a scan may go on meanwhile.

    The catalog is copied first: whatever it says is done lies in the vectors and thumbnails already, which are copied
    after it. Photos are not part of it, nor is the quarantine. `thumbnails` False leaves those to the next scan.
    Raises UsageError where `target` is there, unless `force`, BackupNotWritten, and LibraryCorrupt.
    """
    with writing_backup(target, force=force) as made:
        tell("Copying the catalog.")
        copy = Library(made.scratch)
        copy_catalog(library.catalog.file, made.scratch / CATALOG)
        counts = dict(row_counts(copy.catalog.file, _COUNTED))
        made.add_text(WORDS, json.dumps(words_object(read_words(copy), str(library.folder)), indent=1))
        tell("Copying the vectors.")
        counts |= _add_vectors(library, made)
        if thumbnails:
            tell("Copying the thumbnails.")
            counts["thumbnails"] = _add_thumbnails(library, copy, made)
        made.add_file(CATALOG, made.scratch / CATALOG)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        about = {"made_at": now, "photoindex": photoindex.__version__, "library": str(library.folder)}
        made.finish({"kind": "library", "schema": SCHEMA, **about, "counts": counts})
    return Backup(str(target), target.stat().st_size, counts)


def backup_words(library: Library, target: Path, *, force: bool = False) -> Words:
    """Write the user's own words alone, as JSON. Raises as `backup` does."""
    words = read_words(library)
    text = json.dumps(words_object(words, str(library.folder)), indent=1)
    with new_file(target, force=force) as part:
        part.write_text(text)
    return words


def _add_vectors(library: Library, made: BackupWriter) -> dict[str, int]:
    counts = {}
    for table in library.vectors.tables():
        rows = _copied(library, table, made)
        if rows is not None:
            counts[table] = rows
            with made.scratch.joinpath(f"{table}.parquet").open("rb") as source:
                _pour(made, f"{VECTORS}/{table}.parquet", source)
            made.scratch.joinpath(f"{table}.parquet").unlink()
    for path in sorted(library.vectors.folder.glob("*.background.npz")):
        if path.name.removesuffix(".background.npz") in counts:
            _pour(made, f"{VECTORS}/{path.name}", path.open("rb"))
    if (library.vectors.folder / TERMS).exists():
        _pour(made, f"{VECTORS}/{TERMS}", (library.vectors.folder / TERMS).open("rb"))
    return counts


def _copied(library: Library, table: str, made: BackupWriter) -> int | None:
    """Rows of a table in a file of the scratch folder; None where it was dropped meanwhile.

    A scan may clear away old states of a table while one is read, and then it is read again.
    """
    for left in reversed(range(_TRIES)):
        try:
            with made.scratch.joinpath(f"{table}.parquet").open("wb") as sink:
                return write_parquet(library.vectors, table, sink)
        except (LibraryCorrupt, OSError, ValueError) as error:
            if not library.vectors.has(table):
                return None
            if not left:
                why = f"{table} cannot be read ({in_words(error)}). See `photoindex check`"
                raise LibraryCorrupt(library.folder, why) from error
    return None


def _pour(made: BackupWriter, name: str, source: IO[bytes]) -> None:
    with source, made.member(name) as sink:
        while chunk := source.read(1 << 20):
            sink.write(chunk)


def _add_thumbnails(library: Library, copy: Library, made: BackupWriter) -> int:
    """Those of the photos in the copied catalog, in one tar for the first two digits of their SHA-256."""
    count, folder = 0, library.folder / "cache" / "thumbnails"
    for first in sorted(path.name for path in folder.glob("[0-9a-f][0-9a-f]")):
        shas = sorted(shas_from(copy.catalog.file, first))
        if shas:
            with made.member(f"{THUMBNAILS}/{first}.tar") as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
                count += sum(_add_thumbnail(tar, library.thumbnail_path(sha256)) for sha256 in shas)
    return count


def _add_thumbnail(tar: tarfile.TarFile, path: Path) -> bool:
    """Whether there was one. It is read first: a scan may replace or remove it just now."""
    try:
        jpeg = path.read_bytes()
    except FileNotFoundError:
        return False
    info = tarfile.TarInfo(path.name)
    info.size = len(jpeg)
    tar.addfile(info, io.BytesIO(jpeg))
    return True
