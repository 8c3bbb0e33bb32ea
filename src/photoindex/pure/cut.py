"""Where a list of nearest vectors stops being an answer: a cut for each query, by what unrelated queries reach.

A fixed least cosine does not work: how near a text comes to any picture at all differs from model to model, from
library to library and from text to text. So some hundred everyday words are encoded once for each model, and for each
of them is remembered how near the library's nearest photo is. Most of those words are about nothing in the library,
some are; the two groups lie apart, and where they part is the least that an answer must reach.
The score of a query is its cosine less half its mean cosine over the library, which takes away most of what differs
from text to text (the full mean would punish what half of the library shows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
# Texts nearer to each other than this are one to the model; where four everyday words are, it understands none.
_SAME, _CROWD = 0.98, 4
_FEWEST = 8  # words from which two groups can be told
_ROUNDS = 200
# A photo is kept while its score is this far up from the query's mean to its best.
_NEAR_THE_BEST = 0.75
_APART, _SMALLEST_GROUP = 2.0, 0.05
_LEAST_SPREADS, _MOST_SPREADS = 1.0, 3.0


@dataclass(frozen=True, slots=True)
class Level:
    """What unrelated queries reach in a library: `mean` and `spread` of their best scores, and the `least` that a
    related one must reach."""

    mean: float
    spread: float
    least: float

    def distance(self, score: float) -> float:
        """How many spreads a score lies above what unrelated queries reach."""
        return (score - self.mean) / self.spread


@dataclass(frozen=True, slots=True)
class Cut:
    """`kept`: how many of the nearest are an answer. `best`: the score of the nearest; `understood` is false for a
    text that the model cannot tell from unrelated ones."""

    kept: int
    best: float
    last: float
    understood: bool = True


def telling(vectors: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of the texts (n, width) the model understands: not those that lie in a crowd of unrelated ones."""
    alike = (vectors @ vectors.T > _SAME).sum(1)
    return np.asarray(alike < _CROWD)


def understood(query: FloatArray, crowd: FloatArray) -> bool:
    """Whether a text (width,) means more to the model than the texts that mean nothing to it (n, width)."""
    return not len(crowd) or bool((crowd @ query).max() <= _SAME)


def level(reached: npt.NDArray[np.floating]) -> Level | None:
    """The level from the best scores (n,) of everyday words, or None where there are too few of them.

    Two normal distributions fitted by expectation maximisation; `least` is where a score is as likely from the
    upper as from the lower. Where the groups do not part, everything counts as unrelated.
    """
    values = np.sort(np.asarray(reached, np.float64))
    if len(values) < _FEWEST:
        return None
    shares, means, spreads = _two_groups(values)
    if (means[1] - means[0]) < _APART * spreads.mean() or shares.min() < _SMALLEST_GROUP:
        mean, spread = float(values.mean()), float(values.std()) or 1e-6
        return Level(mean, spread, mean + _MOST_SPREADS * spread)
    grid = np.linspace(means[0], means[1], 512)
    odds = _density(grid, shares, means, spreads)
    above = grid[odds[1] >= odds[0]]
    parted = float(above[0]) if len(above) else float(means[1])
    lower, spread = float(means[0]), float(spreads[0])
    return Level(lower, spread, float(np.clip(parted, lower + _LEAST_SPREADS * spread, lower + _MOST_SPREADS * spread)))


def cut(scores: Sequence[float], base: float, level: Level) -> Cut:
    """How many of the nearest photos answer a query. `scores`: their cosines, best first; `base`: the query's mean
    cosine over the library."""
    if not scores:
        return Cut(0, 0.0, level.least)
    values = np.asarray(scores, np.float64) - base / 2
    best = float(values[0])
    floor = base / 2  # the score of the average photo
    last = min(level.least, floor + _NEAR_THE_BEST * (best - floor))
    if best < level.least:
        return Cut(0, best, level.least)
    return Cut(int((values >= last).sum()), best, last)


def _two_groups(values: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Shares, means and spreads, each (2,), lower group first. `values` are in order."""
    narrowest = max(float(values.std()) * 0.05, 1e-6)
    # Quantiles of what is in order already: np.quantile takes longer to import than all of this.
    means = np.asarray(np.interp([0.25, 0.9], np.linspace(0, 1, len(values)), values), np.float64)
    spreads: Doubles = np.full(2, max(float(values.std()) / 2, narrowest))
    shares: Doubles = np.array([0.7, 0.3])
    for _ in range(_ROUNDS):
        density = _density(values, shares, means, spreads)
        belongs = density / np.maximum(density.sum(0), 1e-300)
        mass = np.maximum(belongs.sum(1), 1e-9)
        before, shares, means = means, mass / len(values), (belongs @ values) / mass
        variance = (belongs * (values - means[:, None]) ** 2).sum(1) / mass
        spreads = np.maximum(np.sqrt(variance), narrowest)
        if np.abs(means - before).max() < 0.02 * narrowest:
            break
    order = np.argsort(means)
    return shares[order], means[order], spreads[order]


def _density(
    values: Doubles,
    shares: Doubles,
    means: Doubles,
    spreads: Doubles,
) -> Doubles:
    z = (values[None] - means[:, None]) / spreads[:, None]
    found: Doubles = (shares / spreads)[:, None] * np.exp(-0.5 * z * z)
    return found
