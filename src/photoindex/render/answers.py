"""The answers to `photoindex sql`: whatever columns were asked for."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any

from photoindex.render.output import RowFormat, plain, print_rows, print_table
from photoindex.render.text import console, visible

_LONG = 30  # columns of a terminal that each long value of a row needs, or a table of them is not read any more
_GAP = 3


def print_answer(columns: Sequence[str], rows: Iterable[Sequence[Any]], output: RowFormat) -> None:
    names = _apart(columns)
    told = [dict(zip(names, map(value_as_json, row), strict=True)) for row in rows]

    def table() -> None:
        numbers = [name for name in names if all(isinstance(row[name], int | float | None) for row in told)]
        cells = [[_cell(row[name]) for name in names] for row in told]
        if cells and sys.stdout.isatty() and not _fits(names, cells):
            _print_records([visible(name) for name in names], cells)
        else:
            print_table(names, cells, right=numbers)

    print_rows(told, output, names, table)


def value_as_json(value: Any) -> Any:
    """A value of DuckDB's as JSON has it: bytes in hex, what is no number as null, intervals and the like as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [value_as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): value_as_json(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(plain(value))


def _apart(columns: Sequence[str]) -> list[str]:
    """Names that differ: a second `x` becomes `x_2`."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names:
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def _fits(names: Sequence[str], cells: Sequence[Sequence[str]]) -> bool:
    """Whether a table of them can be read on the terminal."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]
    return sum(min(width, _LONG) + _GAP for width in widths) <= console().width


def _print_records(names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Row after row, each value in a line of its own; what is not known has none."""
    from rich.table import Table
    from rich.text import Text

    target = console()
    for number, row in enumerate(cells, 1):
        target.print(Text(f"{number} of {len(cells):,}", style="bold"))
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold")
        for name, cell in zip(names, row, strict=True):
            if cell:
                lines.add_row(Text(name, style="dim"), Text(cell))
        target.print(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
