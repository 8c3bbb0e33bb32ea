"""`photoindex models`: which models there are, fetching their weights, and where those lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from photoindex.models.download import Progress
    from photoindex.models.registry import Registry
    from photoindex.models.spec import InstalledModel, ModelSpec

app = typer.Typer(help="List the models, fetch their weights, and show where those lie.", no_args_is_help=True)


class Format(StrEnum):
    table = "table"
    json = "json"


@app.command("list")
def list_models(
    output: Annotated[Format, typer.Option("--format", help="A table for people or JSON for programs.")] = Format.table,
) -> None:
    """Show every model: its task and licence, whether it is installed, and the profiles that use it."""
    registry, models_dir = _open()
    rows = [_row(registry, spec, models_dir) for spec in registry.models.values()]
    if output is Format.json:
        import json

        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


@app.command()
def pull(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Models to fetch.")] = None,
    profile: Annotated[str | None, typer.Option(help="Fetch every model of this profile.")] = None,
) -> None:
    """Fetch and verify the weights of models, or of a whole profile. What is already there is only verified."""
    from photoindex.errors import UsageError
    from photoindex.models.install import pull as install

    registry, models_dir = _open()
    if not names and profile is None:
        raise UsageError("Name a model, or a profile with --profile. `photoindex models list` shows both.")
    specs = [registry.model(name) for name in names or ()]
    if profile is not None:
        specs += registry.for_profile(profile).values()
    for spec in specs:
        if spec.note and not spec.commercial:
            typer.echo(f"{spec.name}: {spec.note}", err=True)
        with _progress() as progress:
            installed = install(registry, spec, models_dir, progress)
        _say_trust(installed)
        _prepare(installed)
        typer.echo(f"{spec.name}\t{installed.path}")


def _prepare(installed: InstalledModel) -> None:
    """Make an embedding model's ONNX forms now rather than at the first scan: searching works without torch then."""
    from photoindex.steps.forms import forms_ready, make_forms

    if installed.spec.task in ("embedding", "tags") and not forms_ready(installed):
        typer.echo(f"{installed.spec.name}: preparing it for this machine, about a minute", err=True)
        make_forms(installed)


@app.command()
def path(name: Annotated[str, typer.Argument(help="A model.")]) -> None:
    """Print the folder that holds a model's weights."""
    from photoindex.models.install import locate

    registry, models_dir = _open()
    typer.echo(locate(registry, registry.model(name), models_dir).path)


def _open() -> tuple[Registry, Path]:
    from photoindex.config import read_settings
    from photoindex.models.registry import load_registry

    settings = read_settings()
    return load_registry(settings.user_models), settings.models_dir


def _row(registry: Registry, spec: ModelSpec, models_dir: Path) -> dict[str, Any]:
    from photoindex.errors import ModelBroken, ModelMissing
    from photoindex.models.install import download_bytes, locate

    folder, state, problem = None, "yes", None
    try:
        folder = str(locate(registry, spec, models_dir).path)
    except ModelMissing as error:
        state, problem = "no", str(error)
    except ModelBroken as error:
        state, problem = "broken", str(error)
    return {
        "name": spec.name,
        "task": spec.task,
        "licence": spec.licence,
        "commercial": spec.commercial,
        "bytes": download_bytes(spec),
        "installed": state,
        "path": folder,
        "problem": problem,
        "profiles": [name for name, used in registry.profiles.items() if spec.name in used.values()],
        "note": spec.note,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "task", "licence", "commercial use", "size", "installed", "profiles"):
        table.add_column(title, justify="right" if title == "size" else "left", overflow="fold")
    for row in rows:
        table.add_row(
            row["name"],
            row["task"],
            row["licence"],
            "yes" if row["commercial"] else "no",
            _size(row["bytes"]),
            row["installed"],
            ", ".join(row["profiles"]),
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _size(count: int | None) -> str:
    if count is None:
        return "?"
    return f"{count / 1e6:,.0f} MB" if count else "-"


def _say_trust(installed: InstalledModel) -> None:
    """Tell which files no checksum in models.toml vouches for."""
    from photoindex.models.record import RECORD, read_record

    folder = (installed.base or installed).path
    said = {
        "hub": "checked against the checksum the hub publishes",
        "first use": "published without a checksum: taken as it came",
    }
    for name, entry in read_record(folder).items():
        if entry.get("trust") in said:
            typer.echo(f"{name}: {said[entry['trust']]}; recorded in {folder / RECORD}", err=True)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar for each file on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def update(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name)
            bars.update(tasks[name], completed=done, total=total)

        yield update
