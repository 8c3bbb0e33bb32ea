"""`photoindex sql`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from photoindex.cli.options import LibraryOption, open_library
from photoindex.render.output import RowFormat


def register(app: typer.Typer) -> None:
    app.command("sql")(sql)


def sql(
    statement: Annotated[str, typer.Argument(metavar="SQL", help="One question; - reads it from stdin.")],
    library: LibraryOption = None,
    output: Annotated[RowFormat, typer.Option("--format", help="How results are printed.")] = RowFormat.table,
) -> None:
    """Ask the catalog in SQL (DuckDB's), which it cannot change. See docs/sql.md for the tables there are."""
    from photoindex.render.answers import print_answer
    from photoindex.store.sql import ask_sql

    opened, _ = open_library(library)
    asked = sys.stdin.read() if statement == "-" else statement
    answer = ask_sql(opened.catalog.file.path, asked)
    print_answer(answer.columns, answer.rows, output)
