"""The catalog's schema, as one function for each version, applied in order and recorded in the same transaction.

No primary keys, unique or foreign key constraints: DuckDB checks them too eagerly for delete-and-insert in one
transaction, and they make large upserts many times slower. Uniqueness is kept by `Catalog`, which always
deletes what it is about to insert. Paths are BLOBs, because a file name is bytes and need not be UTF-8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_M001 = """
CREATE TABLE settings (key VARCHAR, value VARCHAR);
CREATE TABLE roots (path BLOB, added_at TIMESTAMP, scanned_at TIMESTAMP);
CREATE TABLE files (
    path BLOB, root BLOB, size BIGINT, mtime_ns BIGINT, device UBIGINT, inode UBIGINT,
    sidecars BLOB[], sidecar_sig VARCHAR, photo_id BIGINT, missing_since TIMESTAMP,
    code VARCHAR, message VARCHAR
);
CREATE TABLE walk_problems (path BLOB, code VARCHAR, message VARCHAR);
CREATE TABLE photos (photo_id BIGINT, sha256 VARCHAR, bytes BIGINT, added_at TIMESTAMP);
CREATE TABLE ledger (
    photo_id BIGINT, step VARCHAR, version INTEGER, status VARCHAR, model VARCHAR, runtime VARCHAR,
    ms FLOAT, code VARCHAR, message VARCHAR, done_at TIMESTAMP, run_id BIGINT
);
CREATE TABLE metadata (
    photo_id BIGINT, format VARCHAR, width BIGINT, height BIGINT, orientation INTEGER, frames INTEGER,
    taken_at TIMESTAMP, offset_minutes INTEGER, taken_source VARCHAR,
    dates STRUCT(source VARCHAR, taken_at TIMESTAMP, offset_minutes INTEGER)[],
    camera_make VARCHAR, camera_model VARCHAR, lens VARCHAR, iso INTEGER, f_number DOUBLE, exposure_s DOUBLE,
    focal_mm DOUBLE, latitude DOUBLE, longitude DOUBLE, altitude_m DOUBLE, rating INTEGER,
    title VARCHAR, description VARCHAR, keywords VARCHAR[], warnings VARCHAR[]
);
CREATE TABLE places (
    photo_id BIGINT, city VARCHAR, metropolis VARCHAR, region VARCHAR, country VARCHAR, country_code VARCHAR
);
CREATE TABLE hashes (photo_id BIGINT, pdq BLOB, quality INTEGER, pdq_own BLOB, quality_own INTEGER);
CREATE TABLE ocr_lines (photo_id BIGINT, line INTEGER, text VARCHAR, confidence FLOAT, box FLOAT[]);
CREATE TABLE tags (photo_id BIGINT, tag VARCHAR, score FLOAT, model VARCHAR);
CREATE TABLE faces (
    photo_id BIGINT, face INTEGER, box FLOAT[], landmarks FLOAT[], score FLOAT, model VARCHAR
);
CREATE TABLE categories (category VARCHAR, tag VARCHAR);
CREATE TABLE documents_due (photo_id BIGINT);
CREATE SEQUENCE run_ids;
CREATE TABLE runs (
    run_id BIGINT, started_at TIMESTAMP, ended_at TIMESTAMP, program VARCHAR, roots BLOB[], profile VARCHAR,
    outcome VARCHAR, found BIGINT, analysed BIGINT, failed BIGINT
);
"""


# One row a photo, with lists: as one row a tag the table takes a third more room (223 bytes a photo with 32 tags
# against 170) and finding the rows of a batch to replace eight times as long.
_TAG_SCORES = """
CREATE TABLE tag_scores (photo_id BIGINT, model VARCHAR, tags VARCHAR[], scores FLOAT[], standings FLOAT[]);
CREATE TABLE tag_rules (model VARCHAR, given FLOAT, at_least FLOAT, standing FLOAT, most INTEGER, applied BOOLEAN);
CREATE TABLE tag_thresholds (model VARCHAR, tag VARCHAR, given FLOAT, at_least FLOAT);
CREATE TABLE tag_choices (model VARCHAR, tag VARCHAR, value FLOAT);
"""


def _m001(con: DuckDBPyConnection) -> None:
    con.execute(_M001)


def _tag_scores(con: DuckDBPyConnection) -> None:
    """What a tags model said, the rule by which tags are shown, and the user's own thresholds (tag NULL: of all)."""
    con.execute(_TAG_SCORES)


def _model_versions(con: DuckDBPyConnection) -> None:
    """Which version of its model made a result. NULL in rows of before: see `Catalog.adopt`."""
    con.execute("ALTER TABLE ledger ADD COLUMN fingerprint VARCHAR")


def _duplicates(con: DuckDBPyConnection) -> None:
    """What finds turned and cropped copies (empty until a photo is hashed again), and what looking at pairs told."""
    for column in ("turn BLOB", "words BLOB", "sharpness FLOAT"):
        con.execute(f"ALTER TABLE hashes ADD COLUMN {column}")
    con.execute("CREATE TABLE pixel_digests (photo_id BIGINT, version INTEGER, digest BLOB)")
    con.execute("CREATE TABLE looks (a BIGINT, b BIGINT, version INTEGER, look VARCHAR)")


def _ledger_aside(con: DuckDBPyConnection) -> None:
    """What the ledger said of vectors that lie beside those in use: see `store.other_models`."""
    con.execute(
        "CREATE TABLE ledger_aside (photo_id BIGINT, step VARCHAR, version INTEGER, status VARCHAR, model VARCHAR,"
        " runtime VARCHAR, ms FLOAT, done_at TIMESTAMP, run_id BIGINT, fingerprint VARCHAR)"
    )


def _captions(con: DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE captions (photo_id BIGINT, caption VARCHAR, model VARCHAR)")


def _collections(con: DuckDBPyConnection) -> None:
    """Collections of photos, made by hand (`query` is NULL) or smart."""
    con.execute("CREATE TABLE collections (name VARCHAR, query VARCHAR, made_at TIMESTAMP)")
    con.execute("CREATE TABLE collection_photos (name VARCHAR, sha256 VARCHAR, added_at TIMESTAMP)")


def _decisions(con: DuckDBPyConnection) -> None:
    """What the user decided about duplicates, by content; `copies`: how many files had it then."""
    con.execute("CREATE TABLE decisions (id VARCHAR, kind VARCHAR, keeper VARCHAR, decided_at TIMESTAMP)")
    con.execute("CREATE TABLE decision_photos (id VARCHAR, sha256 VARCHAR, copies BIGINT)")


def _run_details(con: DuckDBPyConnection) -> None:
    """How a scan was made, what it reported and why it failed: JSON but for the last. See `store.runs`."""
    for column in ("details VARCHAR", "report VARCHAR", "error VARCHAR"):
        con.execute(f"ALTER TABLE runs ADD COLUMN {column}")


def _sidecars_of_copies(con: DuckDBPyConnection) -> None:
    """Of several files of the same bytes only the first one's sidecars were read: metadata is due with any."""
    con.execute(
        "DELETE FROM ledger WHERE step IN ('metadata', 'place') AND photo_id IN (SELECT photo_id FROM files"
        " WHERE missing_since IS NULL GROUP BY photo_id HAVING count(*) > 1 AND sum(len(sidecars)) > 0)"
    )


MIGRATIONS: tuple[Callable[[DuckDBPyConnection], None], ...] = (
    _m001,
    _tag_scores,
    _model_versions,
    _duplicates,
    _ledger_aside,
    _captions,
    _collections,
    _decisions,
    _run_details,
    _sidecars_of_copies,
)
SCHEMA = len(MIGRATIONS)


def schema_version(con: DuckDBPyConnection) -> int:
    """The version of an open catalog: 0 for a new, empty file."""
    import duckdb

    try:
        return int(con.execute("SELECT max(version) FROM schema_migrations").fetchall()[0][0] or 0)
    except duckdb.CatalogException:
        return 0


def migrate(con: DuckDBPyConnection) -> None:
    """Bring a catalog to `SCHEMA`; each step and its record stand or fall together."""
    con.execute("CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER, applied_at TIMESTAMP)")
    for version in range(schema_version(con) + 1, SCHEMA + 1):
        con.begin()
        try:
            MIGRATIONS[version - 1](con)
            con.execute("INSERT INTO schema_migrations VALUES (?, now()::TIMESTAMP)", [version])
            con.commit()
        except BaseException:
            con.rollback()
            raise


def schema_of_file(path: Path) -> int:
    """The version of a catalog that nobody else has open."""
    import duckdb

    with contextlib.closing(duckdb.connect(path, read_only=True)) as con:
        return schema_version(con)


def migrate_file(path: Path) -> None:
    """Bring a catalog that nobody else has open to `SCHEMA`."""
    import duckdb

    with contextlib.closing(duckdb.connect(path, config={"enable_external_access": "false"})) as con:
        migrate(con)
