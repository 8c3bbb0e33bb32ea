"""`photoindex status`, `show` and `failures`."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.options import (
    CountOption,
    FormatOption,
    IdsOption,
    LibraryOption,
    ModelsOption,
    NullOption,
    ObjectFormatOption,
    one_shape,
    open_library,
    registry_of,
)
from photoindex.render.output import Format, ObjectFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.config import Settings
    from photoindex.store.library import Library

_ANSWER_S = 2.0  # how long a network folder may take to answer before it counts as offline


def register(app: typer.Typer) -> None:
    for command in (status, show, failures):
        app.command(command.__name__)(command)


def status(
    library: LibraryOption = None, models: ModelsOption = None, output: ObjectFormatOption = ObjectFormat.table
) -> None:
    """Show what the library holds: files, photos and their states, each step's progress, sizes on disk."""
    from photoindex.media.reach import unreachable
    from photoindex.render.library import print_status

    opened, settings = open_library(library, models)
    found = opened.queries.status()
    offline = unreachable(found.roots, _ANSWER_S)
    print_status(found, settings.library, opened.sizes(), offline, output)
    for line in _notes(opened, settings):
        note(line)


def _notes(library: Library, settings: Settings) -> list[str]:
    """What the library is not up to date with, and the command for it."""
    from photoindex.scan.switching import describe, pending_change
    from photoindex.scan.tagging import threshold_notes

    registry = registry_of(settings)
    change = pending_change(library, registry, settings.models_dir)
    told = [f"{describe(change)}. The old vectors are searched until then; a scan goes on."] if change else []
    return told + threshold_notes(library, registry.models, settings.models_dir)


def show(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A path, a file's name, or the start of a SHA-256.")],
    library: LibraryOption = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Show everything known of one photo."""
    from photoindex.media.reach import unreachable
    from photoindex.render.library import print_details

    opened, _ = open_library(library)
    photo_id, sha256 = _meant(opened, photo)
    details = opened.queries.details(photo_id, partial(unreachable, limit_s=_ANSWER_S))
    print_details(details, opened.thumbnail_path(sha256), output)


def _meant(library: Library, photo: str) -> tuple[int, str]:
    """The photo at a path, whose SHA-256 begins so, or the only one with a file of that name."""
    from photoindex.errors import PhotoNotFound, PhotoNotScanned

    found = library.queries
    path = os.path.abspath(os.path.expanduser(photo))
    for text in (path, photo):
        with contextlib.suppress(PhotoNotFound):
            return found.find(text)
    try:
        return found.find_named(photo)
    except PhotoNotFound:
        if os.path.isfile(path):
            raise PhotoNotScanned(path) from None
        raise


def failures(
    library: LibraryOption = None,
    output: FormatOption = Format.table,
    null: NullOption = False,
    ids: IdsOption = False,
    count: CountOption = False,
) -> None:
    """List what could not be read or analysed, why, and what to do about it."""
    from photoindex.render.results import print_count, print_failures, print_ids

    one_shape(output, null, ids, count)
    opened, _ = open_library(library)
    found = opened.queries.failures()
    if count:
        print_count(len(found))
    elif ids:
        print_ids((failure.photo for failure in found), null)
    else:
        print_failures(found, output, null)
    if not found:
        note("No failures.")
