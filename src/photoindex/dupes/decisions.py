"""What the user's decisions mean for the groups that are found. Nothing here reads or writes a store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from photoindex.records import Decision, Group

NOT_DUPLICATES, KEEP_ALL, KEEP_THIS = "not-duplicates", "keep-all", "keep-this"
KINDS = (NOT_DUPLICATES, KEEP_ALL, KEEP_THIS)


class Decided:
    """All decisions of a library, ready to be asked about pairs and groups."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._decisions = sorted(decisions, key=lambda decision: decision.decided_at, reverse=True)
        self._of: dict[str, list[Decision]] = {}
        for decision in self._decisions:
            for sha256 in decision.photos:
                self._of.setdefault(sha256, []).append(decision)
        self.keepers = frozenset(d.keeper for d in decisions if d.keeper)

    def apart(self, one: str, other: str) -> bool:
        """Whether the user said that these two contents are no duplicates."""
        return any(d.kind == NOT_DUPLICATES and other in d.photos for d in self._of.get(one, ()))

    def marked(self, group: Group) -> Group:
        """The group with the decision about it: the latest that covers it whole, else the one that covers most of it.

        A decision covers a part of a group where it was about two of its files or more.
        """
        files = Counter(member.photo.photo for member in group.members)
        asked = list({d.id: d for sha256 in files for d in self._of.get(sha256, ())}.values())
        best: tuple[Decision, tuple[str, ...]] | None = None
        for decision in sorted(asked, key=lambda d: d.decided_at, reverse=True):
            joined = _joined(group, files, decision)
            if _concerns(files, decision) and (best is None or len(joined) < len(best[1])):
                best = decision, joined
        return group if best is None else replace(group, decision=best[0].kind, joined=best[1])


def _concerns(files: Mapping[str, int], decision: Decision) -> bool:
    """That two contents are no duplicates says nothing of several files of one of them; what to keep says nothing of a
    group without it."""
    if decision.keeper and decision.keeper not in files:
        return False
    shared = [min(count, decision.photos.get(sha256, 0)) for sha256, count in files.items()]
    return sum(shared) >= 2 and (decision.kind != NOT_DUPLICATES or sum(count > 0 for count in shared) >= 2)


def _joined(group: Group, files: Mapping[str, int], decision: Decision) -> tuple[str, ...]:
    """In words what of a group a decision was not about."""
    new = [m.photo.path for m in group.members if m.photo.photo not in decision.photos]
    for sha256, count in files.items():
        more = count - decision.photos.get(sha256, count)
        if more > 0:
            first = next(m.photo.path for m in group.members if m.photo.photo == sha256)
            new.append(f"{more} more {'copy' if more == 1 else 'copies'} of {first}")
    return tuple(new)


def id_of(photos: Mapping[str, int]) -> str:
    """The id of the group of these contents, as `Group.id` is made."""
    return group_id(sha256 for sha256, copies in photos.items() for _ in range(copies))


def group_id(contents: Iterable[str]) -> str:
    """16 hex digits that depend on the contents alone."""
    return hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest()[:16]
