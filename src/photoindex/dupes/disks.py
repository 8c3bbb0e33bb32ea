"""On which disk a file lay when a run announced it, and whether that disk is there now.

Where a disk is unplugged its mount point may stay behind, as an empty folder of the disk below it: files that lay there
look deleted, and what is written there is hidden once the disk is back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from photoindex.dupes.journal import Act
from photoindex.media.reach import IS_EMPTY, trouble_with


def mount_of(path: str) -> str:
    """Where the disk is mounted on which a file lies, links followed."""
    found = os.path.realpath(os.path.dirname(path))
    while not os.path.ismount(found) and os.path.dirname(found) != found:
        found = os.path.dirname(found)
    return found


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
