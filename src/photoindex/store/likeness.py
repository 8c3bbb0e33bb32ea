"""What looking at pairs of photos told, kept so that nobody looks twice; and every fact that finding them needs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict

from photoindex.records import DupeFacts, Look
from photoindex.store.arrow import to_arrow
from photoindex.store.connection import CatalogFile

Pair = tuple[int, int]

_FACTS = """
SELECT p.photo_id, p.sha256, p.bytes, h.pdq, h.pdq_own, least(h.quality, h.quality_own), coalesce(h.turn, ''::BLOB),
    coalesce(h.words, ''::BLOB), h.sharpness, m.format, m.width, m.height,
    nullif(trim(concat_ws(' ', CASE WHEN starts_with(lower(m.camera_model), lower(split_part(m.camera_make, ' ', 1)))
        THEN NULL ELSE m.camera_make END, m.camera_model)), ''), m.taken_at, m.taken_source,
    (m.camera_model IS NOT NULL)::INTEGER + (m.lens IS NOT NULL)::INTEGER + (m.iso IS NOT NULL)::INTEGER
    + (m.latitude IS NOT NULL)::INTEGER + (m.rating IS NOT NULL)::INTEGER + (m.title IS NOT NULL)::INTEGER
    + (m.description IS NOT NULL)::INTEGER + coalesce(len(m.keywords), 0) + coalesce(len(m.dates), 0),
    coalesce(m.frames, 1)
FROM photos p JOIN hashes h USING (photo_id) LEFT JOIN metadata m USING (photo_id)
WHERE p.photo_id IN (SELECT photo_id FROM files WHERE missing_since IS NULL) ORDER BY p.photo_id
"""


class Likeness:
    """Questions and answers about pairs of photos. A pair is two photo ids, the lower first."""

    def __init__(self, file: CatalogFile) -> None:
        self._file = file

    def facts(self) -> list[DupeFacts]:
        """Of every hashed photo that has a present file, by id."""
        with self._file.read() as con:
            return [DupeFacts(*row) for row in con.execute(_FACTS).fetchall()]

    def looks(self, pairs: Collection[Pair], version: int) -> dict[Pair, Look]:
        """What is remembered of these pairs by this version of looking."""
        with self._file.read() as con:
            con.register("wanted", to_arrow(["a", "b"], list(pairs)))
            rows = con.execute(
                "SELECT a, b, look FROM looks SEMI JOIN wanted USING (a, b) WHERE version = ?", [version]
            )
            return {(a, b): Look(**json.loads(look)) for a, b, look in rows.fetchall()}

    def digests(self, photo_ids: Collection[int], version: int) -> dict[int, bytes]:
        """Digests of all decoded pixels, as far as they are remembered; empty where they could not be decoded."""
        if not photo_ids:
            return {}
        with self._file.read() as con:
            con.register("wanted", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
            sql = "SELECT photo_id, digest FROM pixel_digests SEMI JOIN wanted USING (photo_id) WHERE version = ?"
            return dict(con.execute(sql, [version]).fetchall())

    def remember(self, looks: Mapping[Pair, Look], digests: Mapping[int, bytes], version: int) -> None:
        """Keep new answers; those of other versions of looking are dropped."""
        with self._file.write() as con:
            con.execute("DELETE FROM looks WHERE version <> ?", [version])
            con.execute("DELETE FROM pixel_digests WHERE version <> ?", [version])
            if looks:
                rows = [(*pair, version, json.dumps(asdict(look))) for pair, look in looks.items()]
                con.register("new_looks", to_arrow(["a", "b", "version", "look"], rows))
                con.execute("DELETE FROM looks USING new_looks n WHERE looks.a = n.a AND looks.b = n.b")
                con.execute("INSERT INTO looks SELECT a, b, version, look FROM new_looks")
            if digests:
                con.register("new_digests", to_arrow(["photo_id", "version", "digest"], _digest_rows(digests, version)))
                con.execute("DELETE FROM pixel_digests USING new_digests n WHERE pixel_digests.photo_id = n.photo_id")
                con.execute("INSERT INTO pixel_digests SELECT photo_id, version, digest FROM new_digests")


def _digest_rows(digests: Mapping[int, bytes], version: int) -> list[tuple[int, int, bytes]]:
    return [(photo_id, version, digest) for photo_id, digest in digests.items()]
