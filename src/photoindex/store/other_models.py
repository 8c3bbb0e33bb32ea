"""The ledger rows of vectors that lie beside those of the model in use, so that going back to it does nothing again.

The ledger has one row a photo and step. Where another model's result replaces it, the row of a step whose vectors
stay is set aside, and comes back when that model is asked for again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from photoindex.records import Outcome
from photoindex.store.arrow import insert, to_arrow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_STEP = "embedding"
_COLUMNS = "photo_id, step, version, status, model, runtime, ms, done_at, run_id, fingerprint"
_SAME = """a.photo_id = n.photo_id AND a.step = n.step
    AND a.model IS NOT DISTINCT FROM n.model AND a.fingerprint IS NOT DISTINCT FROM n.fingerprint"""
_SET_ASIDE = f"""
INSERT INTO ledger_aside BY NAME SELECT {_COLUMNS} FROM ledger a WHERE status = 'done'
    AND (photo_id, step) IN (SELECT (photo_id, step) FROM coming n)
    AND NOT EXISTS (SELECT 1 FROM coming n WHERE {_SAME})
"""  # noqa: S608
_COMING = "CREATE OR REPLACE TEMP TABLE coming (photo_id BIGINT, step VARCHAR, model VARCHAR, fingerprint VARCHAR)"
_BACK = f"""
CREATE OR REPLACE TEMP TABLE coming AS SELECT {_COLUMNS} FROM ledger_aside SEMI JOIN have USING (photo_id)
WHERE step = $step AND version = $version AND model = $model AND fingerprint IS NOT DISTINCT FROM $fingerprint
    AND photo_id IN (SELECT photo_id FROM ledger WHERE step = $step
        AND (model <> $model OR fingerprint IS DISTINCT FROM $fingerprint))
"""  # noqa: S608


def set_aside(con: DuckDBPyConnection, outcomes: Sequence[tuple[int, Outcome]]) -> None:
    """Before these outcomes replace ledger rows: keep those of other models whose vectors stay."""
    rows = [(i, o.step, o.model, o.fingerprint) for i, o in outcomes if o.step == _STEP and o.model is not None]
    if not rows:
        return
    con.execute(_COMING)
    insert(con, "coming", ["photo_id", "step", "model", "fingerprint"], rows)
    con.execute(_SET_ASIDE)
    con.execute(f"DELETE FROM ledger_aside a USING coming n WHERE {_SAME}")  # noqa: S608


def take_back(con: DuckDBPyConnection, version: int, model: str, fingerprint: str | None, have: Collection[int]) -> int:
    """Put rows of this version of a model, set aside before, into the ledger, for those photos that `have` its vector.

    Returns how many.
    """
    con.register("have", to_arrow(["photo_id"], [(i,) for i in have]))
    con.execute(_BACK, {"step": _STEP, "version": version, "model": model, "fingerprint": fingerprint})
    con.execute(_SET_ASIDE)
    con.execute("DELETE FROM ledger WHERE (photo_id, step) IN (SELECT (photo_id, step) FROM coming)")
    con.execute("INSERT INTO ledger BY NAME SELECT * FROM coming")
    con.execute(f"DELETE FROM ledger_aside a USING coming n WHERE {_SAME}")  # noqa: S608
    return int(con.execute("SELECT count(*) FROM coming").fetchall()[0][0])
