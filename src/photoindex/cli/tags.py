"""`photoindex tags`: which tags the photos have, and the thresholds that decide which are shown."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.options import (
    LibraryOption,
    ModelsOption,
    ObjectFormatOption,
    RowFormatOption,
    open_library,
    registry_of,
)
from photoindex.errors import UsageError
from photoindex.render.output import ObjectFormat, RowFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.models.registry import Registry
    from photoindex.models.spec import ModelSpec
    from photoindex.store.library import Library

app = typer.Typer(help="Count the tags of a library; set and apply the thresholds for them.", no_args_is_help=True)
ModelOption = Annotated[str | None, typer.Option("--model", help="Which tags model. [default: the library's]")]


@app.command("list")
def list_tags(
    library: LibraryOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many, the most frequent ones.")] = None,
    output: RowFormatOption = RowFormat.table,
) -> None:
    """Count the photos of each tag, the most frequent first."""
    from photoindex.render.tags import print_counts

    opened, _ = open_library(library)
    counts = opened.tag_scores.counts()
    print_counts(counts[:limit], output)
    if not counts:
        note("No photo has a tag. `photoindex status` shows whether the step has run.")


@app.command()
def thresholds(
    library: LibraryOption = None,
    models: ModelsOption = None,
    model: ModelOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also of tags that you set no threshold for.")] = False,
    output: RowFormatOption = RowFormat.table,
) -> None:
    """Show from which score on a tag is shown: by the model, by you, and as applied to the library."""
    from photoindex.render.tags import print_thresholds
    from photoindex.scan.tagging import tag_thresholds, threshold_notes

    opened, settings = open_library(library, models)
    registry = registry_of(settings)
    spec = _model(opened, registry, model)
    rows = tag_thresholds(opened, spec, settings.models_dir)
    told = [row for row in rows if everything or row.tag is None or row.yours is not None]
    print_thresholds(told, output)
    note(_summary(opened, spec, len(rows) - len(told)))
    for line in threshold_notes(opened, {spec.name: spec}, settings.models_dir):
        note(line)


@app.command("set")
def set_tag(
    tag: Annotated[str | None, typer.Argument(metavar="[TAG]", help="A tag.")] = None,
    value: Annotated[float | None, typer.Argument(metavar="[SCORE]", help="Show it from this score on.")] = None,
    minimum: Annotated[float | None, typer.Option(help="Show no tag below this score.", metavar="SCORE")] = None,
    model: ModelOption = None,
    library: LibraryOption = None,
    models: ModelsOption = None,
) -> None:
    """Set your own threshold for a tag, or with --minimum for all others. `photoindex tags apply` applies it."""
    from photoindex.scan.tagging import set_threshold
    from photoindex.store.library import Library

    if (tag is None) == (minimum is None) or (tag is None) != (value is None):
        raise UsageError("Give a tag and a score, or --minimum SCORE: `photoindex tags set dog 0.4`.")
    opened, settings = open_library(library, models)
    spec = _model(opened, registry_of(settings), model)
    score = minimum if value is None else value
    assert score is not None
    with Library.writing(settings.library) as writing:
        spelt = set_threshold(writing, spec, settings.models_dir, tag, score)
    what = f"{spelt!r} is" if spelt else "Tags without a threshold of their own are"
    note(f"{what} shown from {score} on once you run `photoindex tags apply`.")


@app.command()
def reset(
    tags: Annotated[list[str] | None, typer.Argument(metavar="[TAG...]", help="Tags; none for all.")] = None,
    model: ModelOption = None,
    library: LibraryOption = None,
    models: ModelsOption = None,
) -> None:
    """Forget your own thresholds for some tags, or all of them. `photoindex tags apply` applies it."""
    from photoindex.scan.tagging import reset_thresholds
    from photoindex.store.library import Library

    opened, settings = open_library(library, models)
    spec = _model(opened, registry_of(settings), model)
    with Library.writing(settings.library) as writing:
        count = reset_thresholds(writing, spec, tags or ())
    what = "1 threshold of yours is" if count == 1 else f"{count} thresholds of yours are"
    note(f"{what} forgotten." + (" `photoindex tags apply` applies it." if count else ""))


@app.command("apply")
def apply_thresholds(
    library: LibraryOption = None, models: ModelsOption = None, output: ObjectFormatOption = ObjectFormat.table
) -> None:
    """Choose the tags of all photos anew, from the kept scores. No model runs for it."""
    from photoindex.render.tags import print_applied
    from photoindex.scan.tagging import apply_thresholds as apply_all
    from photoindex.store.library import Library

    opened, settings = open_library(library, models)
    without = opened.tag_scores.photos_without_scores()
    with Library.writing(settings.library) as writing:
        done = apply_all(writing, registry_of(settings), settings.models_dir)
    print_applied(done, output)
    if not done and not without:
        note("No photo was tagged yet: there is nothing to choose from. `photoindex status` shows what was done.")
    for model in done:
        if model.stale:
            note(f"The lists of {model.model} are not on this machine: its thresholds are those last applied.")
    if without:
        note(_without_scores(opened, without))


def _model(library: Library, registry: Registry, name: str | None) -> ModelSpec:
    from photoindex.scan.tagging import tags_model

    return tags_model(library, registry, name)


def _summary(library: Library, spec: ModelSpec, hidden: int) -> str:
    rule = library.tag_scores.in_force(spec.name)
    words = [f"Thresholds of {spec.name}, by score."]
    if rule and rule.standing is not None:
        words.append(f"A tag must also stand out of the picture's others by {rule.standing:g}, unless you set its own.")
    if rule and rule.most is not None:
        words.append(f"A photo shows its {rule.most} best.")
    if hidden:
        words.append(f"{hidden:,} tags have a threshold of their own by the model; --all lists them.")
    return " ".join(words)


def _without_scores(library: Library, count: int) -> str:
    folders = " ".join(shlex.quote(root) for root in library.queries.status().roots) or "FOLDER"
    what = "1 photo was tagged before scores were kept, and stays as it is."
    if count > 1:
        what = f"{count:,} photos were tagged before scores were kept, and stay as they are."
    return f"{what} `photoindex scan {folders} --rescan tags` keeps them from now on."
