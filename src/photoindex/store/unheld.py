"""Photos that no file holds any more, because the file was edited or replaced: it holds another photo since.

A missing file still holds its photo, until the user forgets it. What a user said of a photo is kept by content in other
tables (collections, decisions), and meets the photo again should it come back.
"""

from __future__ import annotations

from photoindex.store.connection import CatalogFile
from photoindex.store.facts import FACT_TABLES

_HELD = "SELECT photo_id FROM files WHERE photo_id IS NOT NULL"
_UNHELD = f"SELECT photo_id, sha256 FROM photos WHERE photo_id NOT IN ({_HELD})"  # noqa: S608
_TABLES = (
    *("photos", "ledger", "ledger_aside", "tags", "documents_due", "pixel_digests"),
    *(table.name for table in FACT_TABLES.values()),
)


def forget_unheld(file: CatalogFile) -> list[str]:
    """Delete what the catalog says of photos that no file holds. Returns their SHA-256.

    Their rows in the vector store are orphans from then on, like those that a killed scan left: see `Vectors.sweep`.
    """
    with file.read() as con:
        if not con.execute(f"{_UNHELD} LIMIT 1").fetchall():
            return []
    with file.write() as con:
        con.execute(f"CREATE TEMP TABLE unheld AS {_UNHELD}")
        for table in _TABLES:
            con.execute(f"DELETE FROM {table} WHERE photo_id IN (SELECT photo_id FROM unheld)")  # noqa: S608
        for one in ("a", "b"):
            con.execute(f"DELETE FROM looks WHERE {one} IN (SELECT photo_id FROM unheld)")  # noqa: S608
        return [row[0] for row in con.execute("SELECT sha256 FROM unheld").fetchall()]
