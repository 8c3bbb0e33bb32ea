"""From groups of duplicates to a plan of what may go. Nothing but the files' sizes and times is looked at."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from photoindex.dupes.companions import SIDECARS, companions
from photoindex.dupes.decisions import KEEP_THIS
from photoindex.dupes.find import dupes
from photoindex.dupes.options import DupeOptions
from photoindex.errors import UsageError
from photoindex.pure.plans import Plan, PlannedFile, PlannedGroup
from photoindex.pure.tiers import DUPLICATES, IDENTICAL, SAME_PIXELS
from photoindex.records import Group, Member
from photoindex.store.library import Library

SAFE = DupeOptions(tiers=(IDENTICAL, SAME_PIXELS))


@dataclass(frozen=True, slots=True)
class MadePlan:
    """A plan, and in words what was left out of it."""

    plan: Plan
    notes: tuple[str, ...]


def make_plan(library: Library, options: DupeOptions = SAFE) -> MadePlan:
    """What may go of the groups of `options.tiers`, which are tiers of duplicates; with `options.decided` only of those
    the user decided what to keep of.

    Left out are protected files, groups decided otherwise, groups that came back because something new joined them,
    files that are not as the last scan met them, and those in folders that cannot be reached just now, with the groups
    of which the file to keep lies there. Raises UsageError.
    """
    wrong = [tier for tier in options.tiers if tier not in DUPLICATES]
    if wrong:
        raise UsageError(f"{wrong[0]!r} holds different photos, which no plan lets go. Plan: {', '.join(DUPLICATES)}.")
    found = dupes(library, replace(options, decided=True))
    open_again = [group for group in found if group.joined]
    wanted = [g for g in found if not g.joined and g.decision in ((KEEP_THIS,) if options.decided else ("", KEEP_THIS))]
    changed: list[str] = []
    groups = [planned for group in wanted if (planned := _planned(group, changed)) and planned.go]
    groups = _with_sidecars(groups, {m.photo.path for group in wanted for m in group.members if m.photo.sidecars})
    notes = [f"{path} is not as the last scan met it, and is left out." for path in changed]
    notes += _away(wanted)
    if open_again:
        notes.append(f"Groups with new members since you decided about them: {len(open_again)}; decide anew first.")
    return MadePlan(Plan(str(library.folder), tuple(groups), options.wishes.protect), tuple(notes))


def _planned(group: Group, changed: list[str]) -> PlannedGroup | None:
    if group.members[0].photo.offline:
        return None
    files = [(member, _file(member)) for member in group.members if not member.photo.offline]
    changed += [member.photo.path for member, file in files if file is None]
    keeper = files[0][1]
    if keeper is None:
        return None
    stays = [replace(file, tier="keeper") for member, file in files[1:] if file and member.protected]
    go = [file for member, file in files[1:] if file and not member.protected]
    return PlannedGroup(group.id, group.tier, group.reason, (keeper, *stays), tuple(_told(go, (keeper, *stays))))


def _with_sidecars(groups: Sequence[PlannedGroup], beside: Collection[str]) -> list[PlannedGroup]:
    """The groups with what travels with files beside which the last scan met sidecars."""
    planned = {file.path for group in groups for file in (*group.keep, *group.go)}

    def told(file: PlannedFile, group: PlannedGroup) -> PlannedFile:
        with contextlib.suppress(OSError):
            if file.path in beside:
                return replace(file, along=companions(file.path, group.keep[0].path, (SIDECARS,), planned).go)
        return file

    return [replace(group, go=tuple(told(file, group) for file in group.go)) for group in groups]


def _away(groups: Sequence[Group]) -> list[str]:
    """What is left out because its folder cannot be reached, a line for each folder."""
    files = Counter(member.photo.root for group in groups for member in group.members if member.photo.offline)
    kept = Counter(group.members[0].photo.root for group in groups if group.members[0].photo.offline)
    lines = []
    for root, count in sorted(files.items()):
        line = f"{root} cannot be reached just now: {count:,} {'file' if count == 1 else 'files'} there are left out"
        if kept[root]:
            line += f", and {kept[root]:,} {'group' if kept[root] == 1 else 'groups'} whose file to keep lies there"
        lines.append(f"{line}. Plug its disk in and plan again.")
    return lines


def _told(go: Sequence[PlannedFile], keep: Sequence[PlannedFile]) -> list[PlannedFile]:
    """What has the bytes of something that stays is identical to it, whatever links led there."""
    same = {file.sha256 for file in keep}
    return [replace(file, tier=IDENTICAL) if file.sha256 in same else file for file in go]


def _file(member: Member) -> PlannedFile | None:
    photo = member.photo
    try:
        found = os.lstat(photo.path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_size != photo.bytes:
        return None
    return PlannedFile(photo.path, photo.photo, found.st_size, found.st_mtime_ns, member.tier)
