"""`photoindex models`: which models there are, what is known of each, and whether their files are what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli import model_files, models_use
from photoindex.cli.options import ModelsOption, ObjectFormatOption, RowFormatOption
from photoindex.render.output import ObjectFormat, RowFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.models.verify import Checked

app = typer.Typer(
    help="List and examine the models; fetch, check, carry and remove their weights.", no_args_is_help=True
)


@app.command("list")
def list_models(
    licence: Annotated[bool, typer.Option("--licence", help="Show licences instead of sizes.")] = False,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only models whose licence allows commercial use.")
    ] = False,
    models: ModelsOption = None,
    output: RowFormatOption = RowFormat.table,
) -> None:
    """Show every model: its task, the size of its download, whether it is here, and the profiles that use it."""
    from photoindex.models.describe import state_of
    from photoindex.render.models import print_list

    registry, models_dir = model_files.read_registry(models)
    specs = [spec for spec in registry.models.values() if spec.commercial or not commercial]
    states = [state_of(registry, spec, models_dir) for spec in specs]
    print_list(states, output, licence)
    for problem in dict.fromkeys(state.problem for state in states if state.installed == "broken"):
        note(problem or "")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A model.")],
    models: ModelsOption = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Show everything known of a model: files and checksums, licence, memory, runtimes, what is installed."""
    from photoindex.models.describe import details_of
    from photoindex.render.models import print_model

    registry, models_dir = model_files.read_registry(models)
    print_model(details_of(registry, registry.model(name), models_dir), output)


@app.command()
def path(
    name: Annotated[str | None, typer.Argument(help="A model. [default: the folder of all]")] = None,
    models: ModelsOption = None,
) -> None:
    """Print the folder that holds a model's weights."""
    from photoindex.models.install import locate

    registry, models_dir = model_files.read_registry(models)
    typer.echo(models_dir if name is None else locate(registry, registry.model(name), models_dir).path)


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="[default: all installed]")] = None,
    models: ModelsOption = None,
    output: RowFormatOption = RowFormat.table,
) -> None:
    """Read all files of models again and compare their checksums. The exit code is 1 where one is not right."""
    from photoindex.render.models import print_checked

    checked = _verified(names or [], models)
    print_checked(checked, output)
    wrong = [each for each in checked if not each.good]
    for name in dict.fromkeys(each.model for each in wrong):
        note(f"{name} is not what was installed. `photoindex models pull {name}` fetches what is wrong again.")
    if not checked:
        note("No model is installed.")
    raise typer.Exit(1 if wrong else 0)


def _verified(names: list[str], models: str | None) -> list[Checked]:
    from photoindex.models.describe import state_of
    from photoindex.models.spec import ZERO_SHOT
    from photoindex.models.verify import verify as check

    registry, models_dir = model_files.read_registry(models)
    specs = [registry.model(name) for name in dict.fromkeys(names)]
    if not names:
        owners = [spec for spec in registry.models.values() if spec.architecture != ZERO_SHOT]
        specs = [spec for spec in owners if state_of(registry, spec, models_dir).installed != "no"]
    with model_files.progress_bars(transient=True) as progress:
        return [each for spec in specs for each in check(registry, spec, models_dir, progress)]


model_files.register(app)
models_use.register(app)
