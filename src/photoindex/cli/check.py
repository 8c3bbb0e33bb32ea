"""`photoindex check` and `photoindex compact`."""

from __future__ import annotations

from typing import Annotated

import typer

from photoindex.cli.options import LibraryOption, ModelsOption, ObjectFormatOption, registry_of
from photoindex.config import read_settings
from photoindex.errors import LibraryCorrupt
from photoindex.render.output import ObjectFormat
from photoindex.render.text import note, size


def register(app: typer.Typer) -> None:
    for command in (check, compact):
        app.command(command.__name__)(command)


def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what is derived; never your photos, nor your own words.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not read every vector, text and weight.")] = False,
    library: LibraryOption = None,
    models: ModelsOption = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Examine the library: whether both stores can be read and agree, thumbnails and weights are whole.

    The exit code is 1 where there is a problem. A warning is none: the next scan mends it by itself.
    """
    from photoindex import keeping
    from photoindex.keeping.findings import worst
    from photoindex.render.keeping import print_checked

    settings = read_settings(library, models=models)
    mended = []
    if repair:
        try:
            mended = list(keeping.repair(settings.library))
        except LibraryCorrupt as error:
            note(str(error))
    found = keeping.check(settings.library, registry_of(settings), settings.models_dir, quick=quick, tell=note)
    print_checked(str(settings.library), found, mended, output)
    level = worst(found)
    again = [one for one in mended if one.code == "made_due"]
    if again:
        note("`photoindex scan` does what is due again.")
    note("The library is not whole." if level == "problem" else "The library is whole.")
    raise typer.Exit(1 if level == "problem" else 0)


def compact(library: LibraryOption = None, output: ObjectFormatOption = ObjectFormat.table) -> None:
    """Rewrite both stores to their least size on disk. Nothing that the library knows is lost."""
    from photoindex import keeping
    from photoindex.render.keeping import print_sizes

    done = keeping.compact(read_settings(library).library, note)
    print_sizes(done.before, done.after, output)
    freed = sum(done.before.values()) - sum(done.after.values())
    note(f"{size(max(0, freed))} freed.")
