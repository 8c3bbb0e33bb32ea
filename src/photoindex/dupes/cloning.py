"""Copies that share their bytes on disk until one of them is written to (btrfs, XFS, bcachefs; APFS)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from photoindex.dupes.moving import remove

CANNOT = "its disk cannot share bytes between files (reflink); take --to hardlink, symlink or quarantine"
UNKNOWN = "only the real run can tell whether its disk shares bytes between files (reflink)"
_FICLONE = 0x40049409  # ioctl_ficlone(2)


def clone(path: str, new: str) -> None:
    """A new file at `new`. Raises OSError; where the file system cannot do it, with a message that says so."""
    try:
        if sys.platform == "linux":
            _ficlone(path, new)
        elif sys.platform == "darwin":
            _clonefile(path, new)
        else:
            raise OSError(errno.ENOTSUP, "not known on this system")
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS):
            raise
        raise OSError(error.errno, CANNOT) from None


def foreseen(library: Path) -> Callable[[os.stat_result, os.stat_result], str]:
    """A function that says what keeps two files from sharing bytes: CANNOT, UNKNOWN or nothing.

    Nothing is written beside photos: it is tried once in the library's own folder, which tells of that disk alone.
    """
    tried = list[str]()

    def answer(one: os.stat_result, other: os.stat_result) -> str:
        if not one.st_dev == other.st_dev == os.stat(library).st_dev:
            return UNKNOWN
        if not tried:
            tried.append(_tried(library))
        return tried[0]

    return answer


def _tried(folder: Path) -> str:
    try:
        with tempfile.TemporaryDirectory(prefix=".reflink-", dir=folder) as inside:
            source = os.path.join(inside, "1")
            with open(source, "xb") as file:
                file.write(bytes(4096))
            clone(source, os.path.join(inside, "2"))
    except OSError as error:
        return CANNOT if error.strerror == CANNOT else UNKNOWN
    return ""


def _ficlone(path: str, new: str) -> None:
    import fcntl

    with open(path, "rb") as source, open(new, "xb") as target:
        try:
            fcntl.ioctl(target, _FICLONE, source.fileno())
            os.fsync(target.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                remove(new)
            raise


def _clonefile(path: str, new: str) -> None:
    """clonefile(2) of macOS; flag 1: links are not followed."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.clonefile(os.fsencode(path), os.fsencode(new), 1) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
