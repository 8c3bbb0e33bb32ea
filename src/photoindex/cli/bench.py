"""`photoindex bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photoindex.cli.options import ModelsOption, ObjectFormatOption, RuntimeOption, registry_of
from photoindex.config import read_settings
from photoindex.render.output import ObjectFormat
from photoindex.render.text import note


def register(app: typer.Typer) -> None:
    app.command("bench")(bench)


def bench(
    profile: Annotated[str | None, typer.Option(help="Whose models. [default: fast]", show_default=False)] = None,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="How long to measure, beside loading.")] = 60.0,
    runtime: RuntimeOption = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An earlier result (--format json) to compare with.")
    ] = None,
    models: ModelsOption = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Time each stage of a scan at length on the same pictures everywhere, to compare machines and releases."""
    from photoindex.doctor.bench import bench as run
    from photoindex.doctor.bench import compare as ratios_of
    from photoindex.doctor.bench import read_run
    from photoindex.models.registry import DEFAULT_PROFILE
    from photoindex.records import RuntimeOptions
    from photoindex.render.bench import bench_object, print_bench
    from photoindex.render.output import print_json
    from photoindex.runtimes.selection import check_runtime
    from photoindex.steps import STEPS

    settings = read_settings(models=models)
    before = read_run(compare) if compare else None
    check_runtime(runtime, [*STEPS])
    options = RuntimeOptions(runtime=runtime)
    found = run(settings, registry_of(settings), profile or DEFAULT_PROFILE, seconds, note, options)
    ratios = ratios_of(before, found) if before else []
    if output is ObjectFormat.json:
        print_json(bench_object(found, before, ratios))
    else:
        print_bench(found, before, ratios)
