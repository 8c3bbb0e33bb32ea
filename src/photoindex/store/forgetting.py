"""Which files and photos are to be forgotten, and forgetting them in the catalog."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from photoindex.store.arrow import decode_path, delete_matching, encode_path, to_arrow
from photoindex.store.catalog import span
from photoindex.store.connection import CatalogFile

Files = list[tuple[str, bool]]  # a path, and whether it was there at the last scan
_FILES = "SELECT path, missing_since IS NULL FROM files"


def missing(file: CatalogFile) -> Files:
    """Files that were not there at the last scan."""
    return _files(file, f"{_FILES} WHERE missing_since IS NOT NULL ORDER BY path")


def below(file: CatalogFile, root: str) -> Files:
    """Every file below a folder."""
    return _files(file, f"{_FILES} WHERE path >= $first AND path < $last ORDER BY path", span(root))


def of_photos(file: CatalogFile, photo_ids: Sequence[int]) -> Files:
    """Every file of these photos."""
    with file.read() as con:
        con.register("asked", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
        rows = con.execute(f"{_FILES} SEMI JOIN asked USING (photo_id) ORDER BY path").fetchall()
    return [(decode_path(path), there) for path, there in rows]


def _files(file: CatalogFile, sql: str, values: dict[str, bytes] | None = None) -> Files:
    with file.read() as con:
        return [(decode_path(path), there) for path, there in con.execute(sql, values or {}).fetchall()]


def forget_paths(file: CatalogFile, paths: Collection[str], folders: Collection[str] = ()) -> None:
    """Forget these files, and that these folders were scanned, all or nothing. Photos that lose a file are described by
    those they have left; those without any are for `unheld`."""
    keys = [(encode_path(path),) for path in paths]
    with file.write() as con:
        con.register("gone", to_arrow(["path"], keys))
        con.execute(
            "INSERT INTO documents_due SELECT DISTINCT photo_id FROM files"
            " WHERE photo_id IS NOT NULL AND path IN (SELECT path FROM gone)"
        )
        con.unregister("gone")
        delete_matching(con, "files", ["path"], keys)
        for folder in folders:
            con.execute("DELETE FROM roots WHERE path = ?", [encode_path(folder)])
            con.execute(
                "DELETE FROM walk_problems WHERE path = $base OR (path >= $first AND path < $last)",
                {"base": encode_path(folder), **span(folder)},
            )


def forget_words(file: CatalogFile, photos: Collection[str]) -> None:
    """Take these photos out of collections, and forget decisions that are about no other photo."""
    with file.write() as con:
        delete_matching(con, "collection_photos", ["sha256"], [(sha256,) for sha256 in photos])
        con.register("gone", to_arrow(["sha256"], [(sha256,) for sha256 in photos]))
        con.execute(
            "CREATE TEMP TABLE over AS SELECT id FROM decision_photos"
            " GROUP BY id HAVING bool_and(sha256 IN (SELECT sha256 FROM gone))"
        )
        con.unregister("gone")
        for table in ("decisions", "decision_photos"):
            con.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM over)")  # noqa: S608
