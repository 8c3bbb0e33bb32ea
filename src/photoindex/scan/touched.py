"""Looking at some folders of a root only: those in which something has changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from photoindex.errors import RootLost
from photoindex.media.reach import DOES_NOT_ANSWER, in_time, patiently, trouble_with
from photoindex.media.walk import WalkRules, walk
from photoindex.records import KnownFile
from photoindex.scan.options import ScanOptions
from photoindex.scan.roots import Comparison, check_answers, compare, gone, looks_unplugged, sort_in
from photoindex.store.library import Library

# Where so many files have gone at once, all of the root is looked at, and whether its disk is there.
_MANY = 20


def compare_parts(library: Library, root: str, touched: Mapping[str, bool], options: ScanOptions) -> Comparison:
    """The folders `touched` below `root` against the catalog, each with (True) or without those below it.

    Raises what `compare` does, and RootLost where nothing can be read in the root any more.
    """
    known: dict[str, KnownFile] = {}
    for folder, deep in touched.items():
        known |= library.catalog.known_files(folder, deep)
    result = _compare(library.folder, root, touched, known, options)
    if len(result.missing) >= _MANY:
        return compare(root, library.catalog.known_files(root), library.folder, options)
    if not result.missing:
        return result
    if (trouble := trouble_with(root)) is not None:
        raise RootLost(root, trouble)
    files = [known[path].file for path in result.missing]
    unplugged = in_time(lambda: looks_unplugged(files))
    if unplugged is None:
        raise RootLost(root, DOES_NOT_ANSWER)
    if unplugged[0]:  # asks for the disk, too
        return compare(root, library.catalog.known_files(root), library.folder, options)
    return result


def _compare(
    library: Path, root: str, touched: Mapping[str, bool], known: Mapping[str, KnownFile], options: ScanOptions
) -> Comparison:
    result = Comparison(root, parts=touched)
    rules = WalkRules(options.include, options.exclude, frozenset([str(library)]), known)
    by_identity = {(k.file.device, k.file.inode, k.file.size, k.file.mtime_ns): k for k in known.values()}
    at = [root]
    found = walk(root, rules, result.problems, at, _outermost(touched))
    for file in patiently(found, options.stop, lambda: check_answers(at[0])):
        sort_in(file, known.get(file.path), by_identity, result, options.leave)
    result.found = len(result.seen)
    if options.stop():
        return result
    moved = set(result.moved_from)
    present = [path for path, k in known.items() if not k.missing and path not in result.seen and path not in moved]
    result.missing = gone(root, present, options.stop)
    return result


def _outermost(touched: Mapping[str, bool]) -> dict[str, bool]:
    """Without folders that lie below one which is looked at with all below it."""
    deep = tuple(folder + os.sep for folder, whole in touched.items() if whole)
    return {folder: whole for folder, whole in touched.items() if not folder.startswith(deep)}
