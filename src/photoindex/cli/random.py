"""`photoindex random`."""

from __future__ import annotations

from typing import Annotated

import typer

from photoindex.cli.lean import short_command
from photoindex.cli.options import (
    FormatOption,
    IdsOption,
    LibraryOption,
    ModelsOption,
    NullOption,
    open_library,
    registry_of,
)
from photoindex.cli.query import QueryCommand, query_of
from photoindex.cli.showing import OpenOption, PreviewOption, SheetOption, Showing
from photoindex.render.output import Format
from photoindex.render.text import note


def register(app: typer.Typer) -> None:
    app.command("random", cls=QueryCommand)(random)


def random(
    words: Annotated[list[str] | None, typer.Argument(metavar="[QUERY]", help="Only what this query finds.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="So many.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Any number: the same one draws the same photos.")] = None,
    library: LibraryOption = None,
    models: ModelsOption = None,
    output: FormatOption = Format.table,
    null: NullOption = False,
    ids: IdsOption = False,
    preview: PreviewOption = False,
    browser: OpenOption = False,
    sheet: SheetOption = None,
) -> None:
    """Show photos by chance, of all or of what a query finds."""
    short_command()
    from photoindex.search import SearchOptions, pick

    showing = Showing(output, null, ids, preview=preview, sheet=sheet, browser=browser)
    query = query_of(words or (), {})
    opened, settings = open_library(library, models)
    options = SearchOptions(limit=0, warn=note)
    found = showing.show(
        opened,
        f"by chance {query}".strip(),
        lambda: pick(opened, query, registry_of(settings), settings.models_dir, options, count, seed),
    )
    if not found.hits:
        note("Nothing found.")
