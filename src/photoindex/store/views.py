"""The catalog as people may ask it: documented views with text for paths and SHA-256 for photos, whatever the tables
behind them look like.

README and docs/sql.md promise their names and columns, which only ever grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CAMERA = """nullif(trim(concat_ws(' ', CASE
    WHEN starts_with(lower(camera_model), lower(split_part(camera_make, ' ', 1))) THEN NULL ELSE camera_make
    END, camera_model)), '')"""


def as_text(path: str) -> str:
    """SQL for a path (bytes) as text; where it is no UTF-8, with every byte beyond ASCII as \\xNN."""
    return f"coalesce(try(decode({path})), {path}::VARCHAR)"


# Every table is named in full, because views that lie before them are called the same; {catalog} is the database.
VIEWS = {
    "photos": f"""
        SELECT p.sha256 AS photo, {as_text("f.path")} AS path, f.missing_since IS NOT NULL AS missing, p.bytes,
            m.format, m.width, m.height, m.orientation, m.taken_at, m.offset_minutes, {_CAMERA} AS camera,
            m.camera_make, m.camera_model, m.lens, m.iso, m.f_number, m.exposure_s, m.focal_mm, m.latitude,
            m.longitude, m.altitude_m,
            c.city, c.metropolis, c.region, c.country, c.country_code, m.rating, m.title, m.description, m.keywords,
            s.caption, p.added_at
        FROM {{catalog}}.main.photos p
        LEFT JOIN (SELECT * FROM {{catalog}}.main.files WHERE photo_id IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY photo_id ORDER BY missing_since NULLS FIRST, path) = 1) f
            USING (photo_id)
        LEFT JOIN {{catalog}}.main.metadata m USING (photo_id) LEFT JOIN {{catalog}}.main.places c USING (photo_id)
        LEFT JOIN {{catalog}}.main.captions s USING (photo_id)""",  # noqa: S608
    "files": f"""
        SELECT p.sha256 AS photo, {as_text("f.path")} AS path, {as_text("f.root")} AS root, f.size AS bytes,
            make_timestamp(f.mtime_ns // 1000) AS modified_at, f.missing_since, f.code AS problem, f.message
        FROM {{catalog}}.main.files f LEFT JOIN {{catalog}}.main.photos p USING (photo_id)""",  # noqa: S608
    "tags": """
        SELECT p.sha256 AS photo, t.tag, t.score, t.model
        FROM {catalog}.main.tags t JOIN {catalog}.main.photos p USING (photo_id)""",
    "texts": """
        SELECT p.sha256 AS photo, o.line, o.text, o.confidence
        FROM {catalog}.main.ocr_lines o JOIN {catalog}.main.photos p USING (photo_id)""",
    "faces": """
        SELECT p.sha256 AS photo, f.face, f.score, f.box, f.model
        FROM {catalog}.main.faces f JOIN {catalog}.main.photos p USING (photo_id)""",
    "steps": """
        SELECT p.sha256 AS photo, l.step, l.status, l.model, l.runtime, l.ms, l.code AS problem, l.message, l.done_at
        FROM {catalog}.main.ledger l JOIN {catalog}.main.photos p USING (photo_id)""",
    "collections": "SELECT name, query, made_at FROM {catalog}.main.collections",
    "collection_photos": "SELECT name, sha256 AS photo, added_at FROM {catalog}.main.collection_photos",
    "categories": "SELECT category, tag FROM {catalog}.main.categories",
    "roots": f"SELECT {as_text('path')} AS path, added_at, scanned_at FROM {{catalog}}.main.roots",  # noqa: S608
}
EXPORT = f"""
SELECT v.*, t.tags, o.text, f.path AS path_bytes FROM wanted w JOIN {{catalog}}.main.photos p USING (photo_id)
JOIN ({VIEWS["photos"]}) v ON v.photo = p.sha256
LEFT JOIN (SELECT photo_id, list(tag ORDER BY score DESC) AS tags FROM {{catalog}}.main.tags SEMI JOIN wanted
    USING (photo_id) GROUP BY 1) t USING (photo_id)
LEFT JOIN (SELECT photo_id, string_agg(text, chr(10) ORDER BY line) AS text FROM {{catalog}}.main.ocr_lines
    SEMI JOIN wanted USING (photo_id) GROUP BY 1) o USING (photo_id)
LEFT JOIN (SELECT photo_id, path FROM {{catalog}}.main.files SEMI JOIN wanted USING (photo_id)
    QUALIFY row_number() OVER (PARTITION BY photo_id ORDER BY missing_since NULLS FIRST, path) = 1) f USING (photo_id)
ORDER BY w.place
"""  # noqa: S608 - made of constants


def show_views(con: DuckDBPyConnection) -> None:
    """Put the views before the tables, for this connection only."""
    for name, sql in VIEWS.items():
        con.execute(f"CREATE TEMP VIEW {name} AS {named_in_full(con, sql)}")


def named_in_full(con: DuckDBPyConnection, sql: str) -> str:
    """One of the statements above, with the name that the open catalog has."""
    return sql.replace("{catalog}", con.execute("SELECT current_database()").fetchall()[0][0])
