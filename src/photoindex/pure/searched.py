"""A search for near hashes that goes on from an earlier one: only what is new is compared with everything.

Whether two hashes are near depends on nothing but their bits, so what was found once stays true whatever comes, goes or
changes. Hashes are remembered by their bits, not by the photos that have them: nothing has to be invalidated.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from photoindex.pure.hamming import (
    Bits,
    Distances,
    Indexes,
    bits_between,
    collapse,
    cost_ns,
    different_blocks,
    mixed,
)
from photoindex.pure.threads import in_threads
from photoindex.records import Searched

_ROWS, _COLUMNS = 64, 4096
_ROWS_A_PART = 1 << 10
_NEW_NS = 2.0  # of comparing a new hash with another, where hamming's costs are what they are
# More pairs, on average for each hash, are not remembered: a time lapse is searched again.
_MOST_PAIRS, _MORE_PAIRS = 4, 1 << 16
_REPEATS = 4  # how often a search of all may tell a pair, on average


class Search:
    """A search for all pairs within `threshold` bits of each other.

    `hashes`: uint8 (n, 32). `known`: what an earlier search left, of whatever hashes and threshold. Raises ValueError
    as `hamming.pairs_within` does.
    """

    def __init__(self, hashes: npt.NDArray[np.uint8], threshold: int, known: Searched | None = None) -> None:
        self._words, self._first, self._stars = collapse(hashes, threshold)
        self._threshold, self._known = threshold, known
        self._place = places(known.words, self._words) if known else np.empty(0, np.int64)
        self._new = np.ones(len(self._words), bool)
        self._new[self._place[self._place >= 0]] = False
        self._found: list[Indexes] = []
        self._ended = False

    @property
    def whole(self) -> bool:
        """Whether all is compared with all: nothing is known up to this threshold, or too much is new."""
        if self._known is None or self._known.threshold < self._threshold:
            return True
        n, new = len(self._words), int(self._new.sum())
        return n * new * _NEW_NS >= cost_ns(n, self._threshold)

    def blocks(self) -> Iterator[tuple[Indexes, Distances]]:
        """What `hamming.pair_blocks` tells: index pairs and distances, where a pair may come again."""
        self._found, self._ended, held = [], False, 0
        yield self._stars, np.zeros(len(self._stars), np.uint16)
        for pairs, distances in different_blocks(self._words, self._threshold) if self.whole else self._going_on():
            held += len(pairs)
            if held <= _REPEATS * self._most:
                self._found.append(pairs[:, 0] * len(self._words) + pairs[:, 1])
            yield self._first[pairs], distances
        self._ended = held <= _REPEATS * self._most

    def searched(self) -> Searched | None:
        """What to go on from the next time, after all blocks; None where `known` says as much, or there is too much."""
        knows_all = self._known and self._known.threshold >= self._threshold and not self._new.any()
        if knows_all or not self._ended or self._lost() > self._new.sum():
            return None
        packed = np.unique(np.concatenate([np.empty(0, np.int64), *self._found]))
        if len(packed) > self._most:
            return None
        pairs = np.stack(np.divmod(packed, max(len(self._words), 1)), axis=1)
        return Searched(self._words, pairs, self._threshold)

    def _lost(self) -> int:
        """How many known hashes are not searched, or not as widely: it is a narrower search, not that they are gone."""
        if self._known is None:
            return 0
        return len(self._place) if self._known.threshold > self._threshold else int((self._place < 0).sum())

    @property
    def _most(self) -> int:
        return _MOST_PAIRS * len(self._words) + _MORE_PAIRS

    def _going_on(self) -> Iterator[tuple[Indexes, Distances]]:
        assert self._known is not None
        pairs = self._place[self._known.pairs]
        yield self._near(*pairs[(pairs >= 0).all(axis=1)].T)
        new = np.flatnonzero(self._new)
        parts = (self._against_all(new[at : at + _ROWS_A_PART]) for at in range(0, len(new), _ROWS_A_PART))
        yield from in_threads(parts)

    def _against_all(self, new: Indexes) -> Iterator[tuple[Indexes, Distances]]:
        """Pairs of these and any other. Half of the bits tell nearly all that are too far apart."""
        for row, j in half_near(self._words[new], self._words, self._threshold):
            i = new[row]
            once = ~self._new[j] | (i < j)
            if once.any():
                yield self._near(i[once], j[once])

    def _near(self, i: Indexes, j: Indexes) -> tuple[Indexes, Distances]:
        distances = bits_between(self._words, i, j)
        kept = distances <= self._threshold
        return np.sort(np.stack([i[kept], j[kept]], axis=1), axis=1), distances[kept]


def half_near(rows: Bits, words: Bits, threshold: int) -> Iterator[tuple[Indexes, Indexes]]:
    """Positions in `rows` and in `words` of hashes that differ by so few bits in their first half, tile by tile."""
    limit, mine, others = min(threshold, 255), rows[:, :2].T, np.ascontiguousarray(words[:, :2].T)
    for top in range(0, len(rows), _ROWS):
        part = np.ascontiguousarray(mine[:, top : top + _ROWS, None])
        for left in range(0, len(words), _COLUMNS):
            tile = others[:, None, left : left + _COLUMNS]
            i, j = np.nonzero(np.bitwise_count(part[0] ^ tile[0]) + np.bitwise_count(part[1] ^ tile[1]) <= limit)
            yield i + top, j + left


def places(known: Bits, words: Bits) -> Indexes:
    """Where in `words` each of `known` is; -1 where it is not (or is taken for new, as two that share a mix may be)."""
    if not len(words):
        return np.full(len(known), -1, np.int64)
    mix = mixed(words)
    order = np.argsort(mix)
    at = np.minimum(np.searchsorted(mix, mixed(known), sorter=order), len(words) - 1)
    found = order[at]
    return np.where((words[found] == known).all(axis=1), found, -1)
