"""What `photoindex export --to folder` did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from photoindex.exporting import Exported
from photoindex.render.output import RowFormat, print_rows, print_table
from photoindex.render.text import short_path

COLUMNS = ("path", "photo", "to", "action", "problem")


def print_exported(done: Sequence[Exported], output: RowFormat) -> None:
    def table() -> None:
        print_table(["", "path", "to"], [(row.action, short_path(row.path), short_path(row.to or "")) for row in done])

    print_rows([asdict(row) for row in done], output, COLUMNS, table)
