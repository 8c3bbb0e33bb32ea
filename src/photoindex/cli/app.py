"""All commands in one Typer application, and the only place where the process ends."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import photoindex
from photoindex.cli.commands import FILES, Commands
from photoindex.cli.crash import DEBUG, remembering, report_crash
from photoindex.cli.lean import end_soon, open_closed_streams, usual_collector
from photoindex.cli.native import show_native_crashes
from photoindex.cli.options import LibraryOption
from photoindex.cli.upgrades import tell_of_upgrades
from photoindex.errors import PhotoindexError, QueryInvalid
from photoindex.quiet import silence_libraries
from photoindex.render.text import note, point_out

app = typer.Typer(
    cls=Commands,
    help="Makes a photo library searchable on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"photoindex {photoindex.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    library: LibraryOption = None,
    version: Annotated[  # noqa: ARG001 - its callback ends the command
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            envvar="PHOTOINDEX_DEBUG",
            show_envvar=False,
            help="Let libraries talk, and reports of crashes name your files (also PHOTOINDEX_DEBUG=1).",
        ),
    ] = False,
) -> None:
    DEBUG.set(debug)
    silence_libraries(loud=debug)
    tell_of_upgrades()
    show_native_crashes(ctx.invoked_subcommand or "")
    if library is not None:
        asked = ctx.invoked_subcommand or ""
        ctx.default_map = {asked: _everywhere(getattr(ctx.command, "commands", {})[asked], library)}


def _everywhere(command: Any, library: str) -> dict[str, Any]:
    """Click's defaults that make `photoindex --library X search` the same as `photoindex search --library X`."""
    below = {name: _everywhere(sub, library) for name, sub in getattr(command, "commands", {}).items()}
    return {**below, "library": library}


def main() -> None:
    """Run the command line. Exit codes: 0, 1 done with problems, 2 usage or crash, 10 and up errors, 130 Ctrl-C."""
    with usual_collector(), remembering() as recent:
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
        except Exception as error:  # noqa: BLE001 - Python itself would exit with 1: "done, with problems"
            report_crash(error, recent, _all_words())
            sys.exit(2)


def run() -> None:
    """The program: `main`, and after a short command the end of the process at once."""
    open_closed_streams()
    try:
        main()
    except SystemExit as end:
        end_soon(end)
        raise


def _all_words() -> set[str]:
    """The names of all commands; without those below them where one cannot be loaded, maybe by the very same error."""
    try:
        return _command_words(typer.main.get_command(app))
    except Exception:  # noqa: BLE001 - the error that is being reported is the one to tell
        return set(FILES)


def _command_words(command: Any) -> set[str]:
    """The names of all commands, which a report may tell."""
    below = getattr(command, "commands", {})
    return {*below, *(word for sub in below.values() for word in _command_words(sub))}
