"""`photoindex export`."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from photoindex.cli.lean import short_command
from photoindex.cli.options import LibraryOption, ModelsOption, open_library, registry_of
from photoindex.cli.query import QueryCommand, query_of
from photoindex.errors import UsageError
from photoindex.render.output import RowFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.store.library import Library


class To(StrEnum):
    csv = "csv"
    json = "json"
    parquet = "parquet"
    folder = "folder"


class Linking(StrEnum):
    hard = "hard"
    sym = "sym"


def register(app: typer.Typer) -> None:
    app.command("export", cls=QueryCommand)(export)


def export(
    to: Annotated[To, typer.Option(help="A table of what is known, or the files themselves in a folder.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="[QUERY]", help="Which photos; all without one.")] = None,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="The new file, or the folder to fill.")
    ] = None,
    link: Annotated[Linking | None, typer.Option(help="Link the files instead of copying them.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Only so many of the best; 0 for all.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what a folder would get, and do nothing.")] = False,
    inside_root: Annotated[
        bool, typer.Option("--inside-root", help="Write even where the library scans for photos.")
    ] = False,
    library: LibraryOption = None,
    models: ModelsOption = None,
    output: Annotated[RowFormat, typer.Option("--format", help="How what was copied is listed.")] = RowFormat.table,
) -> None:
    """Write what a query finds as a table, or copy or link the files into a folder. Moves and overwrites nothing."""
    short_command()
    from photoindex.search import SearchOptions, chosen

    if to is not To.folder and (link or dry_run):
        raise UsageError("--link and --dry-run go with --to folder.")
    if target is None and to in (To.folder, To.parquet):
        raise UsageError(f"Say where: photoindex export QUERY --to {to.value} --output PATH")
    query = query_of(words or (), {})
    opened, settings = open_library(library, models)
    options = SearchOptions(limit=limit, warn=note)
    ids = chosen(opened, query, registry_of(settings), settings.models_dir, options)
    if to is To.folder:
        assert target is not None
        raise typer.Exit(_fill(opened, ids, target, link, dry_run, inside_root, output))
    _write(opened, ids, to, target, inside_root)
    note(("1 photo" if len(ids) == 1 else f"{len(ids):,} photos") + (f" written to {target}." if target else "."))


def _fill(
    library: Library,
    ids: Sequence[int],
    folder: Path,
    link: Linking | None,
    dry_run: bool,
    inside_root: bool,
    output: RowFormat,
) -> int:
    from photoindex.exporting import export_folder
    from photoindex.render.exporting import print_exported

    done = list(export_folder(library, ids, folder, link.value if link else None, dry_run, inside_root))
    print_exported(done, output)
    for row in done:
        if row.problem:
            note(f"{row.path}: {row.problem}.")
    counts = Counter(row.action for row in done)
    told = {"there": "there already", "copy": "to copy", "link": "to link"}
    note(", ".join(f"{number:,} {told.get(action, action)}" for action, number in counts.items()) or "Nothing found.")
    return 1 if counts["failed"] else 0


def _write(library: Library, ids: Sequence[int], to: To, target: Path | None, inside_root: bool) -> None:
    from photoindex.exporting import export_parquet, export_rows, new_file
    from photoindex.render.output import print_csv, print_json

    if to is To.parquet:
        assert target is not None
        with new_file(library, target, inside_root) as file:
            export_parquet(library, ids, file)
        return
    columns, rows = export_rows(library, ids)
    with contextlib.ExitStack() as stack:
        if target is not None:
            stack.enter_context(_printing_to(stack.enter_context(new_file(library, target, inside_root))))
        print_csv(rows, columns) if to is To.csv else print_json(rows)


@contextlib.contextmanager
def _printing_to(file: BinaryIO) -> Iterator[None]:
    stream = io.TextIOWrapper(file, "utf-8", newline="")
    with contextlib.redirect_stdout(stream):
        yield
    stream.flush()
    stream.detach()
