"""`photoindex collections`: photos kept together by hand, and queries that stay true."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from photoindex.cli.lean import short_command
from photoindex.cli.options import (
    FormatOption,
    LibraryOption,
    ModelsOption,
    NullOption,
    open_library,
    registry_of,
)
from photoindex.config import Settings, read_settings
from photoindex.errors import UsageError
from photoindex.render.output import Format, RowFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from photoindex.store.library import Library

app = typer.Typer(
    help="Keep photos together by hand, or by a query that stays true; `photoindex search in:NAME` searches there.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="The collection.")]
Photos = Annotated[
    list[str] | None, typer.Argument(metavar="[PHOTO...]", help="Paths, or first characters of a SHA-256.")
]
QueryOption = Annotated[str | None, typer.Option(metavar="QUERY", help="What this query finds now.")]
LimitOption = Annotated[int, typer.Option(min=0, help="Only so many of the best that it finds; 0 for all.")]
RowFormatOption = Annotated[RowFormat, typer.Option("--format", help="How results are printed.")]
StdinOption = Annotated[
    bool, typer.Option("-0", "--null", help="Read paths from stdin, each ended by a NUL byte, as `search -0` prints.")
]


@app.command()
def create(
    name: Name,
    smart: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Always what this query finds, also of photos to come.")
    ] = None,
    library: LibraryOption = None,
) -> None:
    """Make a collection: empty, to add photos by hand, or smart."""
    from photoindex import saved

    with _writing(library) as opened:
        made = saved.create(opened, name, smart)
    note(f"Collection {made!r} created: search in it with {_field(made)}.")


@app.command()
def add(
    name: Name,
    photos: Photos = None,
    query: QueryOption = None,
    limit: LimitOption = 0,
    null: StdinOption = False,
    library: LibraryOption = None,
    models: ModelsOption = None,
) -> None:
    """Add photos to a collection made by hand: paths, a query's photos, or paths from another command."""
    from photoindex import saved

    chosen = _photos(photos, query, limit, null, library, models)
    with _writing(library) as opened:
        count = saved.add(opened, name, chosen)
    note(
        f"{_counted(count)} added" + (f"; {len(chosen) - count:,} were in it already." if count < len(chosen) else ".")
    )


@app.command()
def remove(
    name: Name,
    photos: Photos = None,
    query: QueryOption = None,
    limit: LimitOption = 0,
    null: StdinOption = False,
    library: LibraryOption = None,
    models: ModelsOption = None,
) -> None:
    """Take photos out of a collection made by hand. The files stay."""
    from photoindex import saved

    chosen = _photos(photos, query, limit, null, library, models)
    with _writing(library) as opened:
        count = saved.remove(opened, name, chosen)
    note(f"{_counted(count)} taken out.")


@app.command("list")
def list_collections(
    library: LibraryOption = None, output: Annotated[RowFormat, typer.Option("--format")] = RowFormat.table
) -> None:
    """List the collections."""
    from photoindex.render.collections import print_collections

    opened, _ = open_library(library)
    print_collections(opened.collections.read(), opened.collections.counts(), output)
    if not opened.collections.queries():
        note("No collections yet: photoindex collections create NAME")


@app.command()
def show(
    name: Name,
    limit: Annotated[int, typer.Option(min=0, help="At most so many photos; 0 for all.")] = 0,
    library: LibraryOption = None,
    models: ModelsOption = None,
    output: FormatOption = Format.table,
    null: NullOption = False,
) -> None:
    """List the photos of a collection, newest first."""
    short_command()
    from photoindex import saved
    from photoindex.pure.query.tree import Field, Text
    from photoindex.render.results import print_hits
    from photoindex.search import SearchOptions, find

    opened, settings = open_library(library, models)
    known = saved.meant(opened, name)
    options = SearchOptions(limit=limit, warn=note)
    found = find(opened, Field("in", Text(known)), registry_of(settings), settings.models_dir, options)
    print_hits(found.hits, output, null, explain=False)
    unseen = opened.collections.counts()[known][1]
    if unseen:
        note(f"{_counted(unseen)} of this collection are not in this library: they appear once they are scanned.")
    if not found.hits:
        note(f"{known!r} holds no photo of this library.")


@app.command()
def merge(
    name: Annotated[str, typer.Argument(help="The collection to add to; made where it is new.")],
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="The collections to take photos from.")],
    drop: Annotated[bool, typer.Option("--drop", help="Forget the others afterwards.")] = False,
    library: LibraryOption = None,
    models: ModelsOption = None,
) -> None:
    """Put the photos of other collections into one; of smart ones those that they hold now."""
    short_command()
    from photoindex import saved

    opened, settings = open_library(library, models)
    photos = {
        other: saved.photos_of(opened, other, lambda query: _found(opened, settings, query, 0)) for other in others
    }
    with _writing(library) as writing:
        count = saved.merge(writing, name, photos, drop)
    note(f"{_counted(count)} added to {name!r}.")


@app.command()
def split(
    name: Name,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Which of its photos.")],
    into: Annotated[str, typer.Option(metavar="NEW", help="The new collection that takes them.")],
    library: LibraryOption = None,
    models: ModelsOption = None,
) -> None:
    """Move the photos that a query finds in a collection to a new one. `merge NAME NEW --drop` undoes it."""
    from photoindex import saved

    chosen = _photos(None, query, 0, False, library, models)
    with _writing(library) as opened:
        count = saved.split_off(opened, name, chosen, into)
    note(f"{_counted(count)} moved to {into!r}.")


@app.command()
def rename(
    name: Name, new: Annotated[str, typer.Argument(help="The new name.")], library: LibraryOption = None
) -> None:
    """Call a collection something else; smart collections that ask for it follow."""
    from photoindex import saved

    with _writing(library) as opened:
        using = saved.rename(opened, name, new)
    note(f"Renamed to {new!r}" + (f", also in {', '.join(using)}." if using else "."))


@app.command()
def delete(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The collections.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    library: LibraryOption = None,
) -> None:
    """Forget collections. Photos and files are untouched."""
    from photoindex import saved

    opened, _ = open_library(library)
    counts = opened.collections.counts()
    for name in (known := [saved.meant(opened, name) for name in names]):
        using = [other for other in saved.used_by(opened, name) if other not in known]
        what = _counted(counts[name][0]) if opened.collections.queries()[name] is None else "smart"
        note(
            f"{name!r} ({what})" + (f" is asked for by {', '.join(using)}, which will not work then." if using else "")
        )
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("Nothing was deleted: say --yes where nobody can be asked.")
        typer.confirm("Forget it?" if len(known) == 1 else "Forget them?", abort=True, err=True)
    with _writing(library) as writing:
        saved.delete(writing, known)


@app.command("export")
def export_collections(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Collections; none for all.")] = None,
    library: LibraryOption = None,
) -> None:
    """Print collections as JSON, their photos by SHA-256, to keep or to `import` into another library."""
    from photoindex import saved
    from photoindex.render.output import print_json

    print_json(saved.exported(open_library(library)[0], names or ()))


@app.command("import")
def import_collections(
    file: Annotated[Path, typer.Argument(help="A file that `export` printed; - for stdin.")],
    library: LibraryOption = None,
) -> None:
    """Take in collections; photos that this library has not seen are kept and appear once they are scanned."""
    from photoindex import saved

    data = _read_json(file)
    with _writing(library) as opened:
        added = saved.imported(opened, data)
    note(f"{len(added)} collections taken in, with {_counted(sum(added.values()))} that they did not have.")


def _writing(name: str | None) -> AbstractContextManager[Library]:
    """The library to write to, which must be there already."""
    from photoindex.store.library import Library

    open_library(name)
    return Library.writing(read_settings(name).library)


def _photos(
    photos: list[str] | None, query: str | None, limit: int, null: bool, name: str | None, models: str | None
) -> list[str]:
    """The SHA-256 of what was named, each once."""
    short_command()
    from photoindex import saved

    if sum((bool(photos), query is not None, null)) != 1:
        raise UsageError("Say which photos, in one way: paths, --query QUERY, or -0 with paths from another command.")
    opened, settings = open_library(name, models)
    if query is not None:
        return opened.collections.shas(_found(opened, settings, query, limit))
    named = photos or [os.fsdecode(path) for path in sys.stdin.buffer.read().split(b"\0") if path]
    return list(dict.fromkeys(saved.shas_named(opened, named)))


def _found(library: Library, settings: Settings, query: str, limit: int) -> list[int]:
    from photoindex.search import SearchOptions, chosen

    return chosen(library, query, registry_of(settings), settings.models_dir, SearchOptions(limit=limit, warn=note))


def _read_json(file: Path) -> Any:
    try:
        return json.loads(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"Cannot read {file}: {error}") from None


def _counted(count: int) -> str:
    return "1 photo" if count == 1 else f"{count:,} photos"


def _field(name: str) -> str:
    from photoindex.pure.query.tree import Text

    return f"in:{Text(name)}"
