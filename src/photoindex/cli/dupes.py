"""`photoindex dupes`."""

from __future__ import annotations

from typing import Annotated

import typer

from photoindex.cli.options import FormatOption, LibraryOption, NullOption, open_library
from photoindex.render.output import Format
from photoindex.render.text import note


def register(app: typer.Typer) -> None:
    app.command("dupes")(dupes)


def dupes(
    library: LibraryOption = None,
    threshold: Annotated[
        int, typer.Option(min=0, max=128, help="PDQ bits (of 256) up to which photos count as near duplicates.")
    ] = 8,
    output: FormatOption = Format.table,
    null: NullOption = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when there are duplicates.")] = False,
) -> None:
    """List groups of duplicate photos: the same bytes, and near copies (resized, recompressed). Deletes nothing."""
    from photoindex.dupes import CONFIDENT_THRESHOLD
    from photoindex.dupes import dupes as find
    from photoindex.render.results import print_groups

    opened, _ = open_library(library)
    if threshold > CONFIDENT_THRESHOLD:
        note(f"Above {CONFIDENT_THRESHOLD} bits unrelated photos meet too; look before you act.")
    groups = find(opened, threshold)
    print_groups(groups, output, null)
    if not groups:
        note("No duplicates.")
    raise typer.Exit(1 if exit_code and groups else 0)
