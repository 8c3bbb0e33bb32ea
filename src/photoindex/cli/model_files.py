"""`photoindex models pull`, `export`, `import` and `remove`: weights on their way to, from and off this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from photoindex.cli.completion import complete_model, complete_profile
from photoindex.cli.options import ModelsOption, registry_of
from photoindex.config import read_settings
from photoindex.errors import BundleInvalid, UsageError
from photoindex.render.text import note, size

if TYPE_CHECKING:
    from photoindex.models.bundle import Moved
    from photoindex.models.download import Progress
    from photoindex.models.registry import Registry
    from photoindex.models.removal import Removal
    from photoindex.models.spec import InstalledModel, ModelSpec

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Models.", autocompletion=complete_model)
]
ProfileOption = Annotated[
    str | None, typer.Option(help="Every model of this profile.", autocompletion=complete_profile)
]


def register(app: typer.Typer) -> None:
    for name, command in (("pull", pull), ("export", export), ("import", import_), ("remove", remove)):
        app.command(name)(command)


def read_registry(models: str | None) -> tuple[Registry, Path]:
    """The models as this user knows them, and the folder of their weights."""
    settings = read_settings(models=models)
    return registry_of(settings), settings.models_dir


def pull(names: NamesArgument = None, profile: ProfileOption = None, models: ModelsOption = None) -> None:
    """Fetch and verify the weights of models, or of a whole profile. What is already there is only verified."""
    from photoindex.models.identity import keep_hashes
    from photoindex.models.install import pull as install

    registry, models_dir = read_registry(models)
    specs = _chosen(registry, names, profile)
    if not specs:
        raise UsageError("Name a model, or a profile with --profile. `photoindex models list` shows both.")
    for spec in specs:
        if spec.note and not spec.commercial:
            typer.echo(f"{spec.name}: {spec.note}", err=True)
        with progress_bars() as progress:
            installed = install(registry, spec, models_dir, progress)
        keep_hashes(installed.base or installed)
        _finish(installed)
        typer.echo(f"{spec.name}\t{installed.path}")


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder, or a bundle to add to.")],
    names: NamesArgument = None,
    profile: ProfileOption = None,
    models: ModelsOption = None,
) -> None:
    """Copy installed models into a folder that `models import` reads on a machine without a network."""
    from photoindex.models.bundle import export_models, exportable

    registry, models_dir = read_registry(models)
    specs = exportable(registry, models_dir, _chosen(registry, names, profile) if names or profile else None)
    if not specs:
        raise UsageError("There is nothing to export: no files of models were pulled. See `photoindex models list`.")
    with progress_bars() as progress:
        moved = export_models(specs, models_dir, Path(os.path.expanduser(folder)), progress)
    _print_moved(moved)
    note(f"On the other machine: photoindex models import {folder.name}")


def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A bundle, or a folder with files of models.")],
    names: NamesArgument = None,
    models: ModelsOption = None,
) -> None:
    """Install models from a bundle that `models export` made, or from a folder of files named as in models.toml.

    Every file is verified before any of its model is installed; what does not match is refused.
    """
    from photoindex.models.install import locate
    from photoindex.models.intake import import_models

    registry, models_dir = read_registry(models)
    with progress_bars() as progress:
        moved = import_models(registry, Path(os.path.expanduser(folder)), models_dir, names or (), progress)
    good = [each for each in moved if each.problem is None]
    for each in good:
        _finish(locate(registry, registry.model(each.model), models_dir))
    _print_moved(good)
    refused = [each for each in moved if each.problem is not None]
    for each in refused:
        note(f"{each.model} was not imported. {each.problem}")
    if refused:
        raise typer.Exit(BundleInvalid.exit_code)


def remove(
    name: Annotated[str, typer.Argument(help="A model.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    models: ModelsOption = None,
) -> None:
    """Delete the weights of a model, and what was made from them. Vectors, tags and names in libraries stay."""
    from photoindex.models.removal import plan_removal
    from photoindex.models.removal import remove as delete

    registry, models_dir = read_registry(models)
    removal = plan_removal(registry, name, models_dir)
    typer.echo(_consequences(removal), err=True)
    if not yes:
        if not _can_ask():
            raise UsageError("Nothing was deleted: say --yes where nobody can be asked.")
        typer.confirm("Delete it?", abort=True, err=True)
    delete(removal)
    typer.echo(f"{removal.name}\t{removal.folder}")


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _consequences(removal: Removal) -> str:
    lines = [f"{removal.folder}: {size(removal.bytes)}"]
    if removal.resting:
        lines.append(f"{', '.join(removal.resting)} cannot run without it.")
    if removal.profiles:
        lines.append(f"Used by the profile{'s'[: len(removal.profiles) > 1]} {', '.join(removal.profiles)}.")
    return "\n".join(lines)


def _chosen(registry: Registry, names: Sequence[str] | None, profile: str | None) -> list[ModelSpec]:
    specs = [registry.model(name) for name in names or ()]
    if profile is not None:
        specs += registry.for_profile(profile).values()
    return list({spec.name: spec for spec in specs}.values())


def _print_moved(moved: Sequence[Moved]) -> None:
    for each in moved:
        typer.echo(f"{each.model}\t{each.folder}")


def _finish(installed: InstalledModel) -> None:
    """Tell which files no checksum in models.toml vouches for, and make an embedding model's ONNX forms now.

    With the forms, searching works without torch, and the first scan starts at once.
    """
    from photoindex.steps.forms import forms_ready, make_forms

    _say_trust(installed)
    if installed.spec.task in ("embedding", "tags") and _has_forms(installed) and not forms_ready(installed):
        typer.echo(f"{installed.spec.name}: preparing it for this machine, about a minute", err=True)
        make_forms(installed)


def _has_forms(installed: InstalledModel) -> bool:
    return installed.spec.task == "embedding" or installed.base is not None


def _say_trust(installed: InstalledModel) -> None:
    from photoindex.models.record import RECORD, read_record

    folder = (installed.base or installed).path
    said = {
        "hub": "checked against the checksum the hub publishes",
        "bundle": "checked against the bundle's own checksum",
        "first use": "published without a checksum: taken as it came",
    }
    for name, entry in read_record(folder).items():
        if entry.get("trust") in said:
            typer.echo(f"{name}: {said[entry['trust']]}; recorded in {folder / RECORD}", err=True)


@contextmanager
def progress_bars(transient: bool = False) -> Iterator[Progress]:
    """A progress bar for each file on stderr, where that is a terminal; `transient` ones go when all is done."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.table import Column

    console = Console(stderr=True)
    plain, whole = TextColumn("{task.description}", markup=False), Column(no_wrap=True)
    columns = (plain, BarColumn(), DownloadColumn(table_column=whole), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=transient) as bars:
        tasks: dict[str, Any] = {}

        def update(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=None)
            bars.update(tasks[name], completed=done, total=total)

        yield update
