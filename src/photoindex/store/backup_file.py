"""The form of a backup: a zip with a manifest, the SHA-256 of every other member, and the members themselves.

It is readable without this program: `unzip`, then `sha256sum -c SHA256SUMS`. The catalog is a DuckDB file, tables of
vectors are Parquet, thumbnails are JPEG in one tar for the first two digits of their photos (a zip with a million
members would take a gigabyte to write), the user's own words are JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from photoindex.durable import sync_file, sync_folder
from photoindex.errors import BackupInvalid, BackupNotWritten, BackupTooNew, UsageError
from photoindex.store.migrations import SCHEMA

FORMAT = "photoindex backup 1"
MANIFEST, CHECKSUMS, CATALOG, WORDS = "manifest.json", "SHA256SUMS", "catalog.duckdb", "user-data.json"
VECTORS, THUMBNAILS = "vectors", "thumbnails"
_MEMBER = re.compile(
    r"catalog\.duckdb|user-data\.json|thumbnails/[0-9a-f]{2}\.tar"
    r"|vectors/(?!\.)[^/\\:\x00-\x1f]{1,200}\.(?:parquet|npz)|vectors/terms\.txt"
)
_CHUNK = 1 << 20
# What zipfile raises for files that are no whole zip, or one that it cannot read.
_UNREADABLE = (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)
_WORDS_HEAD, _OF_WORDS = 4096, re.compile(rb'"format":\s*"photoindex user data ')
_FORMAT = re.compile(rb'"format":\s*"([\w -]{1,40})"', re.ASCII)
_HEADING_LIMIT = 1 << 20  # bytes of the manifest and of the checksums: a few hundred members make some 50 kB


class _Sink(io.RawIOBase):
    """Writes into a member of the zip and computes the SHA-256 of what passes."""

    def __init__(self, into: IO[bytes]) -> None:
        self._into, self._digest, self._count = into, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        chunk = memoryview(data).cast("B")
        self._into.write(chunk)
        self._digest.update(chunk)
        self._count += len(chunk)
        return len(chunk)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._count

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class BackupWriter:
    """A backup that is being written. `scratch`: a folder for what has to be a file before it becomes a member."""

    def __init__(self, archive: zipfile.ZipFile, scratch: Path) -> None:
        self.scratch = scratch
        self._archive = archive
        self._sums: list[str] = []

    @contextlib.contextmanager
    def member(self, name: str, *, compress: bool = False) -> Iterator[_Sink]:
        info = zipfile.ZipInfo(name)  # dated 1980, so that equal libraries give equal members
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info.external_attr = 0o644 << 16
        with self._archive.open(info, "w", force_zip64=True) as into:
            sink = _Sink(into)
            yield sink
        self._sums.append(f"{sink.sha256}  {name}\n")

    def add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as source, self.member(name, compress=True) as sink:
            shutil.copyfileobj(source, sink, _CHUNK)

    def add_text(self, name: str, text: str) -> None:
        with self.member(name, compress=True) as sink:
            sink.write(text.encode())

    def finish(self, manifest: Mapping[str, Any]) -> None:
        sums = "".join(self._sums).encode()
        self._archive.writestr(CHECKSUMS, sums)
        heading = {"format": FORMAT, **manifest, "checksums_sha256": hashlib.sha256(sums).hexdigest()}
        self._archive.writestr(MANIFEST, json.dumps(heading, indent=2))


@contextlib.contextmanager
def writing_backup(target: Path, *, force: bool = False) -> Iterator[BackupWriter]:
    """A new backup, which gets its name when the block ends and all of it is on disk; a failed one leaves nothing.

    Raises UsageError where `target` is there, unless `force`, and BackupNotWritten.
    """
    with new_file(target, force=force) as file:
        scratch = file.with_suffix(".parts")
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            scratch.mkdir()
            with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
                yield BackupWriter(archive, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def new_file(target: Path, *, force: bool = False) -> Iterator[Path]:
    """A path beside `target` to write to; when the block ends well, it is put on disk and gets the name of `target`.

    What a killed process left there is taken over. Raises UsageError where `target` is there, unless `force`, or
    another process is writing it, and BackupNotWritten.
    """
    from filelock import FileLock, Timeout

    part, lock = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.lock")
    try:
        _must_be_new(target, force)
        with FileLock(lock, timeout=0):
            try:
                yield part
                _publish(part, target, force)
            finally:
                part.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
    except Timeout:
        raise UsageError(f"Another process is writing {target} just now.") from None
    except OSError as error:
        raise BackupNotWritten(target, error.strerror or str(error)) from error


def _must_be_new(target: Path, force: bool) -> None:
    if not target.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {target.absolute().parent} for a backup.")
    if target.is_dir():
        raise UsageError(f"{target} is a folder: give the name of a file.")
    if not force and os.path.lexists(target):
        raise UsageError(f"{target} is there already: choose another name, or replace it with --force.")
    if os.path.lexists(target) and not _is_ours(target):
        raise UsageError(f"{target} is no backup of photoindex, and is not replaced: choose another name.")


def _is_ours(path: Path) -> bool:
    """Whether a file is a backup or holds a user's words, as far as its heading tells; an empty one is nobody's."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_WORDS_HEAD)
        if not head or (head.lstrip().startswith(b"{") and _OF_WORDS.search(head)):
            return True
        with zipfile.ZipFile(path) as archive, archive.open(MANIFEST) as source:
            return b'"photoindex backup ' in source.read(_HEADING_LIMIT)
    except (*_UNREADABLE, KeyError):
        return False


def _publish(part: Path, target: Path, force: bool) -> None:
    sync_file(part)
    _must_be_new(target, force)
    part.replace(target)
    sync_folder(target.parent)


class BackupReader:
    """A backup whose list of members and heading are sound; `verify` reads the members themselves."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self.manifest, self._sums = self._read_heading()

    @property
    def schema(self) -> int:
        return int(self.manifest["schema"])

    @property
    def unpacked_bytes(self) -> int:
        """What all members take when they are unpacked."""
        return sum(info.file_size for info in self._archive.infolist())

    def names(self, folder: str = "") -> list[str]:
        return [name for name in self._sums if name.startswith(f"{folder}/" if folder else "")]

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(name)

    def extract(self, name: str, to: Path) -> None:
        """Write a member to a new file, and put it on disk. Its name never decides where it goes."""
        with self.open(name) as source, to.open("xb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
            file.flush()
            os.fsync(file.fileno())

    def verify(self) -> None:
        """Read every member and compare it with its checksum. Raises BackupInvalid."""
        for name, expected in self._sums.items():
            digest = hashlib.sha256()
            try:
                with self.open(name) as source:
                    while chunk := source.read(_CHUNK):
                        digest.update(chunk)
            except _UNREADABLE as error:
                raise self._invalid(f"{name} cannot be read: {error}") from None
            if digest.hexdigest() != expected:
                raise self._invalid(f"{name} is not what it was when the backup was made")

    def _read_heading(self) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        names = [info.filename for info in self._archive.infolist()]
        if len(names) != len(set(names)):
            raise self._invalid("it holds two members of one name")
        odd = [name for name in names if name not in (MANIFEST, CHECKSUMS) and not _MEMBER.fullmatch(name)]
        if odd:
            raise self._invalid(f"it holds {odd[0]!r}, which no backup of photoindex has")
        if CATALOG not in names:
            raise self._invalid(f"it has no {CATALOG}")
        manifest, sums = self._manifest(), self._heading(CHECKSUMS)
        if hashlib.sha256(sums).hexdigest() != manifest.get("checksums_sha256"):
            raise self._invalid("its list of checksums is not what it was when the backup was made")
        listed = {line[66:]: line[:64] for line in sums.decode(errors="replace").splitlines()}
        if set(listed) != set(names) - {MANIFEST, CHECKSUMS}:
            raise self._invalid("its list of checksums is not about the members that it has")
        return manifest, listed

    def _manifest(self) -> Mapping[str, Any]:
        try:
            manifest = json.loads(self._heading(MANIFEST))
            known = manifest["format"] == FORMAT
            schema = int(manifest["schema"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise self._invalid("its manifest is no JSON of photoindex") from None
        if not known:
            raise self._invalid(f"its format is {manifest['format']!r}, and this program knows {FORMAT!r}")
        if schema < 1:
            raise self._invalid(f"its manifest says that its schema is {schema}")
        if schema > SCHEMA:
            raise BackupTooNew(self.path, schema, SCHEMA)
        found: Mapping[str, Any] = manifest
        return found

    def _heading(self, name: str) -> bytes:
        try:
            with self.open(name) as source:
                data = source.read(_HEADING_LIMIT + 1)
        except KeyError:
            raise self._invalid(f"it has no {name}") from None
        except _UNREADABLE as error:
            raise self._invalid(f"{name} cannot be read: {error}") from None
        if len(data) > _HEADING_LIMIT:
            raise self._invalid(f"{name} is too large to be one of photoindex")
        return data

    def _invalid(self, why: str) -> BackupInvalid:
        return BackupInvalid(self.path, why)


def not_ours(path: Path) -> str:
    """What a file is that is neither a backup nor the user's words, as far as its first bytes tell, and what is."""
    with path.open("rb") as stream:
        head = stream.read(_WORDS_HEAD)
    named = _FORMAT.search(head)
    if head.startswith(b"PK"):
        return "it is no whole zip file: it was perhaps not copied to its end"
    if not head:
        what = "it is empty"
    elif head.lstrip().startswith((b"{", b"[")):
        what = f"it is JSON of another kind ({named[1].decode()})" if named else "it is JSON of another kind"
    elif head[8:12] == b"DUCK":
        what = "it is the catalog of a library alone; `--library FOLDER` opens a library where it lies"
    else:
        what = "it is no zip file, and no JSON"
    return f"{what}. What `photoindex backup` wrote can be restored: a zip, or with --user-data JSON"


@contextlib.contextmanager
def reading_backup(path: Path) -> Iterator[BackupReader]:
    """A backup to read. Raises BackupInvalid and BackupTooNew."""
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise BackupInvalid(path, why or not_ours(path)) from None
    with archive:
        yield BackupReader(path, archive)
