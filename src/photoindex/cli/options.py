"""Options that several commands share, and what every command starts with."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.config import Settings, read_settings
from photoindex.errors import UsageError
from photoindex.render.output import Format, ObjectFormat

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
ObjectFormatOption = Annotated[ObjectFormat, typer.Option("--format", help="A table for people, JSON for programs.")]
NullOption = Annotated[bool, typer.Option("-0", "--null", help="Print paths only, each ended by a NUL byte.")]


def open_library(name: str | None, models: str | None = None) -> tuple[Library, Settings]:
    from photoindex.store.library import Library

    settings = read_settings(name, models=models)
    return Library.open(settings.library), settings


def registry_of(settings: Settings) -> Registry:
    from photoindex.models.registry import load_registry

    return load_registry(settings.user_models)


def parse_date(text: str | None, option: str) -> datetime | None:
    """A year, a month, a day or a moment: 2023, 2023-05, 2023-05-01, 2023-05-01T14:30; the start of it."""
    if text is None:
        return None
    for pattern in ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"):
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    raise UsageError(f"{option}: {text!r} is no date. Write 2023, 2023-05, 2023-05-01 or 2023-05-01T14:30.")
