"""Photos out of a library: their files into a folder, as copies or links, and what is known of them as a table.

Files of the library are only read. Nothing that exists is overwritten, and nothing is written below a scanned folder
unless that is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO, Literal

from photoindex.errors import UsageError
from photoindex.media.reach import unreachable
from photoindex.records import PhotoRow
from photoindex.store.arrow import decode_path
from photoindex.store.library import Library
from photoindex.store.sql import export_table

Link = Literal["hard", "sym"]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of a photo. `action`: copied, linked, there (it was there already) or failed; where nothing was to be
    done yet, copy or link."""

    path: str
    photo: str
    to: str | None
    action: Literal["copied", "linked", "there", "failed", "copy", "link"]
    problem: str | None = None


def export_folder(
    library: Library,
    photo_ids: Sequence[int],
    folder: Path,
    link: Link | None = None,
    dry_run: bool = False,
    inside_root: bool = False,
) -> Iterator[Exported]:
    """Copy or link one file of each photo, in reach if there is one, into a folder, under its name, or a numbered one
    where that is taken.

    A copy is compared with the SHA-256 of the photo, so a file that changed since the last scan fails. A photo that is
    in the folder from before is left there. Raises UsageError, before anything is done, for a folder that cannot be
    used.
    """
    check_target(library, folder, inside_root)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; --output takes the folder to fill.")
    if not dry_run:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    rows = library.queries.rows(photo_ids, unreachable)
    return _exported([rows[i] for i in photo_ids if i in rows], os.path.abspath(folder), link, dry_run)


def check_target(library: Library, target: Path, inside_root: bool) -> None:
    """Raises UsageError for what lies below a scanned folder, unless that is meant."""
    real = os.path.realpath(target)
    for root in library.queries.status().roots:
        if not inside_root and os.path.commonpath([real, os.path.realpath(root)]) == os.path.realpath(root):
            raise UsageError(
                f"{target} lies in {root}, which is scanned: what is put there would be found as photos of its own."
                " Choose another place, or say --inside-root."
            )


def _exported(rows: Sequence[PhotoRow], folder: str, link: Link | None, dry_run: bool) -> Iterator[Exported]:
    planned: set[str] = set()  # by a dry run, which leaves no files to meet
    for row in rows:
        if row.missing:
            yield Exported(row.path, row.photo, None, "failed", "its file was not there at the last scan")
            continue
        try:
            yield _one(row, folder, link, planned if dry_run else None)
        except OSError as error:
            yield Exported(row.path, row.photo, None, "failed", error.strerror or str(error))


def _one(row: PhotoRow, folder: str, link: Link | None, planned: set[str] | None) -> Exported:
    stem, suffix = os.path.splitext(os.path.basename(row.path))
    for number in count(1):
        to = os.path.join(folder, f"{stem} ({number}){suffix}" if number > 1 else stem + suffix)
        if os.path.lexists(to):
            if _is_there(row, to, link):
                return Exported(row.path, row.photo, to, "there")
            continue
        if planned is not None:
            if to in planned:
                continue
            planned.add(to)
            return Exported(row.path, row.photo, to, "link" if link else "copy")
        with contextlib.suppress(FileExistsError):  # somebody else made it just now
            if link is None:
                _copy(row, to)
                return Exported(row.path, row.photo, to, "copied")
            _link(row.path, to, link)
            return Exported(row.path, row.photo, to, "linked")
    raise AssertionError("count() does not end")


def _is_there(row: PhotoRow, to: str, link: Link | None) -> bool:
    if link == "sym":
        return os.path.islink(to) and os.readlink(to) == row.path
    if os.path.islink(to) or not os.path.isfile(to):
        return False
    if link == "hard":
        return os.path.samefile(to, row.path)
    return os.path.getsize(to) == row.bytes and _sha256(to) == row.photo


def _link(path: str, to: str, link: Link) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError(2, "its file is not there")
    if link == "sym":
        os.symlink(path, to)
        return
    try:
        os.link(path, to)
    except FileExistsError:
        raise
    except OSError as error:
        raise OSError(error.errno, f"cannot be hard-linked there ({error.strerror}); --link sym can") from error


def _copy(row: PhotoRow, to: str) -> None:
    """First beside it, so that nothing ever has the name of a photo without being it."""
    part = os.path.join(os.path.dirname(to), f".photoindex-{os.getpid()}.part")
    try:
        with open(row.path, "rb") as source, open(part, "wb") as target:
            digest = _pour(source, target)
            times = os.fstat(source.fileno())
        if digest != row.photo or os.path.getsize(part) != row.bytes:
            raise OSError(5, "its file is not what it was at the last scan; scan again")
        with contextlib.suppress(OSError):  # some file systems keep no such times
            os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
        os.close(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # takes the name, or fails where somebody has it
        os.replace(part, to)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def _pour(source: BinaryIO, target: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- tables


def export_rows(library: Library, photo_ids: Sequence[int]) -> tuple[list[str], list[dict[str, object]]]:
    """The columns of docs/json.md, and a row for each photo; paths as `os.fsdecode` gives them."""
    table = export_table(library.catalog.file, photo_ids)
    rows = table.to_pylist()
    for row in rows:
        raw = row.pop("path_bytes")
        row["path"] = row["path"] if raw is None else decode_path(raw)
    return [name for name in table.column_names if name != "path_bytes"], rows


def export_parquet(library: Library, photo_ids: Sequence[int], target: BinaryIO) -> None:
    """The same as a Parquet file; a path that is no UTF-8 is written with escapes, and its bytes in `path_bytes`."""
    from pyarrow import parquet

    parquet.write_table(export_table(library.catalog.file, photo_ids), target)


@contextlib.contextmanager
def new_file(library: Library, path: Path, inside_root: bool) -> Iterator[BinaryIO]:
    """A file to write, which must be new, and is gone again where writing it fails. Raises UsageError."""
    check_target(library, path, inside_root)
    try:
        file = path.open("xb")
    except FileExistsError:
        raise UsageError(f"{path} is there already, and nothing is overwritten: choose another name.") from None
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from error
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
