"""What the catalog learns when duplicates go and come back: their files at once, and the user's words about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from photoindex.records import FoundFile
from photoindex.store.arrow import decode_path, encode_path, to_arrow
from photoindex.store.catalog import Catalog

_ROWS = """
SELECT f.path, f.root, f.size, f.mtime_ns, f.device, f.inode, f.sidecars, f.sidecar_sig, f.photo_id
FROM files f SEMI JOIN asked USING (path) WHERE f.photo_id IS NOT NULL
"""
_HELD = """
SELECT DISTINCT p.sha256 FROM files f JOIN photos p USING (photo_id) SEMI JOIN contents ON p.sha256 = contents.sha256
WHERE f.missing_since IS NULL AND f.path NOT IN (SELECT path FROM going)
"""


@dataclass(frozen=True, slots=True)
class Words:
    """A table of the user's words about photos: a row for each photo and `key`, with `rest`."""

    table: str
    key: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    photo: str = "sha256"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.photo, *self.key, *self.rest)


# What stays takes over each row that it has none of its own for (decisions: see dupes/telling.py).
WORDS = (Words("collection_photos", ("name",), ("added_at",)),)


class LetGo:
    """Questions and changes. Each opens the catalog for its own moment only."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._file = catalog, catalog.file

    def rows(self, paths: Collection[str]) -> list[dict[str, Any]]:
        """What the catalog knows of these files, as JSON values."""
        with self._file.read() as con:
            con.register("asked", to_arrow(["path"], [(encode_path(path),) for path in paths]))
            rows = con.execute(_ROWS).fetchall()
        names = ("size", "mtime_ns", "device", "inode")
        return [
            {
                "path": decode_path(row[0]),
                "root": decode_path(row[1]),
                **dict(zip(names, row[2:6], strict=True)),
                "sidecars": [decode_path(path) for path in row[6] or ()],
                "sidecar_sig": row[7] or "",
                "photo_id": row[8],
            }
            for row in rows
        ]

    def place(self, rows: Sequence[Mapping[str, Any]], gone: Collection[str] = ()) -> None:
        """Forget files that are gone, and note those of `rows` (as `rows` gave them), all or nothing.

        A file of a photo that was forgotten meanwhile is left to the next scan.
        """
        known = set(self._known([row["photo_id"] for row in rows]))
        found = [(_found_file(row), row["photo_id"]) for row in rows if row["photo_id"] in known]
        if found or gone:
            self._catalog.place_files(found, gone)

    def _known(self, photo_ids: Collection[int]) -> list[int]:
        with self._file.read() as con:
            con.register("asked", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
            return [
                row[0] for row in con.execute("SELECT photo_id FROM photos SEMI JOIN asked USING (photo_id)").fetchall()
            ]

    def paths_of(self, sha256: str) -> list[str]:
        """Where files with these bytes lie."""
        sql = "SELECT path FROM files JOIN photos USING (photo_id) WHERE sha256 = ? AND missing_since IS NULL"
        with self._file.read() as con:
            return [decode_path(row[0]) for row in con.execute(sql + " ORDER BY path", [sha256]).fetchall()]

    def held(self, contents: Collection[str], going: Collection[str]) -> set[str]:
        """Those of these contents that some present file has which is not among those going."""
        with self._file.read() as con:
            con.register("contents", to_arrow(["sha256"], [(sha256,) for sha256 in contents]))
            con.register("going", to_arrow(["path"], [(encode_path(path),) for path in going]))
            return {row[0] for row in con.execute(_HELD).fetchall()}

    def merged(self, into: Mapping[str, str]) -> list[dict[str, Any]]:
        """The rows that what stays would take over (`into`: by the content that goes), as JSON values with `of`, the
        content that had them. Nothing is changed."""
        found: list[dict[str, Any]] = []
        with self._file.read() as con:
            con.register("merging", to_arrow(["loser", "keeper"], list(into.items())))
            for words in WORDS:
                for loser, *values in con.execute(_merged(words)).fetchall():
                    row = dict(zip(words.columns, values, strict=True))
                    found.append({"of": loser, "table": words.table, "row": row})
        return found

    def add(self, additions: Sequence[Mapping[str, Any]]) -> None:
        """Add rows as `merged` gave them, but for those that are there."""
        if not additions:
            return
        with self._file.write() as con:
            for words, row in _of_tables(additions):
                where = " AND ".join(f"{name} IS NOT DISTINCT FROM ?" for name in (words.photo, *words.key))
                values = ", ".join("?" for _ in words.columns)
                sql = (
                    f"INSERT INTO {words.table} ({', '.join(words.columns)})"  # noqa: S608
                    f" SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM {words.table} WHERE {where})"
                )
                keys = [row[name] for name in (words.photo, *words.key)]
                con.execute(sql, [*(row[name] for name in words.columns), *keys])

    def take_back(self, additions: Sequence[Mapping[str, Any]]) -> None:
        """Delete the rows that `add` added, where they are as they were."""
        if not additions:
            return
        with self._file.write() as con:
            for words, row in _of_tables(additions):
                where = " AND ".join(f"CAST({name} AS VARCHAR) IS NOT DISTINCT FROM ?" for name in words.columns)
                con.execute(f"DELETE FROM {words.table} WHERE {where}", [row[name] for name in words.columns])  # noqa: S608


def _found_file(row: Mapping[str, Any]) -> FoundFile:
    return FoundFile(
        path=row["path"],
        root=row["root"],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        device=row["device"],
        inode=row["inode"],
        sidecars=tuple(row["sidecars"]),
        sidecar_sig=row["sidecar_sig"],
    )


def _merged(words: Words) -> str:
    """Text throughout, which goes into a journal and back. Of several that go, the first to speak is heard."""
    mine = ", ".join(f"CAST(t.{name} AS VARCHAR)" for name in (*words.key, *words.rest))
    same = "".join(f" AND k.{name} IS NOT DISTINCT FROM t.{name}" for name in words.key)
    apart = ", ".join(["m.keeper", *(f"t.{name}" for name in words.key)])
    return f"""SELECT m.loser, m.keeper, {mine} FROM {words.table} t JOIN merging m ON t.{words.photo} = m.loser
        WHERE NOT EXISTS (SELECT 1 FROM {words.table} k WHERE k.{words.photo} = m.keeper{same})
        QUALIFY row_number() OVER (PARTITION BY {apart} ORDER BY m.loser) = 1"""  # noqa: S608


def _of_tables(additions: Sequence[Mapping[str, Any]]) -> list[tuple[Words, Mapping[str, Any]]]:
    """Without tables that this program does not know: a journal may be of a newer one."""
    known = {words.table: words for words in WORDS}
    return [(known[a["table"]], a["row"]) for a in additions if a["table"] in known]
