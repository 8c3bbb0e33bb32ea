"""Hearing of changes below a folder: from the kernel, or by looking again and again where it hears nothing."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Mapping
from pathlib import PurePath
from typing import NamedTuple

from photoindex.media.formats import PICTURE_SUFFIXES, SIDECAR_SUFFIX
from photoindex.media.mounts import remote_kind

POLL_S = 60.0
_GROUPED_MS = 400
_FOLDERS = 200  # where more of them have changed, all of the root is looked at


class Changes:
    """Watches `root` in a thread until `close`. `poll_s`: how often to look; None leaves it to the kernel.

    `problem`: why it hears nothing any more, or None.
    """

    def __init__(self, root: str, poll_s: float | None, library: str) -> None:
        self.root, self.poll_s = root, poll_s
        self.problem: str | None = None
        self._library = library
        self._found: set[str] = set()
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"watch {root}", daemon=True)
        self._thread.start()

    def take(self) -> set[str]:
        """The paths that changed since the last time, pictures, sidecars and folders alone."""
        with self._turn:
            found, self._found = self._found, set()
        return found

    def close(self) -> None:
        """Hear no more. A thread that a silent file system holds is left behind."""
        self._stop.set()
        self._thread.join(timeout=2.0)

    def _listen(self) -> None:
        from watchfiles import Change, watch

        try:
            for changes in watch(
                self.root,
                watch_filter=None,
                debounce=_GROUPED_MS,
                stop_event=self._stop,
                raise_interrupt=False,
                force_polling=self.poll_s is not None,
                poll_delay_ms=round((self.poll_s or 1) * 1000),
                ignore_permission_denied=True,
            ):
                # that a folder was modified says no more than what is said of the files in it
                told = {path for change, path in changes if change is not Change.modified or not os.path.isdir(path)}
                told = {path for path in told if self._matters(path)}
                with self._turn:
                    self._found |= told
        except Exception as error:  # noqa: BLE001 - the library raises what the system says; it is told and polled instead
            self.problem = " ".join(str(error).split()) or type(error).__name__

    def _matters(self, path: str) -> bool:
        below = os.path.relpath(path, self.root)
        if below == os.curdir or any(part.startswith(".") for part in below.split(os.sep)):
            return False  # hidden, or not in the root
        if path == self._library or path.startswith(self._library + os.sep):
            return False
        suffix = PurePath(path).suffix.lower()
        return not suffix or suffix in PICTURE_SUFFIXES or suffix == SIDECAR_SUFFIX or not os.path.isfile(path)


def choose_poll(root: str, asked: float | None) -> float | None:
    """How often to look at `root`: as asked for, each minute on remote file systems, else not at all."""
    if asked is not None:
        return asked
    return POLL_S if remote_kind(root) is not None else None


class Mark(NamedTuple):
    """What changes while a file is written."""

    size: int
    mtime_ns: int
    inode: int
    is_folder: bool = False


def mark(path: str) -> Mark | None:
    """The mark of what is at `path`; None where it is gone."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return Mark(found.st_size, found.st_mtime_ns, found.st_ino, stat.S_ISDIR(found.st_mode))


def folders_of(marks: Mapping[str, Mark | None]) -> dict[str, bool] | None:
    """The folders to look at, with or without those below; None: all of the root, as there are too many."""
    touched: dict[str, bool] = {}
    for path, found in marks.items():
        touched.setdefault(os.path.dirname(path), False)
        was_folder = found is None and PurePath(path).suffix.lower() not in PICTURE_SUFFIXES  # it may have been one
        if was_folder or (found is not None and found.is_folder):
            touched[path] = True
        if len(touched) > _FOLDERS:
            return None
    return touched
