"""What search, dupes and failures show: the JSON objects of docs/json.md and the tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from photoindex.records import Failure, Hit, PhotoRow
from photoindex.render.hits import match_cell, print_on_terminal, remarks, taken_cell, why_line
from photoindex.render.output import Format, plain, print_json, print_results, print_table
from photoindex.render.text import console, short_path, visible

HIT_COLUMNS = (
    *("rank", "score", "path", "photo", "taken_at", "camera", "width", "height", "format", "bytes", "missing"),
    *("match", "kept", "taken_source", "offline"),
)
_NOT_SHOWN = ("photo_id", "root", "sidecars", "offline")
_OF_THE_FILE = ("walk", "read", "decode")
_LACKS = {"ocr": "text", "embedding": "image vector"}  # the others are called as what they give
FAILURE_COLUMNS = ("path", "step", "code", "message", "photo")


def photo_object(row: PhotoRow) -> dict[str, Any]:
    return {name: plain(getattr(row, name)) for name in PhotoRow.__slots__ if name not in _NOT_SHOWN}


def hit_object(hit: Hit) -> dict[str, Any]:
    found = {"rank": hit.rank, "score": hit.score, **photo_object(hit.photo), "offline": hit.photo.offline}
    found |= {"match": hit.match, "kept": hit.kept}
    return {**found, "reasons": plain(hit.reasons)} if hit.reasons else found


def print_hits(hits: Sequence[Hit], output: Format, null: bool, explain: bool) -> None:
    def table() -> None:
        if sys.stdout.isatty():
            print_on_terminal(hits, explain)
            return
        headers = ["#", "match", "path", "taken", "camera", *(["why"] if explain else [])]
        print_table(headers, [_hit_cells(hit, explain) for hit in hits], right=("#", "match"))

    print_results([hit_object(hit) for hit in hits], output, null, HIT_COLUMNS, table)


def _hit_cells(hit: Hit, explain: bool) -> list[str]:
    """The whole path in one line: this may be searched by other programs."""
    path = f"{short_path(hit.photo.path)}  {remarks(hit)}".rstrip()
    cells = [str(hit.rank), match_cell(hit), path, taken_cell(hit.photo), visible(hit.photo.camera or "")]
    return [*cells, "\n".join(map(why_line, hit.reasons))] if explain else cells


def print_failures(failures: Sequence[Failure], output: Format, null: bool) -> None:
    def table() -> None:
        target = console()
        for failure in failures:
            target.print(short_path(failure.path), markup=False, style="bold")
            target.print(f"    {_what_failed(failure)}{visible(failure.message)}", markup=False)

    rows = [{name: getattr(failure, name) for name in FAILURE_COLUMNS} for failure in failures]
    print_results(rows, output, null, FAILURE_COLUMNS, table)


def _what_failed(failure: Failure) -> str:
    """Of a file that has no photo the sentence says enough; of a photo the step that it lacks."""
    return "" if failure.step in _OF_THE_FILE else f"no {_LACKS.get(failure.step, failure.step)}: "


def print_ids(photos: Iterable[str | None], null: bool = False) -> None:
    """The SHA-256 of each photo, once, in the order they come in."""
    shown: set[str | None] = {None}
    for photo in photos:
        if photo not in shown:
            print(photo, end="\0" if null else "\n")
            shown.add(photo)


def print_count(count: int) -> None:
    print(count)


__all__ = ["print_count", "print_failures", "print_hits", "print_ids", "print_json"]
