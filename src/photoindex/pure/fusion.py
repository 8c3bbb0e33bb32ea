"""One ranking out of several: reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum


def reciprocal_rank_fusion(
    lists: Mapping[str, Sequence[int]], k: int = 60, weights: Mapping[str, float] | None = None
) -> list[tuple[int, float]]:
    """Ids with their fused score, best first: the sum of weight / (k + rank) over the lists that hold the id.

    Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods" (2009). `lists`: ids by the list's name, best first (rank 1); of an id told twice in a list the first
    counts. `weights` by list name, 1 where absent; a list of weight 0 adds nothing, not even its ids. Ties keep the
    order in which the lists first name the ids. Raises ValueError for a negative k or weight, or an unknown list.
    """
    weights = weights or {}
    unknown = sorted(weights.keys() - lists.keys())
    if unknown:
        raise ValueError(f"no list is called {unknown[0]!r}; there are {', '.join(lists)}")
    if k < 0 or any(weight < 0 for weight in weights.values()):
        raise ValueError("k and the weights must not be negative")
    parts: dict[int, list[float]] = {}
    for name, ids in lists.items():
        weight = weights.get(name, 1.0)
        for rank, photo_id in enumerate(dict.fromkeys(ids) if weight else (), start=1):
            parts.setdefault(photo_id, []).append(weight / (k + rank))
    # fsum: the sum must not depend on the order of the lists, or equal photos would not tie.
    scores = [(photo_id, fsum(terms)) for photo_id, terms in parts.items()]
    return sorted(scores, key=lambda scored: -scored[1])
