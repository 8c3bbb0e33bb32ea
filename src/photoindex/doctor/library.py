"""A library as it lies on disk: what the catalog says, and whether the files beside it bear that out."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from photoindex.errors import PhotoindexError
from photoindex.store.health import CatalogHealth, FailureCount, LastRun, TableHealth, catalog_health, tables_health
from photoindex.store.library import Library
from photoindex.store.migrations import SCHEMA
from photoindex.store.runs import process_lives


@dataclass(frozen=True, slots=True)
class Root:
    """A scanned folder. `known`: files present there at the last scan; `problem`: why it cannot be read now."""

    path: str
    known: int
    problem: str | None = None
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """How many files were looked at, how many of them were not there, and the first of those."""

    at: int = 0
    gone: int = 0
    first: str | None = None


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """`error`: the catalog cannot be opened, and why. `writer`: the process that writes it now.

    `option`: what a command needs to mean this library, for example `--library holidays`.
    """

    folder: str
    option: str = ""
    error: PhotoindexError | None = None
    schema: int = SCHEMA
    known_schema: int = SCHEMA
    photos: int = 0
    files: int = 0
    missing: int = 0
    documents_due: int = 0
    embedding_model: str | None = None
    roots: tuple[Root, ...] = ()
    tables: tuple[TableHealth, ...] = ()
    thumbnails: Looked = Looked()
    originals: Looked = Looked()
    failures: tuple[FailureCount, ...] = ()
    last_run: LastRun | None = None
    writer: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    def scan_command(self, *options: str) -> str:
        """The command that scans the folders that can be reached."""
        reachable = [root.path for root in self.roots if root.problem is None and not root.empty]
        return self.command("scan", *(reachable or ["FOLDER"]), *options)

    def command(self, *words: str) -> str:
        return " ".join(filter(None, ["photoindex", *map(shlex.quote, words), self.option]))


def read_library(folder: Path, option: str = "") -> LibraryFacts | None:
    """The facts of the library in `folder`; None where there is none. Never raises for what is wrong with it."""
    if not (folder / "catalog.duckdb").exists():
        return None
    try:
        library = Library.open(folder)
        catalog = catalog_health(library.catalog.file)
    except PhotoindexError as error:
        return LibraryFacts(str(folder), option, error=error)
    return LibraryFacts(
        str(folder),
        option,
        schema=catalog.schema,
        photos=len(catalog.photo_ids),
        files=catalog.files,
        missing=catalog.missing,
        documents_due=len(catalog.documents_due),
        embedding_model=catalog.settings.get("embedding_model"),
        roots=tuple(_root(path, known) for path, known in catalog.roots.items()),
        tables=tables_health(library.vectors, catalog),
        thumbnails=_look([str(library.thumbnail_path(sha)) for sha in catalog.thumbnails]),
        originals=_originals(catalog),
        failures=catalog.failures,
        last_run=catalog.last_run,
        writer=_writer(folder),
        sizes=library.sizes(),
    )


def _originals(catalog: CatalogHealth) -> Looked:
    """Photos below roots that can be reached; those of an unplugged disk are a matter of the root."""
    away = tuple(path.rstrip(os.sep) + os.sep for path, known in catalog.roots.items() if _root(path, known).problem)
    return _look([path for path in catalog.paths if not path.startswith(away)] if away else catalog.paths)


def _look(paths: Sequence[str]) -> Looked:
    gone = [path for path in paths if not os.path.lexists(path)]
    return Looked(len(paths), len(gone), gone[0] if gone else None)


def _root(path: str, known: int) -> Root:
    try:
        with os.scandir(path) as entries:
            return Root(path, known, empty=bool(known) and next(entries, None) is None)
    except OSError as error:
        return Root(path, known, problem=error.strerror or str(error))


def _writer(folder: Path) -> int | None:
    """The process that noted itself as the library's writer, if it lives. The lock itself is not touched: a scan that
    starts just then would find it taken."""
    try:
        pid = int(json.loads((folder / "writer.json").read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if pid != os.getpid() and process_lives(pid) else None
