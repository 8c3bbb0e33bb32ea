"""`photoindex doctor`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from photoindex.cli.options import LibraryOption, ModelsOption, ObjectFormatOption, RuntimeOption, registry_of
from photoindex.config import read_settings
from photoindex.render.output import ObjectFormat
from photoindex.render.text import note


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    library: LibraryOption = None,
    models: ModelsOption = None,
    profile: Annotated[
        str | None, typer.Option(help="Whose models. [default: the library's, else fast]", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look only; measure nothing.")] = False,
    photos: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Measure with these pictures, not with those made for it.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="About how long each stage is timed.")] = 3.0,
    runtime: RuntimeOption = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Examine this machine, its models and the library: what is wrong, what to do, and how fast a scan would be.

    Nothing is changed in the library. The exit code is 1 where there is a problem; a warning is none.
    """
    from photoindex.doctor.report import Plan, examine
    from photoindex.records import RuntimeOptions
    from photoindex.render.doctor import examination_object, print_examination
    from photoindex.render.output import print_json
    from photoindex.runtimes.selection import check_runtime
    from photoindex.steps import STEPS

    settings = read_settings(library, models=models)
    option = f"--library {shlex.quote(library)}" if library else ""
    check_runtime(runtime, [*STEPS])
    plan = Plan(profile, photos, None if quick else seconds, RuntimeOptions(runtime=runtime), option, note)
    found = examine(settings, registry_of(settings), plan)
    if json or output is ObjectFormat.json:
        print_json(examination_object(found))
    else:
        print_examination(found)
    raise typer.Exit(1 if found.level == "problem" else 0)
