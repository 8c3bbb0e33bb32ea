"""What a group of duplicates says to a person, whatever shows it: plain text, not yet made fit for any screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from photoindex.pure.sizes import show_bytes
from photoindex.pure.tiers import (
    BURST,
    DUPLICATES,
    EDITED,
    IDENTICAL,
    LIVE,
    RAW_JPEG,
    RE_ENCODED,
    SAME_PIXELS,
    SIMILAR,
)
from photoindex.records import Group, Member

TIER_WORDS = {
    IDENTICAL: "the same bytes",
    SAME_PIXELS: "other bytes, the same pixels",
    RE_ENCODED: "one picture, resized, recompressed or converted",
    EDITED: "one picture, cropped, framed, turned, or changed otherwise",
    RAW_JPEG: "a camera's raw file and the JPEG of the same shot",
    LIVE: "a picture and the short video beside it",
    BURST: "shots of one camera within seconds",
    SIMILAR: "pictures that show the same, or of which one is a detail of the other",
}


def by_content(group: Group) -> list[list[int]]:
    """Positions of the members, those of the same bytes together, in the order of the first of each."""
    found: dict[str, list[int]] = {}
    for at, member in enumerate(group.members):
        found.setdefault(member.photo.photo, []).append(at)
    return list(found.values())


def counted(group: Group) -> str:
    """How many files, and what they take more than one of them would."""
    count = len(group.members)
    freed = f", {show_bytes(group.frees)} more than needed" if group.frees else ""
    return f"{count} {'file' if count == 1 else 'files'}{freed}"


def why(group: Group) -> str:
    """Which to keep, or that it is a matter of taste, and the reason."""
    if group.tier == LIVE:
        return group.reason
    first = "the best may be the first" if group.suggestion else "keep the first"
    return f"{first}: {group.reason}"


def decided(group: Group) -> str:
    """What the user decided about it or a part of it, and what is new since; nothing where there is no decision."""
    if not group.decision:
        return ""
    told = f"You decided {group.decision} about " + ("a part of this" if group.joined else "this")
    return f"{told}; new: {', '.join(group.joined)}" if group.joined else told


def role(member: Member) -> str:
    """What it is to the file that is kept."""
    found = "keep" if member.tier == "keeper" else member.tier
    marks = [*(["protected"] if member.protected else []), *(["offline"] if member.photo.offline else [])]
    return f"{found} ({', '.join(marks)})" if marks else found


def evidence(group: Group, at: int) -> str:
    """What was measured between a member and the one to keep, or the one through which it belongs to the group."""
    links = [link for link in group.links if at in (link.a, link.b)]
    link = min(links, key=lambda one: (one.a + one.b - at != 0, one.tier == IDENTICAL), default=None)
    if at == 0 or link is None or link.tier == IDENTICAL:
        return ""
    other = link.a + link.b - at
    whom = "the first" if other == 0 else group.members[other].photo.path.rpartition("/")[2]
    found = [f"{link.distance} of 256 bits from {whom}"] if link.distance is not None else []
    if link.look is not None:
        found.append(f"fine detail agrees by {int(100 * max(0.0, link.look.correlation))} %")
    return ", ".join(found)


def summary(groups: Sequence[Group]) -> str:
    """How many groups and files, by tier, and the bytes that keeping one of each would free."""
    if not groups:
        return "No duplicates."
    tiers = ", ".join(f"{count:,} {tier}" for tier, count in by_tier(groups).items())
    files = sum(len(group.members) for group in groups if group.tier in DUPLICATES)
    freed = show_bytes(sum(group.frees for group in groups))
    text = f"{len(groups):,} {'group' if len(groups) == 1 else 'groups'} ({tiers})."
    return f"{text} {files:,} files are duplicates; keeping one of each would free {freed}." if files else text


def by_tier(groups: Iterable[Group]) -> dict[str, int]:
    """How many groups of each tier, in the order in which they come."""
    found: dict[str, int] = {}
    for group in groups:
        found[group.tier] = found.get(group.tier, 0) + 1
    return found
