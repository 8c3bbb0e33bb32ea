"""What holds in a sound catalog, asked and mended. DuckDB is given no constraints (see `migrations`), so the program
keeps them, and here it is asked whether it did.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from photoindex.records import photo_id_of
from photoindex.store.arrow import delete_matching, insert, to_arrow
from photoindex.store.connection import CatalogFile
from photoindex.store.facts import FACT_TABLES
from photoindex.store.foreign import foreign_code, tables_of
from photoindex.store.migrations import migrate

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Everything that is said of a photo and that a scan can say again, with the columns that name photos.
OF_A_PHOTO: Mapping[str, tuple[str, ...]] = {
    **{table.name: ("photo_id",) for table in FACT_TABLES.values()},
    **dict.fromkeys(("ledger", "ledger_aside", "tags", "documents_due", "pixel_digests"), ("photo_id",)),
    "looks": ("a", "b"),
}
# What may be there once only.
_ONCE: Mapping[str, str] = {
    "settings": "key",
    "roots": "path",
    "files": "path",
    "photos": "photo_id",
    "ledger": "photo_id, step",
    "metadata": "photo_id",
    "places": "photo_id",
    "hashes": "photo_id",
    "captions": "photo_id",
    "tag_scores": "photo_id",
    "tags": "photo_id, tag",
    "ocr_lines": "photo_id, line",
    "faces": "photo_id, face",
}
# Steps of which the ledger may not say "done" where there is no row of facts. Others may find nothing.
_LEAVES_A_ROW = {"metadata": "metadata", "hash": "hashes"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNKNOWN = "{column} NOT IN (SELECT photo_id FROM photos)"


def read_all(file: CatalogFile) -> None:
    """Read every block of the catalog. Raises LibraryCorrupt."""
    with file.read() as con:
        for name in _tables(con):
            con.execute(f"SELECT bit_xor(hash(t)) FROM {name} AS t").fetchall()  # noqa: S608


def foreign_objects(path: Path) -> list[str]:
    """What a catalog that was given from elsewhere holds beside tables of ours: views and macros may read any file.

    None of it is run, and other files cannot be reached meanwhile. The file must be open nowhere.
    """
    import duckdb

    with duckdb.connect(":memory:") as fresh:
        migrate(fresh)
        ours = set(tables_of(fresh))
    config: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": "false"}
    with contextlib.closing(duckdb.connect(path, read_only=True, config=config)) as con:
        return sorted({*foreign_code(con), *tables_of(con)} - ours)


def foreign_schema(file: CatalogFile) -> list[str]:
    """Tables and columns that the catalog lacks, or has of another type, though its schema says that they are there."""
    import duckdb

    with duckdb.connect(":memory:") as fresh:
        migrate(fresh)
        expected = _columns(fresh)
    with file.read() as con:
        return sorted(f"{table}.{column}" for table, column, _ in expected - _columns(con))


def twice(file: CatalogFile) -> dict[str, int]:
    """By table how many rows there are too many, where one row a photo, or a path, is right."""
    with file.read() as con:
        found = {
            name: con.execute(f"SELECT count(*) - count(DISTINCT ({keys})) FROM {name}").fetchall()[0][0]  # noqa: S608
            for name, keys in _ONCE.items()
        }
    return {name: count for name, count in found.items() if count}


def without_photo(file: CatalogFile) -> dict[str, int]:
    """By table how many rows are about photos that the catalog does not have."""
    tables = {**OF_A_PHOTO, "files": ("photo_id",)}
    with file.read() as con:
        found = {
            name: con.execute(f"SELECT count(*) FROM {name} WHERE {_is_unknown(columns)}").fetchall()[0][0]  # noqa: S608
            for name, columns in tables.items()
        }
    return {name: count for name, count in found.items() if count}


def misnamed_photos(file: CatalogFile) -> list[int]:
    """Photos whose id is not that of their SHA-256: no scan makes them."""
    with file.read() as con:
        rows = con.execute("SELECT photo_id, sha256 FROM photos").fetchall()
    return [photo_id for photo_id, sha256 in rows if not _is_id(photo_id, sha256)]


def done_without_facts(file: CatalogFile) -> dict[str, int]:
    """By step how many photos the ledger calls done of which there are no facts."""
    with file.read() as con:
        found = {
            step: con.execute(
                f"SELECT count(*) FROM ledger ANTI JOIN {table} USING (photo_id) WHERE step = ? AND status = 'done'",  # noqa: S608
                [step],
            ).fetchall()[0][0]
            for step, table in _LEAVES_A_ROW.items()
        }
    return {step: count for step, count in found.items() if count}


def broken_words(file: CatalogFile) -> int:
    """Photos that are in a collection, or part of a decision, that is not there. Only the user knows what was meant."""
    with file.read() as con:
        return sum(
            con.execute(f"SELECT count(*) FROM {table} ANTI JOIN {of} USING ({key})").fetchall()[0][0]  # noqa: S608
            for table, of, key in (("collection_photos", "collections", "name"), ("decision_photos", "decisions", "id"))
        )


def mend_rows(file: CatalogFile) -> None:
    """Delete what `twice`, `without_photo` and `misnamed_photos` find, and make due what `done_without_facts` does.

    Of rows that are there twice the one written last stays. Nothing of that is the user's word. A file whose photo is
    gone is read again by the next scan.
    """
    misnamed = misnamed_photos(file)
    with file.write() as con:
        delete_matching(con, "photos", ["photo_id"], [(photo_id,) for photo_id in misnamed])
        for name, keys in _ONCE.items():
            con.execute(f"DELETE FROM {name} WHERE rowid NOT IN (SELECT max(rowid) FROM {name} GROUP BY {keys})")  # noqa: S608
        for name, columns in {**OF_A_PHOTO, "files": ("photo_id",)}.items():
            con.execute(f"DELETE FROM {name} WHERE {_is_unknown(columns)}")  # noqa: S608
        for step, table in _LEAVES_A_ROW.items():
            con.execute(
                f"DELETE FROM ledger WHERE step = ? AND status = 'done'"  # noqa: S608
                f" AND photo_id NOT IN (SELECT photo_id FROM {table})",
                [step],
            )


def make_due_again(file: CatalogFile, step: str, photo_ids: Collection[int], model: str | None = None) -> None:
    """Forget that a step was done for these photos (by this model): the next scan does it again."""
    with file.write() as con:
        con.register("lost", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
        for table in ("ledger", "ledger_aside"):
            con.execute(
                f"DELETE FROM {table} WHERE step = $step AND photo_id IN (SELECT photo_id FROM lost)"  # noqa: S608
                " AND ($model IS NULL OR model = $model)",
                {"step": step, "model": model},
            )
        con.unregister("lost")


def make_texts_due(file: CatalogFile, photo_ids: Collection[int]) -> None:
    """Their full-text documents are to be written again."""
    with file.write() as con:
        insert(con, "documents_due", ["photo_id"], [(i,) for i in photo_ids])


def thumbnailed(file: CatalogFile) -> dict[str, int]:
    """The photos whose thumbnail was made, by SHA-256."""
    sql = """SELECT sha256, photo_id FROM photos
        SEMI JOIN (SELECT photo_id FROM ledger WHERE step = 'thumbnail' AND status = 'done') USING (photo_id)"""
    with file.read() as con:
        return dict(con.execute(sql).fetchall())


def aside(file: CatalogFile) -> dict[str, set[int]]:
    """By model the photos whose vectors lie beside those in use, as the ledger has it."""
    found: dict[str, set[int]] = {}
    with file.read() as con:
        rows = con.execute("SELECT model, photo_id FROM ledger_aside WHERE step = 'embedding'").fetchall()
    for model, photo_id in rows:
        found.setdefault(model, set()).add(photo_id)
    return found


def _tables(con: DuckDBPyConnection) -> list[str]:
    return sorted({row[0] for row in con.execute(_ALL_COLUMNS).fetchall()})


def _columns(con: DuckDBPyConnection) -> set[tuple[str, str, str]]:
    return set(con.execute(_ALL_COLUMNS).fetchall())


def _is_unknown(columns: tuple[str, ...]) -> str:
    return " OR ".join(_UNKNOWN.format(column=column) for column in columns)


def _is_id(photo_id: int, sha256: str) -> bool:
    try:
        # All of it: the path of the thumbnail is made of it.
        return _SHA256.fullmatch(sha256) is not None and photo_id_of(sha256) == photo_id
    except (TypeError, ValueError):
        return False


_ALL_COLUMNS = """
SELECT table_name, column_name, data_type FROM duckdb_columns()
SEMI JOIN duckdb_tables() USING (database_name, schema_name, table_name)
WHERE database_name = current_database() AND schema_name = 'main' AND NOT internal
"""
