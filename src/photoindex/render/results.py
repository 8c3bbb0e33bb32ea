"""What search, dupes and failures show: the JSON objects of docs/json.md and the tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from photoindex.records import Failure, Hit, PhotoRow, Reason
from photoindex.render.output import Format, plain, print_json, print_results, print_table
from photoindex.render.text import console, short_path, visible

HIT_COLUMNS = (
    *("rank", "score", "path", "photo", "taken_at", "camera", "width", "height", "format", "bytes", "missing"),
    *("match", "kept"),
)
FAILURE_COLUMNS = ("path", "step", "code", "message", "photo")


def photo_object(row: PhotoRow) -> dict[str, Any]:
    return {name: plain(getattr(row, name)) for name in PhotoRow.__slots__ if name != "photo_id"}


def hit_object(hit: Hit) -> dict[str, Any]:
    found = {"rank": hit.rank, "score": hit.score, **photo_object(hit.photo), "match": hit.match, "kept": hit.kept}
    return {**found, "reasons": plain(hit.reasons)} if hit.reasons else found


def print_hits(hits: Sequence[Hit], output: Format, null: bool, explain: bool) -> None:
    def table() -> None:
        headers = ["#", "match", "path", "taken", "camera", *(["why"] if explain else [])]
        print_table(headers, [_hit_cells(hit, explain) for hit in hits], right=("#", "match"))

    print_results([hit_object(hit) for hit in hits], output, null, HIT_COLUMNS, table)


def _hit_cells(hit: Hit, explain: bool) -> list[str]:
    taken = f"{hit.photo.taken_at:%Y-%m-%d %H:%M}" if hit.photo.taken_at else ""
    remarks = [*(["missing"] if hit.photo.missing else []), *([] if hit.kept else ["no good match"])]
    path = short_path(hit.photo.path) + (f"  ({', '.join(remarks)})" if remarks else "")
    match = "" if hit.match is None else f"{hit.match:.0%}"
    cells = [str(hit.rank), match, path, taken, visible(hit.photo.camera or "")]
    return [*cells, "\n".join(map(_why, hit.reasons))] if explain else cells


def _why(reason: Reason) -> str:
    words = f" ({', '.join(reason.words)} in {', '.join(reason.where)})" if reason.words else ""
    spelled = f", as {', '.join(reason.spelled)}" if reason.spelled else ""
    line = f": “{visible(reason.line)}”" if reason.line else ""
    verdict = "" if reason.kept else "cut: "
    return f"{reason.source} #{reason.rank} {reason.score:.3f}{words}{spelled}{line}; {verdict}{reason.why}"


def print_failures(failures: Sequence[Failure], output: Format, null: bool) -> None:
    def table() -> None:
        target = console()
        for failure in failures:
            target.print(short_path(failure.path), markup=False, style="bold")
            target.print(f"    {failure.step} ({failure.code}): {visible(failure.message)}", markup=False)

    rows = [{name: getattr(failure, name) for name in FAILURE_COLUMNS} for failure in failures]
    print_results(rows, output, null, FAILURE_COLUMNS, table)


__all__ = ["print_failures", "print_hits", "print_json"]
