"""Restoring a backup: verified first, built aside, and put in place in one go; what was there is set aside."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photoindex.errors import BackupInvalid, LibraryCorrupt, LibraryNotWritable, PhotoindexError, UsageError
from photoindex.keeping.automatic import keep_words
from photoindex.keeping.findings import Repaired
from photoindex.keeping.merging import merge_words
from photoindex.keeping.repair import mend
from photoindex.keeping.words import FORMAT, Merged, Words, parse_words, read_words
from photoindex.store import soundness
from photoindex.store.backup_file import CATALOG, THUMBNAILS, VECTORS, WORDS, BackupReader, not_ours, reading_backup
from photoindex.store.lance_errors import in_words
from photoindex.store.library import Library, writer_lock
from photoindex.store.migrations import migrate_file, schema_of_file
from photoindex.store.swap import STAGE, is_pending, new_stage, swap
from photoindex.store.thumbnails import write_thumbnails
from photoindex.store.vector_copies import read_parquet
from photoindex.store.vectors import TERMS

_THUMBNAIL = re.compile(r"[0-9a-f]{64}\.jpg")
_LARGEST_THUMBNAIL = 4 << 20  # bytes; a sound one has some 30 kB
_HELD = 64 << 20  # bytes of thumbnails that are written in one go
_SPARE = 64 << 20


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: of which `kind` ("library", or "catalog" alone), how many rows of each kind, the folder with
    what was there before, and what had to be brought in line."""

    kind: str
    made_at: str
    counts: dict[str, int]
    set_aside: str | None
    repaired: tuple[Repaired, ...]


def is_words(file: Path) -> bool:
    """Whether a file is one of words alone, which is a JSON object. Raises BackupInvalid where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(1) == b"{"
    except OSError as error:
        raise BackupInvalid(file, error.strerror or str(error)) from None


def restore(folder: Path, file: Path, *, force: bool = False, tell: Callable[[str], None] = lambda _: None) -> Restored:
    """Make the library in `folder` what it was when the backup was made.

    All of the file is read and compared with its checksums before anything is changed. A library that is there is
    refused, and with `force` set aside whole. What the journals of `dupes apply` say of files stays as it is. Killed at
    any moment, the library is the one or the other. Raises BackupInvalid, BackupTooNew, UsageError and the Library*
    errors.
    """
    with reading_backup(file) as backup, writer_lock(folder):
        if not force and (folder / "catalog.duckdb").exists():
            raise UsageError(
                f"There is a library at {folder} already. --force sets it aside; another --library leaves it alone."
            )
        tell("Comparing the backup with its checksums.")
        backup.verify()
        _check_room(folder, backup)
        try:
            return _put_in_place(folder, backup, tell)
        except OSError as error:
            raise LibraryNotWritable(folder, error.strerror or str(error)) from error


def _put_in_place(folder: Path, backup: BackupReader, tell: Callable[[str], None]) -> Restored:
    tell("Restoring.")
    whole, counts = backup.manifest.get("kind") == "library", _counts(backup)
    try:
        restored = _built(new_stage(folder), backup)
        if whole:
            _fill_vectors(restored, backup)
            _fill_thumbnails(restored, backup)
            repaired = tuple(mend(restored))
        aside = swap(folder)
    except BaseException:
        if not is_pending(folder):  # else whoever opens the library next finishes it
            shutil.rmtree(folder / STAGE, ignore_errors=True)
        raise
    if not whole:  # the vectors and thumbnails that are there stay, and are brought in line with the catalog
        repaired = tuple(mend(Library(folder, writable=True)))
    kind = "library" if whole else "catalog"
    return Restored(kind, str(backup.manifest.get("made_at")), counts, str(aside) if aside else None, repaired)


def _counts(backup: BackupReader) -> dict[str, int]:
    counts = backup.manifest.get("counts", {})
    if not isinstance(counts, dict) or not all(type(count) is int for count in counts.values()):
        raise BackupInvalid(backup.path, "the counts in its manifest are none")
    return counts


def _built(stage: Path, backup: BackupReader) -> Library:
    """A library in the stage with a backup's catalog, brought to this program's schema and examined as by `check`.

    Raises BackupInvalid.
    """
    path = stage / CATALOG
    backup.extract(CATALOG, path)
    with _sound(backup, CATALOG):
        if odd := soundness.foreign_objects(path):
            raise BackupInvalid(backup.path, f"its catalog holds {odd[0]}, which no catalog of photoindex has")
        if (schema := schema_of_file(path)) != backup.schema:
            raise BackupInvalid(backup.path, f"its catalog is of schema {schema}, its manifest says {backup.schema}")
        migrate_file(path)
        restored = Library(stage, writable=True)
        if foreign := soundness.foreign_schema(restored.catalog.file):
            raise BackupInvalid(backup.path, f"its catalog lacks {', '.join(foreign[:5])}")
        soundness.read_all(restored.catalog.file)
    return restored


def _check_room(folder: Path, backup: BackupReader) -> None:
    free, needed = shutil.disk_usage(folder).free, backup.unpacked_bytes + _SPARE
    if free < needed:
        raise LibraryNotWritable(folder, f"restoring takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")


def _fill_vectors(library: Library, backup: BackupReader) -> None:
    library.vectors.folder.mkdir()
    for name in backup.names(VECTORS):
        own = name.removeprefix(f"{VECTORS}/")
        if own.endswith(".parquet"):
            with _sound(backup, name), backup.open(name) as source:
                read_parquet(library.vectors, own.removesuffix(".parquet"), source)
        elif own == TERMS or own.endswith(".npz"):
            backup.extract(name, library.vectors.folder / own)


def _fill_thumbnails(library: Library, backup: BackupReader) -> None:
    (library.folder / "cache").mkdir()
    for name in backup.names(THUMBNAILS):
        jpegs: dict[Path, bytes] = {}
        held = 0
        with _sound(backup, name), backup.open(name) as source, tarfile.open(fileobj=source, mode="r|") as tar:
            for info in tar:
                # Names say which photo, never where a file goes.
                if not info.isreg() or not _THUMBNAIL.fullmatch(info.name) or info.size > _LARGEST_THUMBNAIL:
                    raise BackupInvalid(backup.path, f"{name} holds {info.name!r}, which is no thumbnail")
                stream = tar.extractfile(info)
                if stream is not None:
                    jpegs[library.thumbnail_path(info.name[:64])] = stream.read()
                    held += info.size
                if held >= _HELD:
                    write_thumbnails(jpegs)
                    jpegs, held = {}, 0
            write_thumbnails(jpegs)


@contextlib.contextmanager
def _sound(backup: BackupReader, name: str) -> Any:
    """Whatever a library says of a member that it cannot read: this backup is none of ours."""
    try:
        yield
    except LibraryCorrupt as error:
        raise BackupInvalid(backup.path, f"{name} is damaged: {str(error).partition('. ')[0]}") from error
    except PhotoindexError:
        raise
    except Exception as error:  # pyarrow, tarfile and Lance have no common one
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if "No space left" in str(error):  # DuckDB's errors have no number
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise BackupInvalid(backup.path, f"{name}: {in_words(error)}") from error


def read_words_file(file: Path) -> Words:
    """The user's words in a file of words, or in a backup of a whole library. Raises BackupInvalid and UsageError."""
    try:
        if is_words(file):
            value = json.loads(file.read_bytes())
            if not isinstance(value, dict) or value.get("format") != FORMAT:
                raise BackupInvalid(file, not_ours(file))
            return parse_words(value)
        with reading_backup(file) as backup:
            if WORDS not in backup.names():
                raise BackupInvalid(file, "it holds a catalog alone, which `photoindex restore FILE` restores whole")
            backup.verify()
            with backup.open(WORDS) as source:
                return parse_words(json.load(source))
    except (ValueError, RecursionError) as error:
        raise BackupInvalid(file, f"it is no whole JSON ({error})") from None


def restore_words(folder: Path, file: Path, *, force: bool = False) -> tuple[Merged, ...]:
    """Merge the user's words in a file into the library in `folder`, which is made where it is not there.

    See `merge_words`. All of the file is checked first; with `force` the words that are there are kept first, in
    `backups` in the library's folder. Raises BackupInvalid, UsageError, LibraryBusy and others.
    """
    return put_words(folder, read_words_file(file), force=force)


def put_words(folder: Path, words: Words, *, force: bool = False) -> tuple[Merged, ...]:
    """Merge words that were read from a file, as `restore_words` does."""
    with Library.writing(folder) as library:
        if force and read_words(library) != Words():
            keep_words(library, "restore")
        return merge_words(library, words, force)
