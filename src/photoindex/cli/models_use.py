"""`photoindex models use`: which model does each task in a library, and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.options import LibraryOption, ModelsOption, ObjectFormatOption, open_library, registry_of
from photoindex.errors import UsageError
from photoindex.render.output import ObjectFormat
from photoindex.render.text import note, size

if TYPE_CHECKING:
    from photoindex.config import Settings
    from photoindex.models.registry import Registry
    from photoindex.models.spec import ModelSpec
    from photoindex.scan.use import Used


def register(app: typer.Typer) -> None:
    app.command("use")(use)


def use(
    name: Annotated[str | None, typer.Argument(help="A model; none to show which are in use.")] = None,
    library: LibraryOption = None,
    models: ModelsOption = None,
    later: Annotated[bool, typer.Option("--later", help="Leave the work to the next scan.")] = False,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Delete the vectors of models used before, once NAME's are complete.")
    ] = False,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Change the model that does a task in the library. Old vectors are searched until the new are complete."""
    from photoindex.render.models_use import print_in_use, print_used
    from photoindex.runtimes.session import Interrupted
    from photoindex.scan.chosen import choices_in, chosen_models
    from photoindex.scan.switching import pending_change

    opened, settings = open_library(library, models)
    registry = registry_of(settings)
    if name is None:
        if later or drop_old:
            raise UsageError("Name a model. `photoindex models use` alone shows which are in use.")
        choices = choices_in(opened.catalog.settings())
        change = pending_change(opened, registry, settings.models_dir)
        print_in_use(chosen_models(opened, registry), choices, change, output)
        return
    if drop_old and later:
        raise UsageError("--drop-old waits until the new vectors are complete, and --later does not make them.")
    try:
        used, freed = _use(settings, registry, registry.model(name), later, drop_old)
    except Interrupted:
        note("Stopped as asked; nothing was changed.")
        raise typer.Exit(130) from None
    print_used(used, freed, output)
    _tell(used, freed)
    if used.report is not None and used.report.interrupted:
        from photoindex.cli.scan import leave

        leave(130)
    raise typer.Exit(1 if used.report is not None and used.report.failed else 0)


def _use(
    settings: Settings, registry: Registry, spec: ModelSpec, later: bool, drop_old: bool
) -> tuple[Used, dict[str, int]]:
    from photoindex.cli.scan import stop_signals
    from photoindex.render.scanning import progress_view
    from photoindex.scan.options import ScanOptions
    from photoindex.scan.steps import told_and_stopped
    from photoindex.scan.switching import drop_old_vectors, table_of
    from photoindex.scan.use import use_model
    from photoindex.store.library import Library

    if drop_old:
        table_of(spec.task)
    with stop_signals() as stopped, progress_view() as view, Library.writing(settings.library) as library:
        options = ScanOptions(stop=stopped.is_set, progress=view.show)
        follow = told_and_stopped(options.stop, options.doing)
        used = use_model(library, registry, settings.models_dir, spec, None if later else options, follow)
        if not drop_old or stopped.is_set():
            return used, {}
        return used, dict(drop_old_vectors(library, registry, settings.models_dir, spec))


def _tell(used: Used, freed: dict[str, int]) -> None:
    from photoindex.scan.switching import describe

    if used.switched is not None:
        note(f"{describe(used.switched)}. Searching uses the new vectors now.")
    for line in used.report.notes if used.report is not None else ():
        note(line)
    for root in used.unreachable:
        note(f"{root} is not there now: its photos keep the vectors they have until it is scanned.")
    if used.report is not None and used.report.interrupted:
        note("Stopped as asked. The next scan goes on, and so does the same command.")
    elif any(used.due.values()):
        note("The next `photoindex scan` does what is due.")
    for table, count in freed.items():
        note(f"Deleted {table}: {size(count)}.")
