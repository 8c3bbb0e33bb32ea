"""`photoindex runs`: the history of scans."""

from __future__ import annotations

from typing import Annotated

import typer

from photoindex.cli.options import LibraryOption, ObjectFormatOption, RowFormatOption, open_library
from photoindex.render.output import ObjectFormat, RowFormat
from photoindex.render.text import note

app = typer.Typer(
    help="List the scans of a library: when, how long, how many photos, how fast, and how each ended.",
    invoke_without_command=True,
)


@app.callback()
def runs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many of the last ones; 0 for all.")] = 20,
    library: LibraryOption = None,
    output: RowFormatOption = RowFormat.table,
) -> None:
    """List the scans of a library, newest first: when, how long, how many photos, how fast, how each ended."""
    from photoindex.render.runs import print_runs

    if ctx.invoked_subcommand is not None:
        return
    opened, _ = open_library(library)
    found = opened.runs.latest(limit)
    print_runs(found, output)
    if not found:
        note("No scan yet.")


@app.command()
def show(
    run: Annotated[int, typer.Argument(metavar="RUN", help="The number of a scan, as `photoindex runs` lists it.")],
    library: LibraryOption = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Show one scan: its steps with their time, its versions, and what failed in it."""
    from photoindex.render.runs import print_run

    opened, _ = open_library(library)
    print_run(opened.runs.get(run), opened.runs.failures(run), output)
