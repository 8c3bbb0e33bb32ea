"""When a table of vectors is worth an index, and how the index is asked.

IVF_RQ (RaBitQ codes, Gao and Long 2024, in partitions of about 4,096 vectors) with the codes' answer refined by the
vectors themselves. Lance's defaults probe too little for a recall of 0.95; product quantisation (IVF_PQ) of float16
takes hours. A reader that is in the middle of a question keeps the version of the table it began with.
"""

from __future__ import annotations

from typing import Any

# Reading every vector is as quick up to here, and exact.
INDEX_FROM = 50_000
_NAME = "vector_idx"
_PARTITION = 4_096  # vectors in one, as Lance makes them by default
_PROBED, _FEWEST_PROBED = 0.4, 20
_REFINED, _REFINED_AT_LEAST = 400, 2
_DEEP = 10_000  # so many answers are not worth an index
_FEW = 50_000  # so few photos among which to search are read one by one
# Rows outside the index are read one by one: extend it when they are many, begin anew when extended often.
_MOST_OUTSIDE, _MOST_PARTS = 0.05, 8


def keep_index(table: Any, rows: int) -> bool:
    """Build, extend or rebuild the index of a LanceDB table of vectors where it pays. Says whether it changed."""
    from lancedb.index import IvfRq

    if rows < INDEX_FROM:
        return False
    stats = table.index_stats(_NAME)
    if stats is None or (stats.num_indices or 0) > _MOST_PARTS:
        table.create_index("vector", config=IvfRq(distance_type="cosine"), replace=True)
        return True
    if stats.num_unindexed_rows > _MOST_OUTSIDE * rows:
        table.optimize()
        return True
    return False


def how_to_ask(rows: int, limit: int, among: int | None) -> dict[str, Any]:
    """Options of Lance's `nearest` for `limit` answers out of `rows` vectors, or of `among` of them."""
    limit = max(1, min(limit, rows))
    if limit > _DEEP or (among is not None and among <= _FEW):
        return {"k": limit, "use_index": False}
    probes = max(_FEWEST_PROBED, round(_PROBED * rows / _PARTITION))
    return {"k": limit, "nprobes": probes, "refine_factor": max(_REFINED_AT_LEAST, _REFINED // limit)}
