"""What search, dupes and failures show: the JSON objects of docs/json.md and the tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from photoindex.records import Failure, Group, Hit, PhotoRow, Reason
from photoindex.render.output import Format, plain, print_csv, print_json, print_paths, print_results, print_table
from photoindex.render.text import console, short_path, size, visible

HIT_COLUMNS = ("rank", "score", "path", "photo", "taken_at", "camera", "width", "height", "format", "bytes", "missing")
GROUP_COLUMNS = ("group", "kind", "path", "photo", "distance", "quality", "bytes", "width", "height", "format")
FAILURE_COLUMNS = ("path", "step", "code", "message", "photo")


def photo_object(row: PhotoRow) -> dict[str, Any]:
    return {name: plain(getattr(row, name)) for name in PhotoRow.__slots__ if name != "photo_id"}


def hit_object(hit: Hit) -> dict[str, Any]:
    found = {"rank": hit.rank, "score": hit.score, **photo_object(hit.photo)}
    return {**found, "reasons": plain(hit.reasons)} if hit.reasons else found


def print_hits(hits: Sequence[Hit], output: Format, null: bool, explain: bool) -> None:
    def table() -> None:
        headers = ["#", "score", "path", "taken", "camera", *(["why"] if explain else [])]
        print_table(headers, [_hit_cells(hit, explain) for hit in hits], right=("#", "score"))

    print_results([hit_object(hit) for hit in hits], output, null, HIT_COLUMNS, table)


def _hit_cells(hit: Hit, explain: bool) -> list[str]:
    taken = f"{hit.photo.taken_at:%Y-%m-%d %H:%M}" if hit.photo.taken_at else ""
    path = short_path(hit.photo.path) + ("  (missing)" if hit.photo.missing else "")
    cells = [str(hit.rank), f"{hit.score:.4f}" if hit.score else "", path, taken, visible(hit.photo.camera or "")]
    return [*cells, "; ".join(map(_why, hit.reasons))] if explain else cells


def _why(reason: Reason) -> str:
    words = f" ({', '.join(reason.words)} in {', '.join(reason.where)})" if reason.words else ""
    return f"{reason.source} #{reason.rank} {reason.score:.3f}{words}"


def group_object(group: Group) -> dict[str, Any]:
    members = [{**photo_object(m.photo), "distance": m.distance, "quality": m.quality} for m in group.members]
    links = [{"a": a, "b": b, "distance": distance} for a, b, distance in group.links]
    return {"kind": group.kind, "members": members, "links": links}


def print_groups(groups: Sequence[Group], output: Format, null: bool) -> None:
    objects = [group_object(group) for group in groups]
    members = [
        {"group": number, "kind": group["kind"], **member}
        for number, group in enumerate(objects, 1)
        for member in group["members"]
    ]
    if output is Format.csv and not null:
        print_csv(members, GROUP_COLUMNS)
    elif output is Format.paths or null:
        print_paths(dict.fromkeys(member["path"] for member in members), null)
    else:
        print_results(objects, output, null, (), lambda: _print_group_table(groups))


def _print_group_table(groups: Sequence[Group]) -> None:
    rows = [
        [
            str(number) if first else "",
            group.kind if first else "",
            "same bytes" if member.distance == 0 and group.kind == "exact" else f"{member.distance} bits",
            size(member.photo.bytes),
            f"{member.photo.width or '?'}x{member.photo.height or '?'}",
            short_path(member.photo.path),
        ]
        for number, group in enumerate(groups, 1)
        for first, member in [(i == 0, m) for i, m in enumerate(group.members)]
    ]
    print_table(["group", "kind", "distance", "size", "pixels", "path"], rows, right=("group", "size"))


def print_failures(failures: Sequence[Failure], output: Format, null: bool) -> None:
    def table() -> None:
        target = console()
        for failure in failures:
            target.print(short_path(failure.path), markup=False, style="bold")
            target.print(f"    {failure.step} ({failure.code}): {visible(failure.message)}", markup=False)

    rows = [{name: getattr(failure, name) for name in FAILURE_COLUMNS} for failure in failures]
    print_results(rows, output, null, FAILURE_COLUMNS, table)


__all__ = ["print_failures", "print_groups", "print_hits", "print_json"]
