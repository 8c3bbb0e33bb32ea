"""Copies that share their bytes on disk until one of them is written to (btrfs, XFS, bcachefs; APFS)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys

from photoindex.dupes.moving import remove

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
        told = "its disk cannot share bytes between files (reflink); take --to hardlink, symlink or quarantine"
        raise OSError(error.errno, told) from None


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
