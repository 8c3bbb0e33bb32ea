"""`photoindex forget`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.options import LibraryOption, ModelsOption, ObjectFormatOption, open_library, registry_of
from photoindex.cli.query import QueryCommand, query_of
from photoindex.errors import UsageError
from photoindex.render.output import ObjectFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.keeping import Forgetting
    from photoindex.models.registry import Registry
    from photoindex.store.library import Library


def register(app: typer.Typer) -> None:
    app.command("forget", cls=QueryCommand)(forget)


def forget(
    words: Annotated[list[str] | None, typer.Argument(metavar="[QUERY]", help="What this query finds.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Files that were not there at the last scan.")] = False,
    root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="All files below this folder, and that it was scanned.")
    ] = None,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Also what you said of these photos: decisions, places in collections.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be forgotten, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    library: LibraryOption = None,
    models: ModelsOption = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Remove from the library what it knows of photos. The photos themselves are never touched.

    What you said of them is kept by content, unless --decisions, and written to a file in any case.
    """
    from photoindex import keeping
    from photoindex.render.keeping import print_forgetting
    from photoindex.store.library import Library

    if sum((bool(words), missing, root is not None)) != 1:
        raise UsageError("Say what to forget, in one way: a query, --missing, or --root FOLDER.")
    opened, settings = open_library(library, models)
    what = _chosen(opened, registry_of(settings), settings.models_dir, words, root)
    print_forgetting(what, output)
    note(_summary(what, decisions))
    if dry_run or not (what.paths or what.folders):
        return
    _confirm(yes)
    with Library.writing(settings.library) as writing:
        kept = keeping.forget(writing, what, words=decisions)
    note(f"Forgotten. What you had said of these photos is in {kept}.")


def _chosen(
    library: Library, registry: Registry, models_dir: Path, words: list[str] | None, root: Path | None
) -> Forgetting:
    from photoindex import keeping

    if not words:
        return keeping.forgetting_files(library, root)
    from photoindex.search import SearchOptions, chosen

    ids = chosen(library, query_of(words, {}), registry, models_dir, SearchOptions(limit=0, warn=note))
    return keeping.forgetting_photos(library, ids)


def _summary(what: Forgetting, decisions: bool) -> str:
    if not (what.paths or what.folders):
        return "There is nothing to forget: the library knows no such file."
    files, photos = _counted(len(what.paths), "file"), _counted(len(what.photos), "photo")
    told = [f"{files}, and all that is known of {photos} that no other file holds"]
    told += [f"{_counted(len(what.folders), 'folder')} of scans"] if what.folders else []
    text = "To be forgotten: " + "; ".join(told) + "."
    if what.copies:
        text += (
            f" {_counted(what.copies, 'file')} of these hold{_s(what.copies)} the same bytes as another: a query finds"
        )
        text += " photos, whichever of their files it met, and all files of a photo are forgotten."
    if what.present:
        text += f" {_counted(what.present, 'file')} still there, which a scan of the folder brings back."
    return text + _words_of(what, decisions)


def _words_of(what: Forgetting, decisions: bool) -> str:
    """What the user said of them, and whether it stays."""
    said = [_counted(n, word) for n, word in ((what.collections, "collection"), (what.decisions, "decision")) if n]
    if not said:
        return ""
    one = what.collections + what.decisions
    return f" {' and '.join(said)} name{_s(one)} them: that {'goes too' if decisions else 'is kept'}."


def _s(count: int) -> str:
    return "s" if count == 1 else ""


def _counted(count: int, word: str) -> str:
    return f"1 {word}" if count == 1 else f"{count:,} {word}s"


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("Nothing was forgotten: say --yes where nobody can be asked.")
    typer.confirm("Forget it?", abort=True, err=True)
