"""Comparing the folders with the catalog: what is new, changed, moved, back, or gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from photoindex.errors import (
    DiskGone,
    RootEmpty,
    RootLost,
    RootMostlyGone,
    RootNotAFolder,
    RootNotFound,
    RootUnreadable,
)
from photoindex.media.reach import DOES_NOT_ANSWER, in_time, patiently, trouble_with
from photoindex.media.walk import WalkRules, walk
from photoindex.records import FoundFile, KnownFile, Problem
from photoindex.scan.options import ScanOptions, ScanProgress

# A folder that loses so many of its pictures, and more than half of them, at once, has rather lost a disk.
_MANY = 20


@dataclass(slots=True)
class Comparison:
    """A root against the catalog, or `parts` of it, each with or without what is below. Files whose photo is known come
    with its id and cost no read."""

    root: str
    found: int = 0
    unchanged: int = 0
    unread: list[FoundFile] = field(default_factory=list)
    placed: list[tuple[FoundFile, int]] = field(default_factory=list)
    moved_from: list[str] = field(default_factory=list)
    residecared: list[tuple[FoundFile, int]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: dict[str, Problem] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    parts: Mapping[str, bool] | None = None

    @property
    def looked_at(self) -> Mapping[str, bool]:
        """The folders that were looked at, each with (True) or without those below it."""
        return {self.root: True} if self.parts is None else self.parts

    def problems_in(self, folder: str, deep: bool) -> dict[str, Problem]:
        """Those of a folder and its files; `deep`: of all below it. Else a folder in it was not looked into."""
        inside = folder.rstrip(os.sep) + os.sep
        return {
            path: problem
            for path, problem in self.problems.items()
            if path == folder
            or (deep and path.startswith(inside))
            or (os.path.dirname(path) == folder and problem.code != "folder_unreadable")
        }

    @property
    def changed(self) -> bool:
        """Whether anything is other than the catalog has it."""
        return bool(self.unread or self.placed or self.residecared or self.missing or self.moved_from or self.problems)


def check_roots(roots: Sequence[str]) -> list[str]:
    """Absolute roots, without those that lie inside another. Raises Root* errors."""
    absolute = sorted({os.path.abspath(os.path.expanduser(root)) for root in roots})
    real: dict[str, str] = {}  # two names of one folder are one root
    for root in reversed(absolute):
        answer = in_time(partial(_real_path, root))
        if answer is None:
            raise RootUnreadable(root, DOES_NOT_ANSWER)
        if isinstance(answer[0], Exception):
            raise answer[0]
        real[answer[0]] = root
    inside = {r for r in real for other in real if r != other and Path(r).is_relative_to(other)}
    return sorted(root for place, root in real.items() if place not in inside)


def _real_path(root: str) -> str | Exception:
    """Where a folder really lies, or why it cannot be scanned."""
    try:
        if not os.path.lexists(root):
            return RootNotFound(root)
        if not os.path.isdir(root):
            return RootNotAFolder(root, os.path.basename(root))
        os.scandir(root).close()
    except OSError as error:
        return RootUnreadable(root, error.strerror)
    return os.path.realpath(root)


def check_still_there(root: str) -> None:
    """Asked when files cannot be read: whether it is them or their folder. Raises RootLost."""
    trouble = trouble_with(root)
    if trouble is not None:
        raise RootLost(root, trouble)


def compare(root: str, known: Mapping[str, KnownFile], library: Path, options: ScanOptions) -> Comparison:
    """Walk `root` and sort what is there. Raises RootEmpty and its kind where so much has gone at once that the disk
    may be unplugged, and RootLost where it goes, or falls silent, meanwhile."""
    result = Comparison(root)
    rules = WalkRules(options.include, options.exclude, frozenset([str(library)]), known)
    by_identity = {(k.file.device, k.file.inode, k.file.size, k.file.mtime_ns): k for k in known.values()}
    seen = result.seen
    at = [root]
    found = walk(root, rules, result.problems, at)
    for file in patiently(found, options.stop, lambda: check_answers(at[0])):
        sort_in(file, known.get(file.path), by_identity, result, options.leave)
        if len(seen) % 500 == 0:
            options.progress(ScanProgress("walk", len(seen)))
    result.found = len(seen)
    if options.stop():
        return result
    moved_from = set(result.moved_from)
    present = {path: k for path, k in known.items() if not k.missing}
    absent = [p for p in present if p not in seen and p not in moved_from]
    result.missing = gone(root, absent, options.stop)
    if result.missing and not options.accept_missing and root not in options.gone:
        _check_loss(result, present, options.gone)
    return result


def check_answers(folder: str) -> None:
    """Asked when nothing has come for long: a folder of a million files is slow, not silent. Raises RootLost."""
    if trouble_with(folder) == DOES_NOT_ANSWER:
        raise RootLost(folder, DOES_NOT_ANSWER)


def _check_loss(result: Comparison, present: Mapping[str, KnownFile], confirmed: Collection[str]) -> None:
    """Whether what is missing was rather unplugged than deleted. New files speak against it: they were moved."""
    root, missing = result.root, result.missing
    if not result.seen and len(missing) == len(present):
        raise RootEmpty(root, len(present))
    if (trouble := trouble_with(root)) is not None:
        raise RootLost(root, trouble)
    lost = len(missing) - len(result.unread)
    if lost >= _MANY and 2 * lost > len(present):
        raise RootMostlyGone(root, len(present), len(missing))
    if (folder := _left_by_a_disk(missing, present, confirmed)) is not None:
        below = folder + os.sep
        raise DiskGone(folder, sum(path.startswith(below) for path in missing))


def _left_by_a_disk(missing: Sequence[str], present: Mapping[str, KnownFile], confirmed: Collection[str]) -> str | None:
    """A folder that is there and empty while all files of the device that it held have gone: a disk's place. Not one
    that is `confirmed` to have gone."""
    gone = set(missing)
    here = {k.file.device for path, k in present.items() if path not in gone}
    lost = {os.path.dirname(path) for path in missing if present[path].file.device not in here}
    return next((folder for folder in map(_still_there, lost) if folder not in confirmed and _is_empty(folder)), None)


def looks_unplugged(missing: Iterable[FoundFile]) -> bool:
    """Whether one of these files lay on another disk than what is left of its folders, which is empty."""
    places = {(_still_there(os.path.dirname(file.path)), file.device) for file in missing}
    return any(_is_empty(folder) and not _is_on(folder, device) for folder, device in places)


def _is_on(folder: str, device: int) -> bool:
    try:
        return os.stat(folder).st_dev == device
    except OSError:
        return False


def _still_there(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def sort_in(
    file: FoundFile,
    before: KnownFile | None,
    by_identity: Mapping[tuple[int, int, int, int], KnownFile],
    result: Comparison,
    leave: Callable[[FoundFile], bool],
) -> None:
    """Note what is to be done with a file; nothing where it would have to be read and is to be left for later."""
    same = before is not None and (before.file.size, before.file.mtime_ns) == (file.size, file.mtime_ns)
    if before is None or not same:
        twin = by_identity.get((file.device, file.inode, file.size, file.mtime_ns))
        if twin is None or twin.photo_id is None:
            _read(file, result, leave)
            return
        same_sidecars = twin.file.sidecar_sig == file.sidecar_sig
        (result.placed if same_sidecars else result.residecared).append((file, twin.photo_id))
        if not _exists(twin.file.path):
            result.moved_from.append(twin.file.path)
    elif before.photo_id is None or before.unreadable:
        _read(file, result, leave)
        return
    elif before.file.sidecar_sig != file.sidecar_sig:
        result.residecared.append((file, before.photo_id))
    elif before.missing:
        result.placed.append((file, before.photo_id))
    else:
        result.unchanged += 1
    result.seen.add(file.path)


def _read(file: FoundFile, result: Comparison, leave: Callable[[FoundFile], bool]) -> None:
    if not leave(file):
        result.seen.add(file.path)
        result.unread.append(file)


def gone(root: str, paths: Sequence[str], stop: Callable[[], bool]) -> list[str]:
    """Those of the paths below `root` of which the system says that there is no such file. Raises RootLost."""
    found = (path for path in paths if not _exists(path))
    return list(patiently(found, stop, lambda: check_answers(root)))


def _exists(path: str) -> bool:
    """Whether a file is there, or may be: an error other than "no such file" proves nothing."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
