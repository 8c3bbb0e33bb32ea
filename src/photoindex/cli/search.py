"""`photoindex search`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from photoindex.cli.lean import leave_out_pandas
from photoindex.cli.options import (
    FormatOption,
    LibraryOption,
    ModelsOption,
    NullOption,
    open_library,
    parse_date,
    registry_of,
)
from photoindex.errors import UsageError
from photoindex.render.output import Format
from photoindex.render.text import note


class Mode(StrEnum):
    hybrid = "hybrid"
    keyword = "keyword"
    semantic = "semantic"


class Has(StrEnum):
    gps = "gps"
    text = "text"
    faces = "faces"
    tags = "tags"


def register(app: typer.Typer) -> None:
    app.command("search")(search)


def search(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]", help="Leave them out to list what passes the filters.")
    ] = None,
    library: LibraryOption = None,
    mode: Annotated[Mode, typer.Option(help="By words, by meaning, or both.")] = Mode.hybrid,
    limit: Annotated[int, typer.Option(min=1, help="At most so many photos.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="DATE", help="Taken then or later: 2023, 2023-05-01.")] = None,
    before: Annotated[str | None, typer.Option(metavar="DATE", help="Taken earlier than that.")] = None,
    camera: Annotated[str | None, typer.Option(help="Part of the camera's maker and model.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="In this category; see `photoindex categories`.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="With this tag.")] = None,
    has: Annotated[list[Has] | None, typer.Option(help="With a position, text, faces or tags.")] = None,
    models: ModelsOption = None,
    output: FormatOption = Format.table,
    null: NullOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show why each photo is in the result.")] = False,
) -> None:
    """Find photos by what they show, the text in them, their tags, names, places, dates and cameras."""
    leave_out_pandas()
    from photoindex.records import Filters
    from photoindex.render.results import print_hits
    from photoindex.search import SearchOptions
    from photoindex.search import search as find

    filters = Filters(
        after=parse_date(after, "--after"),
        before=parse_date(before, "--before"),
        camera=camera,
        tags=tuple(tag or ()),
        categories=tuple(category or ()),
        has=tuple(has or ()),
    )
    query = " ".join(words or ())
    if not query.strip() and not filters:
        raise UsageError("Say what to search: some words, or a filter such as --after 2023.")
    opened, settings = open_library(library, models)
    options = SearchOptions(mode=mode.value, limit=limit, filters=filters, explain=explain, warn=note)
    hits = find(opened, query, registry_of(settings), settings.models_dir, options)
    print_hits(hits, output, null, explain)
    if not hits:
        needs_weights = filters.tags or filters.categories or {"tags", "faces"} & set(filters.has)
        note(
            "Nothing found."
            + (" `photoindex status` shows whether tags and faces were analysed." if needs_weights else "")
        )
