"""The formats of results: a table for people; json, ndjson, csv and paths for programs."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from photoindex.render.text import console, visible, width_of

Row = Mapping[str, Any]


class Format(StrEnum):
    table = "table"
    json = "json"
    ndjson = "ndjson"
    csv = "csv"
    paths = "paths"


class RowFormat(StrEnum):
    """For rows that are not of files."""

    table = "table"
    json = "json"
    ndjson = "ndjson"
    csv = "csv"


class PlanFormat(StrEnum):
    """For plans, which are read again."""

    json = "json"
    csv = "csv"


class ObjectFormat(StrEnum):
    table = "table"
    json = "json"


class ScanFormat(StrEnum):
    """For a scan, and for the many of `scan --watch`."""

    table = "table"
    json = "json"
    ndjson = "ndjson"


def plain(value: Any) -> Any:
    """A record as JSON values: times in ISO 8601, records as objects, tuples as arrays."""
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value


def print_json(value: Any) -> None:
    print(json.dumps(plain(value), indent=2))


def print_results(
    rows: Sequence[Row], output: Format, null: bool, columns: Sequence[str], table: Callable[[], None]
) -> None:
    """Rows in the chosen format. `columns` are those of csv; `null` ends paths with a NUL byte, as xargs -0 reads."""
    match Format.paths if null else output:
        case Format.table:
            if rows:
                table()
        case Format.json:
            print_json(rows)
        case Format.ndjson:
            for row in rows:
                print(json.dumps(plain(row)))
        case Format.csv:
            print_csv(rows, columns)
        case Format.paths:
            print_paths((row["path"] for row in rows), null)


def print_rows(rows: Sequence[Row], output: RowFormat, columns: Sequence[str], table: Callable[[], None]) -> None:
    """Rows that are not of files in the chosen format."""
    print_results(rows, Format(output.value), False, columns, table)


def print_csv(rows: Iterable[Row], columns: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(plain(row.get(column))) for column in columns])


def _cell(value: Any) -> Any:
    """csv cannot hold bytes that are not UTF-8, nor nested values: those are escaped and written as JSON.

    On a terminal everything that could command it is escaped, too.
    """
    if isinstance(value, str) and sys.stdout.isatty():
        return visible(value)
    if isinstance(value, str):
        return value if value.isprintable() else value.encode("utf-8", "backslashreplace").decode()
    return json.dumps(value) if isinstance(value, list | dict) else value


def print_paths(paths: Iterable[str], null: bool) -> None:
    """Paths byte for byte; only a terminal gets them escaped."""
    if sys.stdout.isatty() and not null:
        for path in paths:
            print(visible(path))
        return
    sys.stdout.flush()
    for path in paths:
        sys.stdout.buffer.write(os.fsencode(path) + (b"\0" if null else b"\n"))
    sys.stdout.buffer.flush()


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """A table on stdout. `right` names the columns of numbers. Cells are text, never markup nor commands to a terminal;
    they may have several lines. Where stdout is no terminal nothing is broken, coloured or drawn."""
    shown = [[[visible(line) for line in cell.split("\n")] for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_on_terminal(headers, shown, right)
    else:
        heading = [[[header] for header in headers]] if any(headers) else []
        _print_plain([*heading, *shown], [header in right for header in headers])


def _print_plain(rows: Sequence[Sequence[Sequence[str]]], right: Sequence[bool]) -> None:
    """Columns two blanks apart. Without Rich, which takes as long to import as reading what is printed here."""
    widths = [
        max((width_of(line) for cell in column for line in cell), default=0) for column in zip(*rows, strict=True)
    ]
    for row in rows:
        for cells in zip_longest(*row, fillvalue=""):
            blanks = [" " * (width - width_of(cell)) for cell, width in zip(cells, widths, strict=True)]
            aligned = [b + cell if end else cell + b for cell, b, end in zip(cells, blanks, right, strict=True)]
            print("  ".join(aligned).rstrip(" "))


def _print_on_terminal(headers: Sequence[str], rows: Sequence[Sequence[Sequence[str]]], right: Sequence[str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    headed = any(headers)
    lines = box.SIMPLE_HEAD if headed else None
    table = Table(box=lines, pad_edge=False, header_style="bold", show_header=headed)
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("\n".join(cell)) for cell in row))
    console().print(table)
