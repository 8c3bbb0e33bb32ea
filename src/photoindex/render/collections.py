"""What `photoindex collections list` shows."""

from __future__ import annotations

from collections.abc import Mapping

from photoindex.records import PhotoCollection
from photoindex.render.output import RowFormat, plain, print_rows, print_table
from photoindex.render.text import visible

COLUMNS = ("name", "query", "photos", "unknown", "made_at")


def print_collections(
    collections: Mapping[str, PhotoCollection], counts: Mapping[str, tuple[int, int]], output: RowFormat
) -> None:
    """`counts`: photos given, and of them those that the library has never seen; a smart collection has none."""
    rows = []
    for name, collection in collections.items():
        photos, unknown = (None, None) if collection.query is not None else counts.get(name, (0, 0))
        shown = {"name": name, "query": collection.query, "photos": photos, "unknown": unknown}
        rows.append({**shown, "made_at": plain(collection.made_at)})

    def table() -> None:
        cells = [
            (visible(row["name"]), "" if row["photos"] is None else f"{row['photos']:,}", visible(row["query"] or ""))
            for row in rows
        ]
        print_table(["name", "photos", "query"], cells, right=("photos",))

    print_rows(rows, output, COLUMNS, table)
