"""Copies of a catalog: as it is at one moment while others write it, and rewritten to its least size."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from photoindex.durable import sync_file, sync_folder
from photoindex.errors import LibraryCorrupt, LibraryNotWritable
from photoindex.store.connection import CatalogFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COPY = "copied"  # of the attached copy


def copy_catalog(file: CatalogFile, to: Path) -> None:
    """Write the catalog as it is now into the new file `to`, and put that on disk.

    Row by row, so that every block of it is read and checked, and what a killed process left in the log beside it
    comes along. A scan that wants to commit meanwhile waits. Raises LibraryCorrupt where a block cannot be read, and
    OSError where the copy is not whole.
    """
    with file.copying(to) as con:
        copy_database(con, to)
    sync_file(to)


def compact_catalog(file: CatalogFile) -> None:
    """Rewrite the catalog without the room that deleted rows took. Run it as the library's only writer.

    The old file is in place until the new one is whole and on disk, and then goes in one step.
    """
    part, log = file.path.with_suffix(".compact"), Path(f"{file.path}.wal")
    for left in (part, Path(f"{part}.wal")):
        left.unlink(missing_ok=True)
    with file.copying(part) as con:
        con.execute("CHECKPOINT")
        try:
            copy_database(con, part)
        except OSError as error:
            raise LibraryNotWritable(file.path.parent, error.strerror or str(error)) from error
    if log.exists():  # it would be read as the new file's
        part.unlink()
        raise LibraryCorrupt(file.path.parent, "what was written last could not be brought into the catalog's file")
    sync_file(part)
    part.replace(file.path)
    sync_folder(file.path.parent)


def row_counts(file: CatalogFile, tables: Collection[str]) -> Mapping[str, int]:
    """How many rows these tables have."""
    with file.read() as con:
        return {name: con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in tables}  # noqa: S608


def shas_from(file: CatalogFile, prefix: str) -> set[str]:
    """The SHA-256 of the photos that begin with these hex digits."""
    with file.read() as con:
        rows = con.execute("SELECT sha256 FROM photos WHERE starts_with(sha256, ?)", [prefix]).fetchall()
    return {row[0] for row in rows}


def copy_database(con: DuckDBPyConnection, to: Path) -> None:
    """Write all that the open database holds into the new file `to`. Raises OSError where not all of it is there.

    On a full disk DuckDB 1.x tells of nothing, and leaves what it wrote in the log of a file without tables.
    """
    source = con.execute("SELECT system.main.current_database()").fetchall()[0][0]
    path = str(to).replace("'", "''")
    con.execute(f"ATTACH '{path}' AS {_COPY} (TYPE duckdb)")
    try:
        con.execute(f"COPY FROM DATABASE {source} TO {_COPY}")
        con.execute(f"CHECKPOINT {_COPY}")
    finally:
        con.execute(f"DETACH {_COPY}")
    _must_be_whole(con, source, to)


def _must_be_whole(con: DuckDBPyConnection, source: str, copy: Path) -> None:
    """Count the rows of a copy, opened anew: what counts is what lies in the file."""
    path = str(copy).replace("'", "''")
    log = Path(f"{copy}.wal")
    counts: list[dict[str, int]] = []
    if not log.exists():
        con.execute(f"ATTACH '{path}' AS {_COPY} (READ_ONLY, TYPE duckdb)")
        try:
            counts = [_rows_of(con, name) for name in (source, _COPY)]
        finally:
            con.execute(f"DETACH {_COPY}")
    if not counts or counts[0] != counts[1]:
        for left in (copy, log):
            left.unlink(missing_ok=True)
        raise OSError(errno.EIO, "the copy of the catalog is not whole, as on a full disk")


def _rows_of(con: DuckDBPyConnection, database: str) -> dict[str, int]:
    """How many rows each table of an attached database has."""
    sql = """SELECT table_name FROM system.main.duckdb_tables()
        WHERE database_name = ? AND schema_name = 'main' AND NOT internal"""
    names = [row[0] for row in con.execute(sql, [database]).fetchall()]
    return {n: con.execute(f'SELECT count(*) FROM {database}.main."{n}"').fetchall()[0][0] for n in names}  # noqa: S608
