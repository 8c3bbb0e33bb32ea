"""`photoindex categories`: which tags make up a category. No model runs again for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from photoindex.cli.options import LibraryOption, ObjectFormatOption, open_library
from photoindex.config import read_settings
from photoindex.errors import UsageError
from photoindex.render.output import ObjectFormat, print_json, print_table
from photoindex.render.text import note, visible

app = typer.Typer(help="Say which tags make up a category; searching with --category uses it.", no_args_is_help=True)
Category = Annotated[str, typer.Argument(help="The category.")]
SomeTags = Annotated[list[str], typer.Argument(metavar="TAG...", help="Tags, as `photoindex show` prints them.")]


@app.command("list")
def list_categories(library: LibraryOption = None, output: ObjectFormatOption = ObjectFormat.table) -> None:
    """Show every category with its tags."""
    opened, _ = open_library(library)
    found = opened.queries.categories()
    if output is ObjectFormat.json:
        print_json(found)
    else:
        print_table(["category", "tags"], [(visible(name), visible(", ".join(tags))) for name, tags in found.items()])


@app.command()
def add(category: Category, tags: SomeTags, library: LibraryOption = None) -> None:
    """Add tags to a category, which is made where it is new."""
    known = open_library(library)[0].queries.categories()
    _save(library, {**known, category: (*known.get(category, ()), *tags)})


@app.command()
def remove(
    category: Category,
    tags: Annotated[list[str] | None, typer.Argument(metavar="[TAG...]", help="Tags; none for all.")] = None,
    library: LibraryOption = None,
) -> None:
    """Take tags out of a category, or the whole category away."""
    known = dict(open_library(library)[0].queries.categories())
    if category not in known:
        raise UsageError(f"There is no category {category!r}. There are: {', '.join(known)}.")
    left = tuple(tag for tag in known.pop(category) if tags and tag not in tags)
    _save(library, {**known, category: left} if left else known)


@app.command("export")
def export_categories(library: LibraryOption = None) -> None:
    """Print the categories as TOML, to edit and `import` again."""
    import json

    found = open_library(library)[0].queries.categories()
    for name, tags in found.items():
        typer.echo(f"{json.dumps(name, ensure_ascii=False)} = {json.dumps(list(tags), ensure_ascii=False)}")


@app.command("import")
def import_categories(
    file: Annotated[Path, typer.Argument(help="A TOML file: a list of tags for each category.")],
    library: LibraryOption = None,
) -> None:
    """Replace all categories by those of a TOML file."""
    from photoindex.models.words import read_categories

    open_library(library)
    _save(library, read_categories(file))


def _save(library: str | None, categories: Mapping[str, tuple[str, ...]]) -> None:
    from photoindex.store.library import Library

    with Library.writing(read_settings(library).library) as opened:
        opened.catalog.set_categories(categories)
    note(f"{len(categories)} categories saved.")
