"""How good a ranking is, by the measures that information retrieval uses: recall, nDCG, reciprocal rank.

Relevance is yes or no. What may count neither way is to be taken out of the ranking beforehand (`without`).
Definitions: Manning, Raghavan and Schuetze, "Introduction to Information Retrieval" (2008), chapter 8; discounted
gain as in Jaervelin and Kekaelaeinen (2002) with the base-2 logarithm.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import log2


def without(ranking: Sequence[str], ignored: Collection[str]) -> list[str]:
    """The ranking as if the `ignored` were not there; of one named twice the first counts."""
    return [name for name in dict.fromkeys(ranking) if name not in ignored]


def recall(ranking: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of the relevant among the first `k`; of more than `k` relevant ones, `k` count as all."""
    _check(relevant, k)
    return len(set(ranking[:k]) & set(relevant)) / min(k, len(set(relevant)))


def ndcg(ranking: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Normalised discounted cumulative gain of the first `k`: 1 where all relevant ones come first."""
    _check(relevant, k)
    wanted = set(relevant)
    gain = sum(1 / log2(place + 1) for place, name in enumerate(ranking[:k], 1) if name in wanted)
    return gain / sum(1 / log2(place + 1) for place in range(1, min(k, len(wanted)) + 1))


def reciprocal_rank(ranking: Sequence[str], relevant: Collection[str]) -> float:
    """1 / the place of the first relevant one, 0 where there is none."""
    _check(relevant, 1)
    wanted = set(relevant)
    return next((1 / place for place, name in enumerate(ranking, 1) if name in wanted), 0.0)


def _check(relevant: Collection[str], k: int) -> None:
    if not relevant:
        raise ValueError("a query without relevant photos has no recall; see whether it is answered by none")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
