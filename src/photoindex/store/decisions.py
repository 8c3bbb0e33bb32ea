"""What the user decided about duplicates, by content: it holds whatever is scanned, moved or analysed anew."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from photoindex.records import Decision
from photoindex.store.arrow import delete_matching, insert
from photoindex.store.connection import CatalogFile

_TABLES = ("decisions", "decision_photos")


class Decisions:
    """Questions and changes. Each opens the catalog for its own moment only."""

    def __init__(self, file: CatalogFile) -> None:
        self._file = file

    def read(self) -> list[Decision]:
        """All decisions, the oldest first."""
        with self._file.read() as con:
            rows = con.execute("SELECT id, kind, keeper, decided_at FROM decisions ORDER BY decided_at, id").fetchall()
            members = con.execute(
                "SELECT id, sha256, copies FROM decision_photos SEMI JOIN decisions USING (id) ORDER BY sha256"
            ).fetchall()
        photos: dict[str, dict[str, int]] = {row[0]: {} for row in rows}
        for number, sha256, copies in members:
            photos[number][sha256] = copies
        return [Decision(number, kind, photos[number], keeper, at) for number, kind, keeper, at in rows]

    def put(self, decisions: Sequence[Decision], instead_of: Collection[str] = ()) -> None:
        """Save decisions, each in place of the one with its id, and forget those with the ids `instead_of`."""
        gone = {*instead_of, *(decision.id for decision in decisions)}
        with self._file.write() as con:
            for table in _TABLES:
                delete_matching(con, table, ["id"], [(number,) for number in sorted(gone)])
            rows = [(d.id, d.kind, d.keeper, d.decided_at) for d in decisions]
            # One row at a time: a column that holds no keeper at all would have no type.
            for row in rows:
                con.execute("INSERT INTO decisions VALUES (?, ?, ?, ?)", list(row))
            photos = [(d.id, sha256, copies) for d in decisions for sha256, copies in d.photos.items()]
            insert(con, "decision_photos", ["id", "sha256", "copies"], photos)
