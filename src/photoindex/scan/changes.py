"""Hearing of changes below a folder: from the kernel, or by looking again and again where it hears nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from pathlib import PurePath

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
        return {path for path in found if self._matters(path)}

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


def mark(path: str) -> Hashable:
    """What changes while a file is written: size and time. None where it is gone."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def folders_of(paths: set[str]) -> dict[str, bool] | None:
    """The folders to look at, with or without those below; None: all of the root, as there are too many."""
    touched: dict[str, bool] = {}
    for path in paths:
        suffix = PurePath(path).suffix.lower()
        if os.path.isdir(path):
            touched[path] = True
            touched.setdefault(os.path.dirname(path), False)
            continue
        touched.setdefault(os.path.dirname(path), False)
        if suffix not in PICTURE_SUFFIXES and not os.path.lexists(path):
            touched[path] = True  # it may have been a folder
        if len(touched) > _FOLDERS:
            return None
    return touched
