"""`photoindex search`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.completion import complete_query, complete_value
from photoindex.cli.lean import leave_out_pandas
from photoindex.cli.options import (
    CountOption,
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
from photoindex.errors import UsageError
from photoindex.render.output import Format
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.config import Settings
    from photoindex.pure.query import Node
    from photoindex.records import Found


class Mode(StrEnum):
    hybrid = "hybrid"
    keyword = "keyword"
    semantic = "semantic"


class Has(StrEnum):
    gps = "gps"
    text = "text"
    faces = "faces"
    people = "people"
    tags = "tags"
    date = "date"
    camera = "camera"
    rating = "rating"


class Sort(StrEnum):
    relevance = "relevance"
    date = "date"
    name = "name"


def register(app: typer.Typer) -> None:
    app.command("search", cls=QueryCommand)(search)
    app.command("similar", cls=QueryCommand)(similar)


_ALL = typer.Option("--all", help="Also what is no good match, after what is.")
_EXPLAIN = typer.Option("--explain", help="Show why each photo is in the result.")


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUERY]",
            help="Words, fields such as camera:nikon, or both: see docs/query.md.",
            autocompletion=complete_query,
        ),
    ] = None,
    library: LibraryOption = None,
    mode: Annotated[Mode, typer.Option(help="By words, by meaning, or both.")] = Mode.hybrid,
    limit: Annotated[int, typer.Option(min=0, help="At most so many photos; 0 for all.")] = 20,
    everything: Annotated[bool, _ALL] = False,
    sort: Annotated[Sort, typer.Option(help="The order of the good matches.")] = Sort.relevance,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Only photos that match at least so well.")] = 0.0,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="LIST=N,...", envvar="PHOTOINDEX_WEIGHTS", help="What text, tags and vector count in the ranking."
        ),
    ] = None,
    like: Annotated[list[str] | None, typer.Option(metavar="PICTURE", help="Like this file or photo.")] = None,
    add: Annotated[list[str] | None, typer.Option(metavar="TERM", help="Add a meaning: rain, 0.5:rain, a.jpg.")] = None,
    subtract: Annotated[list[str] | None, typer.Option(metavar="TERM", help="Take a meaning away.")] = None,
    after: Annotated[str | None, typer.Option(metavar="DATE", help="Taken then or later: 2023, 2023-05-01.")] = None,
    before: Annotated[str | None, typer.Option(metavar="DATE", help="Taken earlier than that.")] = None,
    camera: Annotated[
        str | None, typer.Option(help="Part of the camera's maker and model.", autocompletion=complete_value("camera"))
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="In this category; see `photoindex categories`.", autocompletion=complete_value("category")),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="With this tag.", autocompletion=complete_value("tag"))] = None,
    has: Annotated[list[Has] | None, typer.Option(help="With a position, text, faces, ...")] = None,
    models: ModelsOption = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="Run the text model on this: onnxruntime or openvino.")
    ] = None,
    output: FormatOption = Format.table,
    null: NullOption = False,
    ids: IdsOption = False,
    count: CountOption = False,
    preview: PreviewOption = False,
    browser: OpenOption = False,
    sheet: SheetOption = None,
    explain: Annotated[bool, _EXPLAIN] = False,
    save: Annotated[str | None, typer.Option(metavar="NAME", help="Keep the query as a smart collection.")] = None,
) -> None:
    """Find photos by what they show, the text in them, their tags, names, places, dates and cameras."""
    leave_out_pandas()
    from photoindex.pure.query import NOTHING
    from photoindex.search import SearchOptions, find

    showing = Showing(output, null, ids, count, explain, preview, sheet, browser)
    named = {"after": after, "before": before, "camera": camera, "tag": tag, "category": category, "has": has}
    query = query_of(words or (), named, like or (), add or (), subtract or ())
    if query == NOTHING:
        raise UsageError("Say what to search: some words, a filter such as date:2023, or --like a.jpg.")
    opened, settings = open_library(library, models)
    if save is not None and (min_score or mode is not Mode.hybrid):
        raise UsageError("--save keeps a query, which --min-score and --mode are no part of: leave them out.")
    options = SearchOptions(
        mode=mode.value,
        limit=0 if count else limit,
        explain=showing.reasons,
        everything=everything,
        sort=sort.value,
        min_score=min_score,
        weights=parse_weights(weights),
        runtime=runtime,
        warn=note,
    )
    registry = registry_of(settings)
    found = showing.show(opened, str(query), lambda: find(opened, query, registry, settings.models_dir, options))
    for line in summary(found, query):
        note(line)
    if save is not None:
        save_query(settings, save, query)


def save_query(settings: Settings, name: str, query: Node) -> None:
    from photoindex.saved import create
    from photoindex.store.library import Library

    with Library.writing(settings.library) as writing:
        note(f"Saved as the smart collection {create(writing, name, query)!r}.")


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


def similar(
    photo: Annotated[str, typer.Argument(help="A picture file, or the first characters of a photo's SHA-256.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUERY]", help="Filters, and words or pictures to add.", autocompletion=complete_query),
    ] = None,
    library: LibraryOption = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many photos; 0 for all.")] = 20,
    models: ModelsOption = None,
    output: FormatOption = Format.table,
    null: NullOption = False,
    ids: IdsOption = False,
    count: CountOption = False,
    preview: PreviewOption = False,
    browser: OpenOption = False,
    sheet: SheetOption = None,
    explain: Annotated[bool, _EXPLAIN] = False,
) -> None:
    """Find photos that look like one: one of the library, or any picture file."""
    leave_out_pandas()
    from photoindex.search import SearchOptions
    from photoindex.search import similar as find

    showing = Showing(output, null, ids, count, explain, preview, sheet, browser)
    query = query_of(words or (), {})
    opened, settings = open_library(library, models)
    options = SearchOptions(limit=0 if count else limit, explain=showing.reasons, warn=note)
    registry = registry_of(settings)
    found = showing.show(
        opened,
        f"like {photo.strip()} {query}".strip(),
        lambda: find(opened, photo.strip(), query, registry, settings.models_dir, options),
    )
    if not found.hits:
        note("Nothing found.")


def summary(found: Found, query: Node) -> list[str]:
    """What the list itself does not say: that there is no good match, or more than are shown."""
    from photoindex.pure.query import fields_of, split

    good = sum(hit.kept for hit in found.hits)
    if found.total > good:
        total = f"more than {found.total:,}" if found.more else f"{found.total:,}"
        return [f"{good} of {total} shown; --limit 0 lists all."]
    if found.total:
        return []
    if split(query).texts and found.cut:
        return ["No good match." + ("" if found.hits else " --all shows what is nearest.")]
    asks_steps = any(
        field.name in ("tag", "category", "faces") or str(field) in ("has:faces", "has:tags", "has:people")
        for field in fields_of(query)
    )
    return [
        "Nothing found." + (" `photoindex status` shows whether tags and faces were analysed." if asks_steps else "")
    ]
