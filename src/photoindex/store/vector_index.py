"""When a table of vectors is worth an index, and how the index is asked.

IVF_RQ (RaBitQ codes, Gao and Long 2024, in partitions of about 4,096 vectors) with the codes' answer refined by the
vectors themselves. Lance's defaults probe too little for a recall of 0.95; product quantisation (IVF_PQ) of float16
takes hours. A reader that is in the middle of a question keeps the version of the table it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.store.among import Ids, best_among, rows_of

Scored = list[tuple[int, float]]
# Reading every vector is as quick up to here, and exact.
INDEX_FROM = 25_000
_NAME = "vector_idx"
_PARTITION = 4_096  # vectors in one, as Lance makes them by default
# Codes are quick to compare: all of them up to so many partitions (1.2 million vectors), then the nearest of them.
_ALL_PROBED, _PROBED = 300, 0.4
# So many of the best by their codes are compared by their vectors, which are far away on the disk: what takes the time.
_REFINED, _REFINED_OF_MANY, _MANY, _REFINED_AT_LEAST = 400, 1_000, 300_000, 2
_DEEP = 10_000  # so many answers are not worth an index
FEW = 2_000  # the vectors of so few photos are read by id
# Rows outside the index are read one by one: extend it when they are many, begin anew when extended often.
_MOST_OUTSIDE, _MOST_PARTS = 0.05, 8


def keep_index(table: Any, rows: int, doing: Callable[[str], None] = lambda _: None) -> bool:
    """Build, extend or rebuild the index of a LanceDB table of vectors where it pays. Says whether it changed; `doing`
    is told before, as it takes minutes for a million."""
    from lancedb.index import IvfRq

    if rows < INDEX_FROM:
        return False
    stats = table.index_stats(_NAME)
    if stats is None or (stats.num_indices or 0) > _MOST_PARTS:
        doing("index the vectors")
        table.create_index("vector", config=IvfRq(distance_type="cosine"), replace=True)
        return True
    if stats.num_unindexed_rows > _MOST_OUTSIDE * rows:
        doing("index the new vectors")
        table.optimize()
        return True
    return False


def nearest(dataset: Any, query: npt.NDArray[np.float32], limit: int, among: Ids | None = None) -> Scored:
    """Photos of a Lance dataset of vectors by cosine similarity to `query` (width,), best first: at most `limit`, and
    only those of the sorted ids `among` where these are given."""
    rows = dataset.count_rows()
    limit = max(1, min(limit, rows))
    if among is None:
        return _scored(_asked(dataset, query, how_to_ask(rows, limit)))
    if len(among) <= FEW:
        return _exact(dataset, query, among.tolist(), limit)
    if rows < INDEX_FROM or limit > _DEEP:
        return _scored(best_among(lambda k: _asked(dataset, query, _one_by_one(k)), among, limit, rows))
    # The codes alone give the order roughly, and cost little however many are asked for; the best are looked at again.
    read = max(_REFINED_AT_LEAST * limit, _refined(rows))
    roughly = {"nprobes": _probes(rows)}
    found = best_among(lambda k: _asked(dataset, query, {"k": k, **roughly}), among, read, rows)
    return _exact(dataset, query, found["id"].to_pylist(), limit)


def how_to_ask(rows: int, limit: int) -> dict[str, Any]:
    """Options of Lance's `nearest` for `limit` answers out of `rows` vectors."""
    limit = max(1, min(limit, rows))
    if limit > _DEEP:
        return _one_by_one(limit)
    refine = max(_REFINED_AT_LEAST, -(-_refined(rows) // limit))
    return {"k": limit, "nprobes": _probes(rows), "refine_factor": refine}


def _one_by_one(limit: int) -> dict[str, Any]:
    return {"k": limit, "use_index": False}


def _probes(rows: int) -> int:
    partitions = -(-rows // _PARTITION)
    return max(min(partitions, _ALL_PROBED), round(_PROBED * partitions))


def _refined(rows: int) -> int:
    return _REFINED if rows < _MANY else _REFINED_OF_MANY


def _asked(dataset: Any, query: npt.NDArray[np.float32], how: dict[str, Any]) -> Any:
    nearest = {"column": "vector", "q": query, "metric": "cosine", **how}
    return dataset.scanner(columns=["id", "_distance"], nearest=nearest).to_table()


def _scored(found: Any) -> Scored:
    scores = 1.0 - found["_distance"].to_numpy()
    return list(zip(found["id"].to_pylist(), scores.tolist(), strict=True))


def _exact(dataset: Any, query: npt.NDArray[np.float32], photo_ids: Sequence[int], limit: int) -> Scored:
    """By the vectors themselves, of these photos."""
    if not photo_ids:
        return []
    found = rows_of(dataset, photo_ids, ["id", "vector"])
    matrix = found["vector"].combine_chunks().flatten().to_numpy().reshape(-1, len(query)).astype(np.float32)
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(query)
    scores = matrix @ query / np.maximum(lengths, 1e-12)
    best = np.argsort(-scores, kind="stable")[:limit]
    return list(zip(found["id"].to_numpy()[best].tolist(), scores[best].tolist(), strict=True))
