"""What `photoindex doctor` asks the stores: only questions, and only of tables that every schema has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from photoindex.store.arrow import decode_path
from photoindex.store.connection import CatalogFile
from photoindex.store.lance_errors import in_words
from photoindex.store.migrations import schema_version
from photoindex.store.vectors import DOCUMENTS, Vectors, face_table, image_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Ids = npt.NDArray[np.int64]
# The catalog may say so of millions; looking at this many files of each kind takes about a second.
SAMPLE = 20_000


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many photos or files failed in `step` for the same reason."""

    step: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class LastRun:
    """The latest scan. `outcome` is None while it runs, and after it was killed."""

    program: str
    started_at: datetime
    outcome: str | None


@dataclass(frozen=True, slots=True)
class CatalogHealth:
    """What the catalog says of itself. `roots`: files present below each; `expected`: for each table of the vector
    store the sorted ids of the photos that must have a row there; `thumbnails`, `paths`: SHA-256 and paths of what
    must lie on disk, a sample spread evenly where there are more than `SAMPLE`."""

    schema: int
    settings: Mapping[str, str]
    roots: Mapping[str, int]
    files: int
    missing: int
    photo_ids: Ids
    expected: Mapping[str, Ids]
    documents_due: Ids
    failures: tuple[FailureCount, ...]
    last_run: LastRun | None
    thumbnails: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableHealth:
    """A table of the vector store. `orphans`: rows of photos that the catalog does not know; `lacking`: photos that
    the catalog calls done and that have no row; `problem`: why it cannot be read."""

    name: str
    rows: int
    orphans: int = 0
    lacking: int = 0
    problem: str | None = None


def catalog_health(file: CatalogFile) -> CatalogHealth:
    """Ask the catalog. Raises the Library* errors."""
    with file.read() as con:
        photos = _ids(con, "SELECT photo_id FROM photos")
        due = _ids(con, "SELECT DISTINCT photo_id FROM documents_due")
        files, missing = con.execute(
            "SELECT count(*), count(*) FILTER (missing_since IS NOT NULL) FROM files"
        ).fetchall()[0]
        runs = con.execute("SELECT program, started_at, outcome FROM runs ORDER BY run_id DESC LIMIT 1").fetchall()
        roots = con.execute(_ROOTS).fetchall()
        return CatalogHealth(
            schema=schema_version(con),
            settings=dict(con.execute("SELECT key, value FROM settings").fetchall()),
            roots={decode_path(path): count for path, count in roots},
            files=files,
            missing=missing,
            photo_ids=photos,
            expected={**_expected(con), DOCUMENTS: np.setdiff1d(photos, due)},
            documents_due=due,
            failures=tuple(FailureCount(*row) for row in con.execute(_FAILURES).fetchall()),
            last_run=LastRun(*runs[0]) if runs else None,
            thumbnails=tuple(row[0] for row in con.execute(_THUMBNAILS, [SAMPLE]).fetchall()),
            paths=tuple(decode_path(row[0]) for row in con.execute(_PATHS, [SAMPLE]).fetchall()),
        )


def tables_health(vectors: Vectors, catalog: CatalogHealth) -> tuple[TableHealth, ...]:
    """Every table that is there or should be. A table that cannot be read is a result, not an error."""
    expected = {name: ids for name, ids in catalog.expected.items() if len(ids)}
    names = sorted({*vectors.tables(), *expected})
    return tuple(_table(vectors, name, catalog.photo_ids, expected.get(name)) for name in names)


def _table(vectors: Vectors, name: str, photos: Ids, expected: Ids | None) -> TableHealth:
    try:
        rows = vectors.ids(name)
        if name == DOCUMENTS and len(rows):
            vectors.holding([["a"]], 1, every=False)  # reads the text index, which lies in files of its own
    except Exception as error:  # noqa: BLE001 - Lance raises anything for a damaged file, and that is what is asked
        return TableHealth(name, 0, problem=in_words(error))
    ids = np.unique(rows)
    lacking = 0 if expected is None else len(np.setdiff1d(expected, ids))
    return TableHealth(name, len(rows), len(np.setdiff1d(ids, photos)), lacking)


def _expected(con: DuckDBPyConnection) -> dict[str, Ids]:
    """Photos with image vectors, and with faces, by the table that holds those of their model."""
    found: dict[str, Ids] = {}
    for name, sql in ((image_table, _EMBEDDED), (face_table, _FACES)):
        models = [row[0] for row in con.execute(f"SELECT DISTINCT model FROM ({sql})").fetchall()]  # noqa: S608
        for model in models:
            found[name(model)] = _ids(con, f"SELECT photo_id FROM ({sql}) WHERE model = ?", [model])  # noqa: S608
    return found


def _ids(con: DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> Ids:
    ids: Ids = con.execute(sql, values or []).fetchnumpy()["photo_id"]
    return np.unique(np.asarray(ids, np.int64))


_EMBEDDED = "SELECT photo_id, model FROM ledger WHERE step = 'embedding' AND status = 'done' AND model IS NOT NULL"
_FACES = """SELECT photo_id, model FROM faces SEMI JOIN
(SELECT photo_id FROM ledger WHERE step = 'faces' AND status = 'done') USING (photo_id) WHERE model IS NOT NULL"""
_ROOTS = """
SELECT r.path, count(f.path) FROM roots r LEFT JOIN files f ON f.root = r.path AND f.missing_since IS NULL
GROUP BY r.path ORDER BY r.path
"""
_FAILURES = """
SELECT step, code, count(*) FROM (
    SELECT 'walk' AS step, code FROM walk_problems
    UNION ALL
    SELECT 'read', code FROM files WHERE code IS NOT NULL AND missing_since IS NULL
    UNION ALL
    SELECT l.step, coalesce(l.code, 'unknown') FROM ledger l
    WHERE l.status = 'failed' AND l.photo_id IN (SELECT photo_id FROM files WHERE missing_since IS NULL)
) GROUP BY ALL ORDER BY 3 DESC, 1, 2
"""
# Every n-th of them, so that a folder that was lost is met wherever it lies.
_EVERY_NTH = "QUALIFY (row_number() OVER (ORDER BY {order}) - 1) % greatest(1, count(*) OVER () // ?) = 0"
_THUMBNAILS = f"""
SELECT sha256 FROM photos WHERE photo_id IN (SELECT photo_id FROM ledger WHERE step = 'thumbnail' AND status = 'done')
{_EVERY_NTH.format(order="sha256")}
"""  # noqa: S608
_PATHS = f"SELECT path FROM files WHERE missing_since IS NULL {_EVERY_NTH.format(order='path')}"  # noqa: S608
