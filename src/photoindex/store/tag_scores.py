"""Tag scores as a model gave them, and the tags that are shown: those that the rule in force lets through.

What is shown is derived here and nowhere else: for the photos of a batch when it is saved, and for all of them when
a threshold has changed. A model without a rule in force shows every tag it keeps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from photoindex.records import TagCount, TagRule
from photoindex.store.arrow import insert, to_arrow
from photoindex.store.connection import CatalogFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# So many photos are derived anew in one transaction: a search waits that long for the catalog, about a second.
_AT_ONCE = 50_000
_SHOWN = """
SELECT photo_id, tag, score, model FROM (
    SELECT photo_id, s.model, unnest(s.tags) AS tag, unnest(s.scores) AS score, unnest(s.standings) AS standing,
        generate_subscripts(s.tags, 1) AS place
    FROM tag_scores s SEMI JOIN chosen USING (photo_id)) c
LEFT JOIN tag_rules r USING (model)
LEFT JOIN tag_thresholds t USING (model, tag)
WHERE r.at_least IS NULL OR (score >= coalesce(t.at_least, r.at_least)
    AND (t.at_least IS NOT NULL OR r.standing IS NULL OR c.standing >= r.standing))
QUALIFY r.most IS NULL OR row_number() OVER (PARTITION BY photo_id ORDER BY place) <= r.most
"""
_CHANGED = """
CREATE TEMP TABLE changed AS SELECT DISTINCT photo_id FROM (
    (SELECT photo_id, tag FROM shown EXCEPT SELECT photo_id, tag FROM tags SEMI JOIN chosen USING (photo_id))
    UNION ALL
    (SELECT photo_id, tag FROM tags SEMI JOIN chosen USING (photo_id) EXCEPT SELECT photo_id, tag FROM shown))
"""
_WITHOUT_SCORES = """
SELECT count(*) FROM ledger WHERE step = 'tags' AND status = 'done'
    AND photo_id NOT IN (SELECT photo_id FROM tag_scores)
"""


def derive_tags(con: DuckDBPyConnection, photo_ids: Collection[int]) -> None:
    """Replace the shown tags of these photos, in the caller's transaction."""
    if not photo_ids:
        return
    con.register("chosen", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
    con.execute("DELETE FROM tags WHERE photo_id IN (SELECT photo_id FROM chosen)")
    con.execute(f"INSERT INTO tags BY NAME {_SHOWN}")
    con.unregister("chosen")


class TagScores:
    """The kept scores of a library, the rules by which tags are shown, and the user's own thresholds."""

    def __init__(self, file: CatalogFile) -> None:
        self._file = file

    # -- what there is

    def models(self) -> dict[str, int]:
        """The models whose scores are kept, with the number of their photos, most first."""
        sql = "SELECT model, count(*) FROM tag_scores WHERE model IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
        with self._file.read() as con:
            return dict(con.execute(sql).fetchall())

    def photos_without_scores(self) -> int:
        """Photos that were tagged before scores were kept: their tags stay as they are until the step is done again."""
        with self._file.read() as con:
            return int(con.execute(_WITHOUT_SCORES).fetchall()[0][0])

    def counts(self) -> list[TagCount]:
        """Every tag that a photo shows, the most frequent first."""
        sql = "SELECT tag, count(*), max(score) FROM tags GROUP BY 1 ORDER BY 2 DESC, 1"
        with self._file.read() as con:
            return [TagCount(*row) for row in con.execute(sql).fetchall()]

    def given(self, model: str) -> TagRule | None:
        """The model's own rule as it was when tags were last derived; None before that."""
        return self._rule(model, "given")

    def in_force(self, model: str) -> TagRule | None:
        """The rule by which the library's tags are shown; None before there are any."""
        return self._rule(model, "at_least")

    def is_applied(self, model: str) -> bool:
        """False where deriving all tags by the rule in force was broken off."""
        with self._file.read() as con:
            return con.execute("SELECT model FROM tag_rules WHERE model = ? AND NOT applied", [model]).fetchall() == []

    def choices(self, model: str) -> dict[str | None, float]:
        """The user's own thresholds by tag; None is the one for all tags without one."""
        with self._file.read() as con:
            return dict(con.execute("SELECT tag, value FROM tag_choices WHERE model = ?", [model]).fetchall())

    def all_choices(self) -> list[tuple[str, str | None, float]]:
        """The user's own thresholds of every model: model, tag (see `choices`) and value."""
        with self._file.read() as con:
            return con.execute("SELECT model, tag, value FROM tag_choices ORDER BY ALL").fetchall()

    def _rule(self, model: str, column: str) -> TagRule | None:
        with self._file.read() as con:
            rows = con.execute(f"SELECT {column}, standing, most FROM tag_rules WHERE model = ?", [model]).fetchall()  # noqa: S608
            own = con.execute(
                f"SELECT tag, {column} FROM tag_thresholds WHERE model = ? AND {column} IS NOT NULL",  # noqa: S608
                [model],
            ).fetchall()
        return TagRule(rows[0][0], dict(own), rows[0][1], rows[0][2]) if rows else None

    # -- changing it

    def set_choices(self, model: str, choices: Mapping[str | None, float]) -> None:
        """Replace the user's own thresholds for a model. Nothing is derived by them before `put_rule`."""
        with self._file.write() as con:
            con.execute("DELETE FROM tag_choices WHERE model = ?", [model])
            insert(con, "tag_choices", ["model", "tag", "value"], [(model, tag, v) for tag, v in choices.items()])

    def put_rule(self, model: str, given: TagRule, in_force: TagRule, *, applied: bool) -> None:
        """Bring a rule into force: `given` by the model, `in_force` with the user's thresholds in it.

        `applied` False: the tags shown so far are still those of another rule.
        """
        own = [(model, tag, given.own.get(tag), in_force.own.get(tag)) for tag in {**given.own, **in_force.own}]
        rule = (model, given.at_least, in_force.at_least, in_force.standing, in_force.most, applied)
        with self._file.write() as con:
            con.execute("DELETE FROM tag_rules WHERE model = ?", [model])
            con.execute("DELETE FROM tag_thresholds WHERE model = ?", [model])
            con.execute("INSERT INTO tag_rules VALUES (?, ?, ?, ?, ?, ?)", rule)
            insert(con, "tag_thresholds", ["model", "tag", "given", "at_least"], own)

    def derive_all(self, model: str) -> Iterator[tuple[int, int]]:
        """Derive the tags of every photo anew, part by part; of each part the photos looked at and those that changed.

        The documents of those that changed are due after it. Once the last part is done the rule counts as applied.
        """
        with self._file.read() as con:
            sql = "SELECT photo_id FROM tag_scores WHERE model = ?"
            photo_ids = [row[0] for row in con.execute(sql, [model]).fetchall()]
        for at in range(0, len(photo_ids), _AT_ONCE):
            part = photo_ids[at : at + _AT_ONCE]
            yield len(part), self._derive_part(part)
        with self._file.write() as con:
            con.execute("UPDATE tag_rules SET applied = true WHERE model = ?", [model])

    def _derive_part(self, photo_ids: Sequence[int]) -> int:
        with self._file.write() as con:
            con.register("chosen", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
            con.execute(f"CREATE TEMP TABLE shown AS {_SHOWN}")
            con.execute(_CHANGED)
            con.execute("DELETE FROM tags WHERE photo_id IN (SELECT photo_id FROM changed)")
            con.execute("INSERT INTO tags BY NAME SELECT * FROM shown SEMI JOIN changed USING (photo_id)")
            con.execute("INSERT INTO documents_due SELECT photo_id FROM changed")
            return int(con.execute("SELECT count(*) FROM changed").fetchall()[0][0])
