"""Rows in and out of DuckDB through Arrow, which is an order of magnitude faster than row by row."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from photoindex.conditions import Chosen

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_UNSIGNED = {"device", "inode"}
_SIGNED = {"photo_id", "size", "mtime_ns", "bytes", "run_id"}


def encode_path(path: str) -> bytes:
    return os.fsencode(path)


def decode_path(path: bytes) -> str:
    return os.fsdecode(path)


def to_arrow(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """A pyarrow table of `rows`; ids and sizes are 64 bits wide whatever values they hold."""
    import pyarrow as pa

    values: list[Sequence[Any]] = [*zip(*rows, strict=True)] or [() for _ in columns]

    def typed(name: str, column: Sequence[Any]) -> Any:
        kind = pa.uint64() if name in _UNSIGNED else pa.int64() if name in _SIGNED else None
        try:
            return pa.array(column, type=kind)
        except UnicodeEncodeError:  # bytes that are no UTF-8, out of a damaged file
            return pa.array([_sound(value) for value in column], type=kind)

    return pa.table({name: typed(name, column) for name, column in zip(columns, values, strict=True)})


def ids_table(photo_ids: Collection[int], name: str = "photo_id") -> Any:
    """A pyarrow table of one column of ids."""
    import pyarrow as pa

    ids = photo_ids.ids if isinstance(photo_ids, Chosen) else list(photo_ids)
    return pa.table({name: pa.array(ids, pa.int64())})


def _sound(value: Any) -> Any:
    """Text with what UTF-8 cannot hold written as escapes; lists of text likewise."""
    if isinstance(value, list | tuple):
        return [_sound(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def insert(con: DuckDBPyConnection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Append rows to a table by column name. `table` and `columns` are names of this program, never of a user."""
    if not rows:
        return
    con.register("incoming", to_arrow(columns, rows))
    con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")  # noqa: S608
    con.unregister("incoming")


def delete_matching(con: DuckDBPyConnection, table: str, columns: Sequence[str], keys: Sequence[Sequence[Any]]) -> None:
    """Delete the rows whose `columns` equal one of `keys`."""
    if not keys:
        return
    con.register("doomed", to_arrow(columns, keys))
    names = ", ".join(columns)
    con.execute(f"DELETE FROM {table} WHERE ({names}) IN (SELECT ({names}) FROM doomed)")  # noqa: S608
    con.unregister("doomed")
