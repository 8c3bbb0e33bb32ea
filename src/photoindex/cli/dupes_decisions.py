"""`photoindex dupes decide` and `photoindex dupes decisions`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from photoindex.cli.options import LibraryOption, open_library
from photoindex.errors import UsageError
from photoindex.render.output import RowFormat, print_json
from photoindex.render.text import note

decisions = typer.Typer(help="List, export, import and revoke what you decided about duplicates.", no_args_is_help=True)
DecisionFormat = Annotated[RowFormat, typer.Option("--format", help="How results are printed.")]


def decide(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="not-duplicates, keep-all or keep-this.")],
    what: Annotated[
        list[str],
        typer.Argument(metavar="WHAT...", help="A group by its id, or files. With keep-this first the file to keep."),
    ],
    library: LibraryOption = None,
) -> None:
    """Settle a group for good: it does not come back after a move or a new scan, unless something new joins it.

    `dupes decide keep-all 3f2a9c01`, `dupes decide not-duplicates a.jpg b.jpg`, `dupes decide keep-this a.jpg`.
    """
    from photoindex.dupes import decide as settle
    from photoindex.store.library import Library

    _, settings = open_library(library)
    with Library.writing(settings.library) as writing:
        made = settle(writing, decision, what)
    files = sum(made.photos.values())
    stays = f": {what[0]} stays" if made.keeper else ""
    told = f"Decided {made.kind} about {files} files{stays}."
    note(f"{told} `photoindex dupes decisions revoke {made.id[:8]}` takes it back.")


@decisions.command("list")
def list_decisions(library: LibraryOption = None, output: DecisionFormat = RowFormat.table) -> None:
    """List the decisions, the oldest first, with the files they are about."""
    from photoindex.dupes.deciding import known_paths
    from photoindex.render.decisions import print_decisions

    opened, _ = open_library(library)
    made = opened.decisions.read()
    print_decisions(made, known_paths(opened, made), output)
    if not made:
        note("Nothing is decided. `photoindex dupes decide --help` says how.")


@decisions.command("export")
def export(library: LibraryOption = None) -> None:
    """Print all decisions as JSON, for `import` into another library."""
    from photoindex.dupes import export_decisions

    opened, _ = open_library(library)
    print_json(export_decisions(opened))


@decisions.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="What `export` printed.")], library: LibraryOption = None
) -> None:
    """Add exported decisions. Of two about the same group the later one holds."""
    from photoindex.dupes import import_decisions
    from photoindex.keeping.automatic import keep_words
    from photoindex.store.library import Library

    try:
        value = json.loads(file.read_bytes())
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # the latter: brackets within brackets without end
        raise UsageError(f"{file} is no JSON: {error}.") from None
    _, settings = open_library(library)
    with Library.writing(settings.library) as writing:
        if writing.decisions.read():
            keep_words(writing, "import")  # a later decision takes the place of an earlier one
        taken = import_decisions(writing, value)
    given = len(value["decisions"])
    rest = "" if taken == given else "; the rest was known"
    note(f"Took {taken} of {given} {'decision' if given == 1 else 'decisions'}{rest}.")


@decisions.command()
def revoke(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Six digits or more of their ids.")],
    library: LibraryOption = None,
) -> None:
    """Forget decisions: their groups come back."""
    from photoindex.dupes import revoke as forget
    from photoindex.store.library import Library

    _, settings = open_library(library)
    with Library.writing(settings.library) as writing:
        gone = forget(writing, ids)
    note(f"Forgot {len(gone)} {'decision' if len(gone) == 1 else 'decisions'}.")
