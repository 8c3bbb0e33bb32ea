"""Finding pictures below a root folder: one stat a file, nothing read, nothing followed out of the root."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePath

from photoindex.media.formats import PICTURE_SUFFIXES, SIDECAR_SUFFIX, sniff
from photoindex.records import FoundFile, Problem

_CATALOG = "catalog.duckdb"


@dataclass(frozen=True, slots=True)
class WalkRules:
    """What a walk takes. Patterns are shell patterns, matched in any case against a file's name and against its
    path below the root; an excluded folder is not entered. `known` paths without a suffix need not be looked into."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    skip: frozenset[str] = frozenset()
    known: Container[str] = field(default=frozenset())


def walk(
    root: str,
    rules: WalkRules,
    problems: MutableMapping[str, Problem],
    at: list[str] | None = None,
    only: Mapping[str, bool] | None = None,
) -> Iterator[FoundFile]:
    """Every picture below `root`, folder by folder in order of name; folders that cannot be read go to `problems`.

    `at` is made to hold the folder that is being read, for whoever watches from another thread. `only`: these folders
    below the root alone, each with or without those below it; one that a walk of all would not come to holds nothing.

    Hidden files and folders (a leading dot), symbolic links, devices and pipes are left alone.
    """
    pending = [root] if only is None else [folder for folder in only if _comes_to(root, folder, rules)]
    while pending:
        folder = pending.pop()
        if at is not None:
            at[:] = [folder]
        try:
            with os.scandir(folder) as entries:
                listed = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            problems[folder] = Problem("folder_unreadable", f"The folder cannot be read: {error.strerror or error}.")
            continue
        if any(e.name == _CATALOG for e in listed):
            continue  # the library of a photoindex: its thumbnails are nobody's photos
        folders = [e.path for e in listed if e.is_dir(follow_symlinks=False) and _enters(root, e.path, rules)]
        pending.extend(reversed(folders) if only is None or only.get(folder, True) else ())
        yield from _pictures(root, [e for e in listed if e.is_file(follow_symlinks=False)], rules, problems)


def _comes_to(root: str, folder: str, rules: WalkRules) -> bool:
    """Whether a walk of all of `root` enters `folder`: nothing on the way there is a link, hidden or excluded."""
    at = root
    for part in PurePath(os.path.relpath(folder, root)).parts:
        if part.startswith(".") or os.path.lexists(os.path.join(at, _CATALOG)):
            return False
        at = os.path.join(at, part)
        if os.path.islink(at) or not os.path.isdir(at) or not _enters(root, at, rules):
            return False
    return os.path.isdir(at)


def _pictures(
    root: str, entries: Sequence[os.DirEntry[str]], rules: WalkRules, problems: MutableMapping[str, Problem]
) -> Iterator[FoundFile]:
    sidecars = {e.name.lower(): e for e in entries if e.name.lower().endswith(SIDECAR_SUFFIX)}
    for entry in entries:
        if not _is_picture(entry, rules) or not _wanted(root, entry.path, rules):
            continue
        try:
            yield _found(root, entry, sidecars)
        except OSError as error:
            problems[entry.path] = Problem("file_unreadable", f"The file cannot be examined: {error.strerror}.")


def _is_picture(entry: os.DirEntry[str], rules: WalkRules) -> bool:
    suffix = PurePath(entry.name).suffix.lower()
    if suffix:
        return suffix in PICTURE_SUFFIXES
    if entry.path in rules.known:
        return True
    try:
        with open(entry.path, "rb") as file:  # a name without a suffix tells nothing, its first bytes do
            return sniff(file.read(512)).format is not None
    except OSError:
        return False


def _found(root: str, entry: os.DirEntry[str], sidecars: dict[str, os.DirEntry[str]]) -> FoundFile:
    stat = entry.stat(follow_symlinks=False)
    name = entry.name.lower()
    wanted = (name + SIDECAR_SUFFIX, PurePath(name).stem + SIDECAR_SUFFIX)
    mine = [sidecars[key] for key in dict.fromkeys(wanted) if key in sidecars]
    marks = [f"{(s := e.stat()).st_size}:{s.st_mtime_ns}" for e in mine]  # no name: renaming both changes nothing
    return FoundFile(
        path=entry.path,
        root=root,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        device=stat.st_dev,
        inode=stat.st_ino,
        sidecars=tuple(e.path for e in mine),
        sidecar_sig="|".join(marks),
    )


def _enters(root: str, folder: str, rules: WalkRules) -> bool:
    return folder not in rules.skip and not _matches(root, folder, rules.exclude)


def _wanted(root: str, path: str, rules: WalkRules) -> bool:
    if _matches(root, path, rules.exclude):
        return False
    return not rules.include or _matches(root, path, rules.include)


def _matches(root: str, path: str, patterns: Sequence[str]) -> bool:
    below = os.path.relpath(path, root).lower()
    name = os.path.basename(below)
    return any(fnmatchcase(name, p.lower()) or fnmatchcase(below, p.lower()) for p in patterns)
