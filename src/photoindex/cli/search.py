"""`photoindex search` and `similar`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.completion import complete_query
from photoindex.cli.lean import short_command
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
from photoindex.cli.search_options import (
    AddOption,
    AfterOption,
    AllOption,
    BeforeOption,
    CameraOption,
    CategoryOption,
    ExplainOption,
    HasOption,
    LikeOption,
    LimitOption,
    MinScoreOption,
    Mode,
    ModeOption,
    SaveOption,
    Sort,
    SortOption,
    SubtractOption,
    TagOption,
    TextRuntimeOption,
    WeightsOption,
    WordsArgument,
)
from photoindex.cli.showing import OpenOption, PreviewOption, SheetOption, Showing
from photoindex.errors import UsageError
from photoindex.render.output import Format
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.config import Settings
    from photoindex.pure.query import Node
    from photoindex.records import Found


def register(app: typer.Typer) -> None:
    app.command("search", cls=QueryCommand)(search)
    app.command("similar", cls=QueryCommand)(similar)


def search(
    words: WordsArgument = None,
    library: LibraryOption = None,
    mode: ModeOption = Mode.hybrid,
    limit: LimitOption = 20,
    everything: AllOption = False,
    sort: SortOption = Sort.relevance,
    min_score: MinScoreOption = 0.0,
    weights: WeightsOption = None,
    like: LikeOption = None,
    add: AddOption = None,
    subtract: SubtractOption = None,
    after: AfterOption = None,
    before: BeforeOption = None,
    camera: CameraOption = None,
    category: CategoryOption = None,
    tag: TagOption = None,
    has: HasOption = None,
    models: ModelsOption = None,
    runtime: TextRuntimeOption = None,
    output: FormatOption = Format.table,
    null: NullOption = False,
    ids: IdsOption = False,
    count: CountOption = False,
    preview: PreviewOption = False,
    browser: OpenOption = False,
    sheet: SheetOption = None,
    explain: ExplainOption = False,
    save: SaveOption = None,
) -> None:
    """Find photos by what they show, the text in them, their tags, names, places, dates and cameras."""
    short_command()
    from photoindex.search import SearchOptions, find

    showing = Showing(output, null, ids, count, explain, preview, sheet, browser)
    named = {"after": after, "before": before, "camera": camera, "tag": tag, "category": category, "has": has}
    query = _something(query_of(words or (), named, like or (), add or (), subtract or ()))
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


def _something(query: Node) -> Node:
    from photoindex.pure.query import NOTHING

    if query == NOTHING:
        raise UsageError("Say what to search: some words, a filter such as date:2023, or --like a.jpg.")
    return query


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
    limit: LimitOption = 20,
    models: ModelsOption = None,
    output: FormatOption = Format.table,
    null: NullOption = False,
    ids: IdsOption = False,
    count: CountOption = False,
    preview: PreviewOption = False,
    browser: OpenOption = False,
    sheet: SheetOption = None,
    explain: ExplainOption = False,
) -> None:
    """Find photos that look like one: one of the library, or any picture file."""
    short_command()
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
