"""`photoindex dupes plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from photoindex.cli.dupes_options import Choice, with_choice
from photoindex.cli.options import LibraryOption, open_library
from photoindex.render.output import PlanFormat
from photoindex.render.text import note


@with_choice
def plan(
    library: LibraryOption = None,
    *,
    choice: Choice,
    decided: Annotated[
        bool, typer.Option("--decided", help="Only groups of which you decided what to keep, of every tier.")
    ] = False,
    output: Annotated[PlanFormat, typer.Option("--format", help="How the plan is written.")] = PlanFormat.json,
    check: Annotated[
        str | None, typer.Option("--check", metavar="FILE", help="Only check a plan that you edited (JSON or csv).")
    ] = None,
) -> None:
    """Write down which duplicates could go and which stay: `photoindex dupes plan > plan.json`. Touches no photo.

    Without --tier only files of the same bytes or the same pixels are planned. What lies below --protect stays.
    """
    from photoindex.dupes import make_plan
    from photoindex.pure.tiers import DUPLICATES, IDENTICAL, SAME_PIXELS
    from photoindex.render.plans import note_plan, print_plan, read_plan

    if check is not None:
        note_plan(read_plan(check))
        return
    options = choice.options(DUPLICATES if decided else (IDENTICAL, SAME_PIXELS), decided=decided)
    opened, _ = open_library(library)
    made = make_plan(opened, options)
    print_plan(made.plan, output)
    for line in made.notes:
        note(line)
    note_plan(made.plan)
