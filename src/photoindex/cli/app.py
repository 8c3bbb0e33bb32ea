"""All commands in one Typer application, and the only place where the process ends."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

import photoindex
from photoindex.cli import (
    bench,
    categories,
    collections,
    demo,
    doctor,
    dupes,
    export,
    library,
    models,
    random,
    scan,
    search,
    sql,
    tags,
)
from photoindex.cli import eval as evaluation
from photoindex.errors import PhotoindexError, QueryInvalid
from photoindex.render.text import note, point_out

app = typer.Typer(
    help="Makes a photo library searchable on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (scan, search, random, dupes, library, export, sql, doctor, bench, demo):
    module.register(app)
app.add_typer(models.app, name="models")
app.add_typer(evaluation.app, name="eval")
app.add_typer(categories.app, name="categories")
app.add_typer(collections.app, name="collections")
app.add_typer(tags.app, name="tags")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"photoindex {photoindex.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. Exit codes: 0, 1 done with problems, 2 usage or crash, 10 and up errors, 130 Ctrl-C."""
    try:
        app()
    except QueryInvalid as error:
        note(str(error))
        point_out(error.query, error.at)
        sys.exit(error.exit_code)
    except PhotoindexError as error:
        note(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # noqa: BLE001 - Python itself would exit with 1, which here means "done, with problems"
        traceback.print_exc()
        note("This is a bug in photoindex. Your photos are untouched.")
        sys.exit(2)
