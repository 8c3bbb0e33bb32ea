"""What `photoindex tags` prints."""

from __future__ import annotations

from collections.abc import Sequence

from photoindex.records import TagCount, TagThreshold
from photoindex.render.output import ObjectFormat, RowFormat, print_json, print_rows, print_table
from photoindex.render.text import visible
from photoindex.scan.tagging import Applied


def print_counts(counts: Sequence[TagCount], output: RowFormat) -> None:
    rows = [{"tag": count.tag, "photos": count.photos, "best": _rounded(count.best)} for count in counts]

    def table() -> None:
        cells = [(visible(count.tag), f"{count.photos:,}", f"{count.best:.2f}") for count in counts]
        print_table(["tag", "photos", "best score"], cells, right=("photos", "best score"))

    print_rows(rows, output, ("tag", "photos", "best"), table)


def print_thresholds(thresholds: Sequence[TagThreshold], output: RowFormat) -> None:
    names = ("tag", "model", "yours", "applied")
    rows = [(row.tag, [_rounded(row.given), _rounded(row.yours), _rounded(row.in_force)]) for row in thresholds]

    def table() -> None:
        cells = [
            ["(all others)" if tag is None else visible(tag), *("" if v is None else f"{v:.3f}" for v in values)]
            for tag, values in rows
        ]
        print_table(names, cells, right=names[1:])

    print_rows([dict(zip(names, (tag, *values), strict=True)) for tag, values in rows], output, names, table)


def print_applied(applied: Sequence[Applied], output: ObjectFormat) -> None:
    if output is ObjectFormat.json:
        print_json(applied)
        return
    if applied:
        cells = [(item.model, f"{item.photos:,}", f"{item.changed:,}") for item in applied]
        print_table(["model", "photos", "changed"], cells, right=("photos", "changed"))


def _rounded(value: float | None) -> float | None:
    """A float32 with the digits that it can hold, rounded up or down as people would write it."""
    return None if value is None else float(f"{value:.6g}")
