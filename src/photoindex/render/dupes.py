"""Groups of duplicates: the JSON objects of docs/json.md, and text for people that says why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from photoindex.pure import group_words as words
from photoindex.records import Group, Link, Member
from photoindex.render.output import Format, plain, print_csv, print_json, print_paths
from photoindex.render.results import photo_object, print_ids
from photoindex.render.text import console, hanging, note, short_path, size, visible

if TYPE_CHECKING:
    from photoindex.dupes import Arrival

GROUP_COLUMNS = (
    *("group", "id", "tier", "keep", "member_tier", "path", "photo", "distance", "quality", "sharpness", "bytes"),
    *("width", "height", "format", "protected", "video", "differs", "reason", "offline"),
)


def group_object(group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "tier": group.tier,
        "keeper": group.members[0].photo.path,
        "reason": group.reason,
        "suggestion": group.suggestion,
        "frees": group.frees,
        "decision": group.decision or None,
        "joined": list(group.joined),
        "members": [_member_object(member, keep=at == 0) for at, member in enumerate(group.members)],
        "links": [_link_object(link) for link in group.links],
    }


def _member_object(member: Member, keep: bool) -> dict[str, Any]:
    facts = {name: plain(getattr(member, name)) for name in Member.__slots__ if name != "photo"}
    return {**photo_object(member.photo), "keep": keep, **facts, "offline": member.photo.offline}


def _link_object(link: Link) -> dict[str, Any]:
    return {name: plain(getattr(link, name)) for name in Link.__slots__}


def print_groups(groups: Sequence[Group], output: Format, null: bool, limit: int = 0, *, ids: bool = False) -> None:
    """The first `limit` groups (0: all) in the chosen format, one after the other, or with `ids` the SHA-256 of their
    photos, each once; stderr is told what is left out."""
    shown = groups[: limit or None]
    if ids:
        print_ids((member.photo.photo for group in shown for member in group.members), null)
    else:
        _print_groups(shown, output, null)
    if len(shown) < len(groups):
        note(f"The first {len(shown):,} of {len(groups):,} groups are shown; --limit 0 shows all.")


def _print_groups(shown: Sequence[Group], output: Format, null: bool) -> None:
    match Format.paths if null else output:
        case Format.table:
            _print_for_people(shown)
        case Format.json:
            print_json([group_object(group) for group in shown])
        case Format.ndjson:
            for group in shown:
                print(json.dumps(group_object(group)), flush=True)
        case Format.csv:
            print_csv((row for at, group in enumerate(shown, 1) for row in _csv_rows(at, group)), GROUP_COLUMNS)
        case Format.paths:
            print_paths(dict.fromkeys(member.photo.path for group in shown for member in group.members), null)


def note_summary(groups: Sequence[Group]) -> None:
    """On stderr, what could be freed, and what of it cannot be reached just now."""
    note(words.summary(groups))
    away = Counter(member.photo.root for group in groups for member in group.members if member.photo.offline)
    for root, count in sorted(away.items()):
        told = "1 of these files is" if count == 1 else f"{count:,} of these files are"
        note(f"{told} offline: {root} cannot be reached just now. A plan leaves out what is there.")


def _csv_rows(number: int, group: Group) -> list[dict[str, Any]]:
    found = group_object(group)
    shared = {"group": number, "id": group.id, "reason": group.reason}
    return [{**m, **shared, "tier": group.tier, "member_tier": m["tier"]} for m in found["members"]]


ARRIVAL_COLUMNS = ("path", "bytes", "tier", "match", "photo", "distance", "differs", "problem")


def arrival_object(arrival: Arrival) -> dict[str, Any]:
    found = {name: plain(getattr(arrival, name)) for name in type(arrival).__slots__ if name != "match"}
    match = {**photo_object(arrival.match), "offline": arrival.match.offline} if arrival.match else None
    return {**found, "match": match}


def print_arrivals(
    arrivals: Iterable[Arrival], output: Format, null: bool, missing: bool, *, ids: bool = False
) -> tuple[int, int]:
    """Each as soon as it is known (json: at the end): those the library has, or with `missing` those it lacks. With
    `ids` the SHA-256 of the library's copies, each once.

    Returns how many it has, and how many could not be read.
    """
    counts = {"has": 0, "lacks": 0, "unreadable": 0}
    wanted = _counted(arrivals, counts, missing)
    if ids:
        print_ids((arrival.match.photo for arrival in wanted if arrival.match), null)
    else:
        _print_arrivals(wanted, output, null)
    unread = f"; {counts['unreadable']:,} could not be read" if counts["unreadable"] else ""
    note(f"The library has {counts['has']:,} of these pictures and lacks {counts['lacks']:,}{unread}.")
    return counts["has"], counts["unreadable"]


def _print_arrivals(wanted: Iterable[Arrival], output: Format, null: bool) -> None:
    match Format.paths if null else output:
        case Format.table:
            target = console()
            for arrival in wanted:
                hanging(target, *_arrival_line(arrival))
        case Format.json:
            print_json([arrival_object(arrival) for arrival in wanted])
        case Format.ndjson:
            for arrival in wanted:
                print(json.dumps(arrival_object(arrival)), flush=True)
        case Format.csv:
            print_csv(map(_arrival_row, wanted), ARRIVAL_COLUMNS)
        case Format.paths:
            print_paths((arrival.path for arrival in wanted), null)


def _counted(arrivals: Iterable[Arrival], counts: dict[str, int], missing: bool) -> Iterator[Arrival]:
    for arrival in arrivals:
        kind = "unreadable" if arrival.problem else "has" if arrival.match else "lacks"
        counts[kind] += 1
        if arrival.problem:
            note(f"{short_path(arrival.path)}: {visible(arrival.problem.message)}")
        elif (kind == "lacks") is missing:
            yield arrival


def _arrival_row(arrival: Arrival) -> dict[str, Any]:
    copy = arrival.match
    return {**arrival_object(arrival), "match": copy.path if copy else None, "photo": copy.photo if copy else None}


def _arrival_line(arrival: Arrival) -> tuple[str, str]:
    if arrival.match is None:
        return f"{'not in the library':18}  ", short_path(arrival.path)
    told = [*(["offline"] if arrival.match.offline else []), *map(visible, arrival.differs)]
    why = f"  ({'; '.join(told)})" if told else ""
    return f"{arrival.tier:18}  ", f"{short_path(arrival.path)}  =  {short_path(arrival.match.path)}{why}"


def _print_for_people(groups: Sequence[Group]) -> None:
    target = console()
    for number, group in enumerate(groups, 1):
        hanging(target, f"{number}. ", f"{_heading(group)}  [{group.id[:8]}]", "bold")
        if group.decision:
            hanging(target, "   ", visible(words.decided(group)))
        width = max(len(words.role(member)) for member in group.members)
        for member in group.members:
            hanging(target, f"   {words.role(member):{width}}  {_facts(member)}  ", _place(member))


def _heading(group: Group) -> str:
    if group.tier == "live":
        return f"live: {visible(group.reason)}"
    return f"{group.tier}: {words.counted(group)}; {visible(words.why(group))}"


def _facts(member: Member) -> str:
    photo = member.photo
    pixels = f"{photo.width or '?'}x{photo.height or '?'}"
    return f"{size(photo.bytes):>9}  {pixels:>9}"


def _place(member: Member) -> str:
    """Where it lies, and how it differs from what is kept."""
    why = [
        *([f"{member.distance} bits"] if member.distance and member.tier != "keeper" else []),
        *map(visible, member.differs),
        *([f"video {short_path(member.video)}"] if member.video else []),
    ]
    return f"{short_path(member.photo.path)}  ({'; '.join(why)})" if why else short_path(member.photo.path)
