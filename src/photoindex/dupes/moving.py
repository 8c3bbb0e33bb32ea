"""Moving a file so that its bytes are whole in one place at every moment, and nothing is ever overwritten."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator

from photoindex.durable import sync_folder

_CHUNK = 1 << 20
# Neither through a symbolic link nor waiting for a pipe.
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EROFS)
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


class FileChanged(Exception):
    """A file is not what it should be; the message says how."""


def sha256_of(path: str) -> tuple[str, os.stat_result]:
    """The SHA-256 of a regular file, and what it was while it was read. Raises OSError and FileChanged."""
    descriptor = os.open(path, os.O_RDONLY | _CAREFULLY)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise FileChanged("it is no regular file any more")
        digest = hashlib.sha256()
        while data := os.read(descriptor, _CHUNK):
            digest.update(data)
        if identity(os.fstat(descriptor)) != identity(before):
            raise FileChanged("it changed while it was read")
    finally:
        os.close(descriptor)
    return digest.hexdigest(), before


@contextlib.contextmanager
def reserved(path: str, keeper: str) -> Iterator[None]:
    """Nobody else lets go of what stays meanwhile, as when the plan of another library keeps the other of the two.

    Raises FileChanged where somebody is at it. Where files cannot be locked (Windows, some network shares) nothing is
    reserved.
    """
    with contextlib.ExitStack() as stack:
        if sys.platform != "win32":
            for name, shared in ((keeper, True), (path, False)):
                if (descriptor := _locked(name, shared)) is not None:
                    stack.callback(os.close, descriptor)
        yield


def _locked(path: str, shared: bool) -> int | None:
    """A descriptor that holds the lock until it is closed, or None where there is none to be had."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | _CAREFULLY)
    except OSError:
        return None  # what is wrong with it is found and told by those that read it
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FileChanged(f"another program is at work upon {path}") from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def put_on_disk(path: str) -> None:
    """Have a file's bytes and its name on disk, as far as its file system does that when asked.

    Whoever copied it may not have: its bytes are then in memory only, and lost with the power. Windows does that only
    for files opened for writing, which photos are not. Raises OSError.
    """
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY | _CAREFULLY)
    try:
        os.fsync(descriptor)
        sync_folder(os.path.dirname(path))
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def same_bytes(one: str, other: str) -> bool:
    """Whether two files hold the same bytes, read now. Raises OSError."""
    with open(one, "rb") as first, open(other, "rb") as second:
        while True:
            mine, theirs = first.read(_CHUNK), second.read(_CHUNK)
            if mine != theirs:
                return False
            if not mine:
                return True


def move(path: str, place: str, sha256: str, seen: os.stat_result | None = None) -> None:
    """Move a file of known bytes to a place where nothing is. `seen`: what it must still be, as `sha256_of` told.

    Within a file system the name moves at once. To another one a copy is made, read again and put on disk before the
    old name goes. Raises FileExistsError, FileChanged and OSError, and then the file is where it was.
    """
    if seen is not None and identity(os.lstat(path)) != identity(seen):
        raise FileChanged("it changed while it was looked at")
    try:
        publish(path, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        before = os.lstat(path)
        _copy(path, place, sha256)
        if identity(os.lstat(path)) != identity(before):
            os.unlink(place)
            raise FileChanged("it changed while it was copied") from None
        os.unlink(path)
    sync_folder(os.path.dirname(place))
    sync_folder(os.path.dirname(path))


def publish(path: str, place: str) -> None:
    """Rename by a second name: unlike a plain rename, that fails where something is.

    On a file system without hard links (FAT, exFAT) it is looked first and renamed then: a file that another program
    puts there in between would be overwritten. Raises FileExistsError and OSError.
    """
    try:
        os.link(path, place)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(place):  # a file system without hard links
            raise FileExistsError(errno.EEXIST, "Something lies there", place) from None
        os.rename(path, place)
        return
    sync_folder(os.path.dirname(place))
    os.unlink(path)


def _copy(path: str, place: str, sha256: str) -> None:
    part = part_name(place, sha256)
    remove(part)
    try:
        copy_bytes(path, part, sha256)
        found = os.stat(path)
        with contextlib.suppress(OSError):  # only root may give files away
            os.chown(part, found.st_uid, found.st_gid)
        shutil.copystat(path, part)
        publish(part, place)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(part)
        raise
    sync_folder(os.path.dirname(place))


def copy_bytes(path: str, part: str, sha256: str) -> None:
    """A new file of the same bytes, on disk and read again. Raises FileChanged and OSError."""
    with open(path, "rb") as source, open(part, "xb") as target:
        shutil.copyfileobj(source, target, _CHUNK)
        target.flush()
        os.fsync(target.fileno())
    if sha256_of(part)[0] != sha256:
        raise FileChanged("its copy did not read as it should")


def settle(path: str, place: str, sha256: str) -> bool:
    """After a crash in `move`: leave one of two equal files, the one at `path`. Returns whether only `place` is left.

    Raises OSError.
    """
    for name in (path, place):
        remove(part_name(name, sha256))
    if not os.path.lexists(place):
        return False
    if not os.path.lexists(path):
        return True
    with contextlib.suppress(FileChanged):
        if os.path.samestat(os.lstat(path), os.lstat(place)) or sha256_of(path)[0] == sha256:
            os.unlink(place)
            return False
    return True


def part_name(place: str, sha256: str, ending: str = "part") -> str:
    """A name beside `place` that is ours alone, for a file that is not whole yet; no longer than any folder takes."""
    folder, name = os.path.split(place)
    mark = hashlib.sha256(os.fsencode(name) + b"/" + sha256.encode()).hexdigest()[:24]
    return os.path.join(folder, f".{mark}.photoindex-{ending}")


def remove(path: str) -> None:
    """Delete a file that need not be there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def identity(found: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when a file is replaced or written to."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
