"""Questions in SQL that people write themselves: the catalog is open for reading only, and nothing else is in reach."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photoindex.errors import UsageError
from photoindex.store.arrow import to_arrow
from photoindex.store.connection import CatalogFile
from photoindex.store.views import EXPORT, VIEWS, named_in_full, show_views

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# No files, no network, no extensions, none of this process's variables; and none of it can be switched on again.
_LOCKS = ("enable_external_access = false", "python_enable_replacements = false", "lock_configuration = true")
_ASKING = ("SELECT", "EXPLAIN")


@dataclass(frozen=True, slots=True)
class Answer:
    """The names of the columns, which may repeat, and the rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def ask_sql(catalog: Path, statement: str) -> Answer:
    """The answer to one question about the views of `store.views`. Raises UsageError with what DuckDB says of it.

    The catalog is opened read-only even where this process writes the library, and by an engine of its own, which stays
    locked.
    """
    import duckdb

    with CatalogFile(catalog, writable=False).read() as con:
        show_views(con)
        for lock in _LOCKS:
            con.execute(f"SET {lock}")
        try:
            return _answer(con, statement)
        except duckdb.Error as error:
            raise UsageError(_told(str(error))) from error


def _answer(con: DuckDBPyConnection, statement: str) -> Answer:
    statements = con.extract_statements(statement)
    if len(statements) != 1:
        raise UsageError("Ask one question, such as: SELECT camera, count(*) FROM photos GROUP BY ALL")
    if statements[0].type.name not in _ASKING:
        raise UsageError("The catalog is open for reading only: ask with SELECT, FROM, WITH, DESCRIBE or EXPLAIN.")
    con.execute(statements[0])
    return Answer(tuple(column[0] for column in con.description or ()), con.fetchall())


def _told(message: str) -> str:
    """What DuckDB says as one line, without its drawing of where."""
    if "Required module 'pytz'" in message:
        return "A time with a time zone cannot be shown: write it as x::TIMESTAMP."
    said = " ".join(message.partition("\nLINE ")[0].split())
    known = f" There are: {', '.join(VIEWS)}." if re.search(r"Table with name \S+ does not exist", said) else ""
    return said + known


def export_table(file: CatalogFile, photo_ids: Sequence[int]) -> Any:
    """A pyarrow table of these photos in this order: the view `photos`, their `tags`, `text` and `path_bytes`."""
    with file.read() as con:
        con.register("wanted", to_arrow(["photo_id", "place"], [(i, place) for place, i in enumerate(photo_ids)]))
        return con.sql(named_in_full(con, EXPORT)).to_arrow_table()
