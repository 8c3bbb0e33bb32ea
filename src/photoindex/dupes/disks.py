"""On which disk a file lay when a run announced it, and whether that disk is there now.

Where a disk is unplugged its mount point may stay behind, as an empty folder of the disk below it: files that lay there
look deleted, and what is written there is hidden once the disk is back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from photoindex.dupes.journal import Act
from photoindex.media.reach import IS_EMPTY, trouble_with, unreachable
from photoindex.pure.keep import is_below


def mount_of(path: str) -> str:
    """Where the disk is mounted on which a file lies, links followed."""
    found = os.path.realpath(os.path.dirname(path))
    while not os.path.ismount(found) and os.path.dirname(found) != found:
        found = os.path.dirname(found)
    return found


class OutOfReach:
    """Which of the folders that were scanned cannot be reached, asked for all that hold one of `paths` at once."""

    def __init__(self, roots: Sequence[str], paths: Iterable[str]) -> None:
        self._roots = sorted(roots, key=len, reverse=True)
        troubles = unreachable({self._root(path) for path in paths} - {""})
        self._away = {root: trouble for root, trouble in troubles.items() if _is_gone(root, trouble)}

    def why(self, path: str) -> str:
        """In words why the folder of a file cannot be reached, and which; nothing where it could."""
        root = self._root(path)
        return f"the folder {root} cannot be reached ({self._away[root]})" if root in self._away else ""

    def why_now(self, path: str) -> str:
        """The same, of a folder that may have gone since."""
        root = self._root(path)
        if root and root not in self._away and (found := trouble_with(root)) and _is_gone(root, found):
            self._away[root] = found
        return self.why(path)

    def _root(self, path: str) -> str:
        return next((root for root in self._roots if is_below(path, (root,))), "")


def _is_gone(root: str, trouble: str) -> bool:
    """A run may have emptied a disk; then it is still mounted."""
    return not (trouble == IS_EMPTY and os.path.ismount(root))


def unplugged() -> Callable[[Iterable[Act], str], str | None]:
    """A function that says in words why acts cannot be judged or taken back now: the disk of one is not there.

    It takes acts of one unit and the folder that was scanned, or "" where it is not known. Trouble is remembered,
    because a silent network folder takes long to give no answer; a disk that was there may be gone by the next act.
    """
    known: dict[str, str] = {}

    def trouble(folder: str) -> str | None:
        if folder not in known and (found := trouble_with(folder)):
            known[folder] = found
        return known.get(folder)

    def answer(acts: Iterable[Act], root: str = "") -> str | None:
        mounts = {act.mount for act in acts}
        for mount in sorted(mounts - {""}):
            found = trouble(mount)
            # A run may have emptied a disk; then it is still mounted.
            if found and not (found == IS_EMPTY and os.path.ismount(mount)):
                return _told(mount, found)
        found = trouble(root) if root else None
        # A run may have emptied a folder as well. Journals of before disks were noted do not tell which it is.
        return _told(root, found) if found and (found != IS_EMPTY or "" in mounts) else None

    return answer


def _told(folder: str, trouble: str) -> str:
    if os.path.isdir(folder):
        return f"the folder {folder} cannot be used ({trouble}); is a disk unplugged?"
    return f"there is no folder {folder}; is a disk unplugged?"
