"""`photoindex search`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from photoindex.records import Filters, Found


class Mode(StrEnum):
    hybrid = "hybrid"
    keyword = "keyword"
    semantic = "semantic"


class Has(StrEnum):
    gps = "gps"
    text = "text"
    faces = "faces"
    tags = "tags"


class Sort(StrEnum):
    relevance = "relevance"
    date = "date"
    name = "name"


def register(app: typer.Typer) -> None:
    app.command("search")(search)


def search(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]", help="Leave them out to list what passes the filters.")
    ] = None,
    library: LibraryOption = None,
    mode: Annotated[Mode, typer.Option(help="By words, by meaning, or both.")] = Mode.hybrid,
    limit: Annotated[int, typer.Option(min=0, help="At most so many photos; 0 for all.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Also what is no good match, after what is.")] = False,
    sort: Annotated[Sort, typer.Option(help="The order of the good matches.")] = Sort.relevance,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Only photos that match at least so well.")] = 0.0,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="LIST=N,...", envvar="PHOTOINDEX_WEIGHTS", help="What text, tags and vector count in the ranking."
        ),
    ] = None,
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
    from photoindex.search import SearchOptions, find

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
    options = SearchOptions(
        mode=mode.value,
        limit=limit,
        filters=filters,
        explain=explain,
        everything=everything,
        sort=sort.value,
        min_score=min_score,
        weights=parse_weights(weights),
        warn=note,
    )
    found = find(opened, query, registry_of(settings), settings.models_dir, options)
    print_hits(found.hits, output, null, explain)
    for line in _summary(found, query, filters):
        note(line)


def parse_weights(text: str | None) -> dict[str, float]:
    """text=2,vector=0.5 as {"text": 2.0, "vector": 0.5}."""
    from photoindex.search import WEIGHTS

    weights = {}
    for part in text.split(",") if text else ():
        name, _, value = part.strip().partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise UsageError(f"--weights: {part!r} is no weight. Write text=2,vector=0.5.") from None
        if name not in WEIGHTS or not 0 <= weights[name] < float("inf"):
            raise UsageError(f"--weights: {part!r}: there are {', '.join(WEIGHTS)}, each from 0 up.")
    return weights


def _summary(found: Found, query: str, filters: Filters) -> list[str]:
    """What the list itself does not say: that there is no good match, or more than are shown."""
    good = sum(hit.kept for hit in found.hits)
    if found.total > good:
        total = f"more than {found.total:,}" if found.more else f"{found.total:,}"
        return [f"{good} of {total} shown; --limit 0 lists all."]
    if found.total:
        return []
    if query.strip() and found.cut:
        return ["No good match." + ("" if found.hits else " --all shows what is nearest.")]
    asks_steps = filters.tags or filters.categories or {"tags", "faces"} & set(filters.has)
    return [
        "Nothing found." + (" `photoindex status` shows whether tags and faces were analysed." if asks_steps else "")
    ]
