"""Options that several commands share, and what every command starts with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.config import Settings, read_settings
from photoindex.errors import UsageError
from photoindex.render.output import Format, ObjectFormat, RowFormat

if TYPE_CHECKING:
    from photoindex.models.registry import Registry
    from photoindex.store.library import Library

LibraryOption = Annotated[
    str | None,
    typer.Option(
        "--library", metavar="NAME_OR_DIR", help="Which library (also PHOTOINDEX_LIBRARY).", show_default=False
    ),
]
ModelsOption = Annotated[
    str | None,
    typer.Option(
        "--models",
        metavar="FILE",
        help="Your own models.toml instead of the usual one (also PHOTOINDEX_MODELS_FILE).",
        show_default=False,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How results are printed.")]
RowFormatOption = Annotated[RowFormat, typer.Option("--format", help="How results are printed.")]
ObjectFormatOption = Annotated[ObjectFormat, typer.Option("--format", help="A table for people, JSON for programs.")]
RuntimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        envvar="PHOTOINDEX_RUNTIME",
        show_envvar=False,
        help="Run models on this: openvino, torch-cuda-f16, embedding=onnxruntime (also PHOTOINDEX_RUNTIME).",
    ),
]
NullOption = Annotated[bool, typer.Option("-0", "--null", help="Print paths only, each ended by a NUL byte.")]

IdsOption = Annotated[bool, typer.Option("--ids", help="Print the SHA-256 of each photo only; -0 ends it by a NUL.")]
CountOption = Annotated[bool, typer.Option("--count", help="Print only how many there are, whatever --limit says.")]


def one_shape(output: Format, null: bool, ids: bool, count: bool) -> None:
    """Raise UsageError where --ids or --count meets another format. (-0 with --format are the paths, as ever.)"""
    asked = [f"--format {output}"] if output is not Format.table and not null else []
    asked += ["-0"] if null and not ids else []
    asked += [*(["--ids"] if ids else []), *(["--count"] if count else [])]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} ask for different output: choose one.")


def open_library(name: str | None, models: str | None = None) -> tuple[Library, Settings]:
    from photoindex.store.library import Library

    settings = read_settings(name, models=models)
    return Library.open(settings.library), settings


def registry_of(settings: Settings) -> Registry:
    from photoindex.models.registry import load_registry

    return load_registry(settings.user_models)
