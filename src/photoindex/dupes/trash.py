"""The desktop's trash: a library sends files there, and the freedesktop.org specification says where they then are.

https://specifications.freedesktop.org/trash-spec/1.0: a trash has the folders `files` and `info`; `info/NAME.trashinfo`
says in `Path=` where `files/NAME` came from: percent-encoded, and relative to the folder above the trash or absolute.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import unquote_to_bytes

from photoindex.dupes.moving import FileChanged, move, remove, sha256_of

_INFO = ".trashinfo"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a trash (which may be gone from it), and what says where it came from."""

    file: str
    info: str


def can_bring_back() -> bool:
    """Whether this system says where in the trash a file is. macOS and Windows only tell their own programs."""
    return sys.platform not in ("darwin", "win32")


def send(path: str) -> None:
    """Raises OSError."""
    from send2trash import send2trash

    send2trash(path)


def entries_of(path: str) -> list[Entry]:
    """All entries of files that lay at `path`, the latest first."""
    found = [entry for trash, top in _trashes(path) for entry in _entries(trash, top, path)]
    return sorted(found, key=lambda entry: _changed(entry.info), reverse=True)


def find(path: str, sha256: str) -> Entry | None:
    """The latest entry of a file that lay at `path` with these bytes."""
    for entry in entries_of(path):
        with contextlib.suppress(OSError, FileChanged):
            if sha256_of(entry.file)[0] == sha256:
                return entry
    return None


def bring_back(path: str, sha256: str) -> None:
    """Move a file from the trash to where it was. Raises FileExistsError, FileChanged and OSError."""
    entry = find(path, sha256)
    if entry is None:
        raise FileChanged("it is not in the trash any more")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    move(entry.file, path, sha256)
    remove(entry.info)


def drop_spares(path: str) -> None:
    """Remove entries without a file, and entries whose file is the one at `path`: a crash left them. Raises OSError."""
    for entry in entries_of(path):
        if not os.path.lexists(entry.file):
            remove(entry.info)
        elif os.path.lexists(path) and os.path.samestat(os.lstat(entry.file), os.lstat(path)):
            os.unlink(entry.file)
            remove(entry.info)


def _trashes(path: str) -> Iterator[tuple[str, str]]:
    """Each trash that may hold a file of this path, with the folder that its relative paths begin at."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    tops = [(os.path.join(data, "Trash"), data)]
    top = _mount_point(os.path.dirname(path))
    user = os.getuid() if hasattr(os, "getuid") else 0
    tops += [(os.path.join(top, ".Trash", str(user)), top), (os.path.join(top, f".Trash-{user}"), top)]
    for trash, above in tops:
        if os.path.isdir(os.path.join(trash, "info")):
            yield trash, above


def _mount_point(folder: str) -> str:
    folder = os.path.realpath(folder)
    while not os.path.ismount(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder


def _entries(trash: str, top: str, path: str) -> Iterator[Entry]:
    stem = PurePath(path).stem  # numbers are put behind it where a name is taken
    for name in os.listdir(os.path.join(trash, "info")):
        if name.startswith(stem) and name.endswith(_INFO):
            info = os.path.join(trash, "info", name)
            if _came_from(info, top, path):
                yield Entry(os.path.join(trash, "files", name.removesuffix(_INFO)), info)


def _came_from(info: str, top: str, path: str) -> bool:
    try:
        with open(info, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    told = next((line.removeprefix(b"Path=") for line in lines if line.startswith(b"Path=")), None)
    if told is None:
        return False
    origin = os.path.join(top, os.fsdecode(unquote_to_bytes(told)))
    return origin == path or _real(origin) == _real(path)


def _real(path: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _changed(path: str) -> int:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0
