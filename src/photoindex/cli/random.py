"""`photoindex random`."""

from __future__ import annotations

from typing import Annotated

import typer

from photoindex.cli.lean import leave_out_pandas
from photoindex.cli.options import FormatOption, LibraryOption, ModelsOption, NullOption, open_library, registry_of
from photoindex.cli.query import QueryCommand, query_of
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
) -> None:
    """Show photos by chance, of all or of what a query finds."""
    leave_out_pandas()
    from photoindex.render.results import print_hits
    from photoindex.search import SearchOptions, pick

    query = query_of(words or (), {})
    opened, settings = open_library(library, models)
    options = SearchOptions(limit=0, warn=note)
    found = pick(opened, query, registry_of(settings), settings.models_dir, options, count, seed)
    print_hits(found.hits, output, null, explain=False)
    if not found.hits:
        note("Nothing found.")
