"""The collections of a library: chosen by hand, by the SHA-256 of each photo, or smart, which is a saved query."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from photoindex.records import PhotoCollection
from photoindex.store.arrow import decode_path, delete_matching, encode_path, insert, to_arrow
from photoindex.store.connection import CatalogFile

_COUNTS = """
SELECT c.name, count(m.sha256), count(m.sha256) - count(p.photo_id) FROM collections c
LEFT JOIN collection_photos m USING (name) LEFT JOIN photos p USING (sha256) GROUP BY 1
"""


class Collections:
    """Questions and changes. Each opens the catalog for its own moment only."""

    def __init__(self, file: CatalogFile) -> None:
        self._file = file

    def queries(self) -> dict[str, str | None]:
        """Every collection by name, in alphabetical order: the query of a smart one, None of one made by hand."""
        with self._file.read() as con:
            return dict(con.execute("SELECT name, query FROM collections ORDER BY lower(name), name").fetchall())

    def read(self) -> dict[str, PhotoCollection]:
        """Every collection by name, in alphabetical order, with its photos in the order they were added."""
        with self._file.read() as con:
            rows = con.execute("SELECT name, query, made_at FROM collections ORDER BY lower(name), name").fetchall()
            members = con.execute(
                "SELECT name, sha256, added_at FROM collection_photos SEMI JOIN collections USING (name)"
                " ORDER BY added_at, collection_photos.rowid"
            ).fetchall()
        photos: dict[str, dict[str, datetime]] = {row[0]: {} for row in rows}
        for name, sha256, added_at in members:
            photos[name][sha256] = added_at
        return {name: PhotoCollection(name, query, made_at, photos[name]) for name, query, made_at in rows}

    def counts(self) -> dict[str, tuple[int, int]]:
        """For each collection how many photos it was given, and how many of them the library has never seen."""
        with self._file.read() as con:
            return {row[0]: (row[1], row[2]) for row in con.execute(_COUNTS).fetchall()}

    def photo_ids(self, name: str) -> list[int]:
        """The photos of a collection made by hand that the library knows."""
        sql = (
            "SELECT photo_id FROM photos SEMI JOIN (SELECT sha256 FROM collection_photos WHERE name = ?) USING (sha256)"
        )
        with self._file.read() as con:
            return [row[0] for row in con.execute(sql, [name]).fetchall()]

    def shas(self, photo_ids: Collection[int]) -> list[str]:
        """The SHA-256 of these photos, in this order."""
        with self._file.read() as con:
            con.register("asked", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
            known = dict(con.execute("SELECT photo_id, sha256 FROM photos SEMI JOIN asked USING (photo_id)").fetchall())
        return [known[photo_id] for photo_id in photo_ids if photo_id in known]

    def shas_at(self, paths: Collection[str]) -> dict[str, str]:
        """The SHA-256 of the photos at these paths, by path; without the paths where the library has none."""
        with self._file.read() as con:
            con.register("asked", to_arrow(["path"], [(encode_path(path),) for path in paths]))
            sql = "SELECT path, sha256 FROM files SEMI JOIN asked USING (path) JOIN photos USING (photo_id)"
            return {decode_path(path): sha256 for path, sha256 in con.execute(sql).fetchall()}

    def paths(self, shas: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The paths, missing ones too, of those of these photos that the library knows, by SHA-256."""
        sql = """SELECT sha256, list(path ORDER BY path) FROM files JOIN photos USING (photo_id)
            SEMI JOIN asked USING (sha256) GROUP BY 1"""
        with self._file.read() as con:
            con.register("asked", to_arrow(["sha256"], [(sha256,) for sha256 in shas]))
            return {sha256: tuple(map(decode_path, paths)) for sha256, paths in con.execute(sql).fetchall()}

    def replace(self, changes: Mapping[str, PhotoCollection | None]) -> None:
        """Set these collections to what is given, or forget them where that is None, all or nothing."""
        kept = [collection for collection in changes.values() if collection is not None]
        rows = [(c.name, sha256, added_at) for c in kept for sha256, added_at in c.photos.items()]
        with self._file.write() as con:
            for table in ("collections", "collection_photos"):
                delete_matching(con, table, ["name"], [(name,) for name in changes])
            insert(con, "collections", ["name", "query", "made_at"], [(c.name, c.query, c.made_at) for c in kept])
            insert(con, "collection_photos", ["name", "sha256", "added_at"], rows)
