"""From a tree of conditions to one SQL question with parameters: no value of a user is ever part of the SQL text."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING
from typing import Any as AnyValue

from photoindex.conditions import All, Among, Any, Between, Chosen, Condition, Known, No, OneOf, Within
from photoindex.store.arrow import decode_path, ids_table
from photoindex.store.connection import CatalogFile
from photoindex.store.remembered import remembered

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CAMERA = "nullif(trim(concat_ws(' ', m.camera_make, m.camera_model)), '')"
# Of facts that a photo has one of: the column, or what is made of columns. m: metadata, c: places.
_VALUE = {
    "camera": _CAMERA,
    "lens": "m.lens",
    "format": "m.format",
    "pixels": "least(m.width, m.height) || 'x' || greatest(m.width, m.height)",
    "city": "c.city",
    "metropolis": "c.metropolis",
    "region": "c.region",
    "country": "c.country",
    "country_code": "c.country_code",
}
_NUMBER = {
    "taken_at": "m.taken_at",
    "year": "year(m.taken_at)",
    "month": "month(m.taken_at)",
    "iso": "m.iso",
    "f": "m.f_number",
    "mm": "m.focal_mm",
    "width": "m.width",
    "height": "m.height",
    "mp": "m.width * m.height / 1e6",
    "rating": "m.rating",
    "orientation": "m.orientation",
    "faces": "n.faces",
}
_PRESENT = "SELECT photo_id FROM files WHERE missing_since IS NULL AND photo_id IS NOT NULL"
KNOWN = {
    "gps": "m.latitude IS NOT NULL AND m.longitude IS NOT NULL",
    "date": "m.taken_at IS NOT NULL AND m.taken_source IS DISTINCT FROM 'file_time'",
    "camera": f"{_CAMERA} IS NOT NULL",
    "rating": "m.rating IS NOT NULL",
    "text": "p.photo_id IN (SELECT photo_id FROM ocr_lines)",
    "faces": "p.photo_id IN (SELECT photo_id FROM faces)",
    "tags": "p.photo_id IN (SELECT photo_id FROM tags)",
    "portrait": "m.height > m.width",
    "landscape": "m.width > m.height",
    "square": "m.width = m.height",
    "missing": f"p.photo_id NOT IN ({_PRESENT})",
    "failed": "p.photo_id IN (SELECT photo_id FROM ledger WHERE status = 'failed')",
    "copied": f"p.photo_id IN ({_PRESENT} GROUP BY photo_id HAVING count(DISTINCT (device, inode)) > 1)",
    "exposed": f"""({_CAMERA} IS NOT NULL OR m.lens IS NOT NULL OR m.iso IS NOT NULL OR m.f_number IS NOT NULL
        OR m.exposure_s IS NOT NULL OR m.focal_mm IS NOT NULL)""",
}
# Photos in which faces were looked for, with how many were found.
_FACES = """LEFT JOIN (SELECT photo_id, count(f.photo_id) AS faces FROM ledger l LEFT JOIN faces f USING (photo_id)
    WHERE l.step = 'faces' AND l.status = 'done' GROUP BY 1) n USING (photo_id)"""
_PLACES = "LEFT JOIN places c USING (photo_id)"
_KM = """2 * 6371.0 * asin(sqrt(least(1.0, pow(sin(radians(m.latitude - ?) / 2), 2)
    + cos(radians(?)) * cos(radians(m.latitude)) * pow(sin(radians(m.longitude - ?) / 2), 2))))"""
_VALUES = {
    "tag": "SELECT DISTINCT tag FROM tags",
    "category": "SELECT DISTINCT category FROM categories",
    "collection": "SELECT name FROM collections",
}
_TEXTS = {
    "caption": "SELECT photo_id, concat_ws(chr(10), title, description) FROM metadata"
    " WHERE title IS NOT NULL OR description IS NOT NULL"
    " UNION ALL SELECT photo_id, caption FROM captions WHERE caption IS NOT NULL",
}


class Finder:
    """Questions that find photos, all of them to one state of the catalog."""

    def __init__(self, con: DuckDBPyConnection, file: CatalogFile) -> None:
        self._con, self._file = con, file

    def select(self, condition: Condition) -> Chosen:
        """Photos that fulfil it and have a file, newest first."""
        question = _Question(self._con)
        where = question.sql(condition)
        where = f"(p.photo_id IN (SELECT photo_id FROM files WHERE photo_id IS NOT NULL) AND {where})"  # noqa: S608
        photos = f"FROM photos p LEFT JOIN metadata m USING (photo_id) {question.joins()} WHERE"
        try:
            sql = f"SELECT p.photo_id {photos} {where} ORDER BY m.taken_at DESC NULLS LAST, p.photo_id"
            return Chosen(self._con.execute(sql, question.values).fetchnumpy()["photo_id"])
        finally:
            for name in question.tables:
                self._con.unregister(name)

    def values(self, fact: str) -> list[str]:
        """The values of a fact in this library, each once: camera, lens, format, city, ..., tag, category."""
        sql = _VALUES.get(fact) or (
            f"SELECT DISTINCT {_VALUE[fact]} FROM {'places c' if _VALUE[fact].startswith('c.') else 'metadata m'}"  # noqa: S608
        )
        return [row[0] for row in remembered(self._file, sql) if row[0] is not None]

    def tags_in(self, categories: Collection[str]) -> list[str]:
        """The tags that make up these categories."""
        sql = "SELECT DISTINCT tag FROM categories WHERE list_contains(?, category)"
        return [row[0] for row in self._con.execute(sql, [list(categories)]).fetchall()]

    def paths(self, among: Condition | None = None) -> list[tuple[int, str]]:
        """Every file of a known photo, missing ones too: photo id and path."""
        if among is None:
            rows = self._con.execute("SELECT photo_id, path FROM files WHERE photo_id IS NOT NULL").fetchall()
        else:
            self._con.register("asked", ids_table(self.select(among)))
            rows = self._con.execute("SELECT photo_id, path FROM files SEMI JOIN asked USING (photo_id)").fetchall()
            self._con.unregister("asked")
        return [(row[0], decode_path(row[1])) for row in rows]

    def texts(self, kind: str) -> list[tuple[int, str]]:
        """Photo id and text, of photos with one: `caption` is title and description, and what a model wrote."""
        return self._con.execute(_TEXTS[kind]).fetchall()


@contextlib.contextmanager
def finding(file: CatalogFile) -> Iterator[Finder]:
    """A `Finder` for the moment of one search."""
    with file.read() as con:
        yield Finder(con, file)


class _Question:
    """Gathers what a condition needs: values in the order of their question marks, tables of ids, joins."""

    def __init__(self, con: DuckDBPyConnection) -> None:
        self._con = con
        self.values: list[AnyValue] = []
        self.tables: list[str] = []
        self._joined: set[str] = set()

    def joins(self) -> str:
        return " ".join(sorted(self._joined))

    def sql(self, condition: Condition) -> str:
        """Never NULL: what is not known does not hold."""
        match condition:
            case All(parts):
                return f"({' AND '.join(map(self.sql, parts))})" if parts else "true"
            case Any(parts):
                return f"({' OR '.join(map(self.sql, parts))})" if parts else "false"
            case No(part):
                return f"(NOT {self.sql(part)})"
            case Among(photo_ids):
                return self._among(photo_ids)
            case OneOf(fact, values):
                return self._one_of(fact, values)
            case Between():
                return self._between(condition)
            case Within():
                return self._within(condition)
            case Known(name):
                return f"coalesce({KNOWN[name]}, false)"

    def _among(self, photo_ids: Collection[int]) -> str:
        name = f"among_{len(self.tables)}"
        self.tables.append(name)
        self._con.register(name, ids_table(photo_ids))
        return f"(p.photo_id IN (SELECT photo_id FROM {name}))"  # noqa: S608

    def _one_of(self, fact: str, values: tuple[str, ...]) -> str:
        if not values:
            return "false"
        self.values.append(list(values))
        if fact == "tag":
            return "(p.photo_id IN (SELECT photo_id FROM tags WHERE tag IN (SELECT unnest(?::VARCHAR[]))))"
        return f"coalesce(list_contains(?, {self._column(_VALUE[fact])}), false)"

    def _between(self, condition: Between) -> str:
        column = self._column(_NUMBER[condition.fact])
        tests = []
        for limit, sign in (
            (condition.low, ">" if condition.open_low else ">="),
            (condition.high, "<" if condition.open_high else "<="),
        ):
            if limit is not None:
                tests.append(f"{column} {sign} ?")
                self.values.append(limit)
        return f"coalesce({' AND '.join(tests) or f'{column} IS NOT NULL'}, false)"

    def _within(self, condition: Within) -> str:
        self.values += [condition.latitude, condition.latitude, condition.longitude, condition.km]
        # least() leaves NULL out, so that a photo without a position would be at the far end of the world
        return f"({KNOWN['gps']} AND {_KM} <= ?)"

    def _column(self, column: str) -> str:
        if column.startswith("c."):
            self._joined.add(_PLACES)
        if column.startswith("n."):
            self._joined.add(_FACES)
        return column
