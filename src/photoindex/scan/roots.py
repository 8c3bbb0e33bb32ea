"""Comparing the folders with the catalog: what is new, changed, moved, back, or gone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from photoindex.errors import RootEmpty, RootNotAFolder, RootNotFound, RootUnreadable
from photoindex.media.walk import WalkRules, walk
from photoindex.records import FoundFile, KnownFile, Problem
from photoindex.scan.options import ScanOptions, ScanProgress


@dataclass(slots=True)
class Comparison:
    """A root against the catalog. Files whose photo is known come with its id and cost no read."""

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


def check_roots(roots: Sequence[str]) -> list[str]:
    """Absolute roots, without those that lie inside another. Raises Root* errors."""
    absolute = sorted({os.path.abspath(os.path.expanduser(root)) for root in roots})
    for root in absolute:
        if not os.path.lexists(root):
            raise RootNotFound(root)
        if not os.path.isdir(root):
            raise RootNotAFolder(root, os.path.basename(root))
        try:
            os.scandir(root).close()
        except OSError as error:
            raise RootUnreadable(root, error.strerror) from error
    real = {os.path.realpath(root): root for root in reversed(absolute)}  # two names of one folder are one root
    inside = {r for r in real for other in real if r != other and Path(r).is_relative_to(other)}
    return sorted(root for place, root in real.items() if place not in inside)


def compare(root: str, known: Mapping[str, KnownFile], library: Path, options: ScanOptions) -> Comparison:
    """Walk `root` and sort what is there. Raises RootEmpty where every known file has gone at once."""
    result = Comparison(root)
    rules = WalkRules(options.include, options.exclude, frozenset([str(library)]), known)
    by_identity = {(k.file.device, k.file.inode, k.file.size, k.file.mtime_ns): k for k in known.values()}
    seen = result.seen
    for file in walk(root, rules, result.problems):
        seen.add(file.path)
        _sort_in(file, known.get(file.path), by_identity, result)
        if len(seen) % 500 == 0:
            options.progress(ScanProgress("walk", len(seen)))
            if options.stop():
                break
    result.found = len(seen)
    if options.stop():
        return result
    present = [path for path, k in known.items() if not k.missing]
    if not seen and present and not options.accept_missing and not any(map(_exists, present)):
        raise RootEmpty(root, len(present))
    moved_from = set(result.moved_from)
    result.missing = [p for p in present if p not in seen and p not in moved_from and not _exists(p)]
    return result


def _sort_in(
    file: FoundFile,
    before: KnownFile | None,
    by_identity: Mapping[tuple[int, int, int, int], KnownFile],
    result: Comparison,
) -> None:
    same = before is not None and (before.file.size, before.file.mtime_ns) == (file.size, file.mtime_ns)
    if before is None or not same:
        twin = by_identity.get((file.device, file.inode, file.size, file.mtime_ns))
        if twin is None or twin.photo_id is None:
            result.unread.append(file)
            return
        same_sidecars = twin.file.sidecar_sig == file.sidecar_sig
        (result.placed if same_sidecars else result.residecared).append((file, twin.photo_id))
        if not _exists(twin.file.path):
            result.moved_from.append(twin.file.path)
    elif before.photo_id is None:
        result.unread.append(file)
    elif before.file.sidecar_sig != file.sidecar_sig:
        result.residecared.append((file, before.photo_id))
    elif before.missing:
        result.placed.append((file, before.photo_id))
    else:
        result.unchanged += 1


def _exists(path: str) -> bool:
    """Whether a file is there, or may be: an error other than "no such file" proves nothing."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
