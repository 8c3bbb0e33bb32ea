"""A search for hashes that meet another's turned and mirrored forms, which goes on from an earlier one as
`searched.Search` does: whether two meet depends on nothing but their bits.

Turning a hash moves and flips its bits and keeps every distance: the distance of n to the turned a is that of a to n
turned back. So the forms of what is new are compared with all as they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photoindex.pure.hamming import Bits, Indexes, collapse, pairs_between
from photoindex.pure.searched import half_near, places
from photoindex.pure.turns import INVERSE, TOLD, turned_hashes
from photoindex.records import Searched

# What a hash costs in a search of all, and one new hash compared with another in one form. Only their ratio matters.
_HASH_NS, _NEW_NS = 180.0, 3.3
_MOST_PAIRS, _MORE_PAIRS = 4, 1 << 16  # more, on average for each hash, are not remembered


class TurnedSearch:
    """A search for all pairs of which the second, turned, is within `threshold` bits of the first.

    `hashes`: uint8 (n, 32), as `turns.turn_hash` makes them. `known`: what an earlier search left, of whatever hashes.
    Raises ValueError as `hamming.pairs_between` does.
    """

    def __init__(self, hashes: npt.NDArray[np.uint8], threshold: int, known: Searched | None = None) -> None:
        self._words, self._first, _ = collapse(hashes, threshold)
        self._hashes, self._threshold = hashes[self._first], threshold
        # Of another threshold, or without turns as another program may have left it, it says nothing.
        self._known = known if known and known.turns is not None and known.threshold == threshold else None
        self._place = places(self._known.words, self._words) if self._known else np.empty(0, np.int64)
        self._new = np.ones(len(self._words), bool)
        self._new[self._place[self._place >= 0]] = False
        self._found: dict[int, Indexes] = {}

    @property
    def whole(self) -> bool:
        """Whether all is compared with all: nothing is known, or too much is new."""
        compared = (len(TOLD) + 1) * int(self._new.sum()) * _NEW_NS
        return self._known is None or compared >= len(TOLD) * (self._threshold + 1) * _HASH_NS

    def pairs(self) -> dict[int, Indexes]:
        """For each of `turns.TOLD` the pairs, int64 (m, 2), rising: what `pairs_between(hashes, turned)` tells."""
        n = max(len(self._words), 1)
        for turn in TOLD:
            if self.whole:
                found, _ = pairs_between(self._hashes, turned_hashes(self._hashes, turn), self._threshold)
            else:
                found = np.concatenate([self._before(turn), self._of_new(turn)])
            packed = np.unique(found[:, 0] * n + found[:, 1])
            self._found[turn] = np.stack(np.divmod(packed, n), axis=1)
        return {turn: self._first[pairs] for turn, pairs in self._found.items()}

    def searched(self) -> Searched | None:
        """What to go on from the next time, after `pairs`; None where `known` says as much, this was a search among
        fewer, or there is too much."""
        lost, pairs = int((self._place < 0).sum()), [self._found[turn] for turn in TOLD if turn in self._found]
        if not pairs or lost > self._new.sum() or (self._known and not self._new.any()):
            return None
        every = np.concatenate(pairs)
        if len(every) > _MOST_PAIRS * len(self._words) + _MORE_PAIRS:
            return None
        turns = np.repeat(np.array(TOLD, np.uint8), [len(part) for part in pairs])
        return Searched(self._words, every, self._threshold, turns)

    def _before(self, turn: int) -> Indexes:
        """Known pairs of which both hashes are still there."""
        assert self._known is not None
        assert self._known.turns is not None
        pairs: Indexes = self._place[self._known.pairs[self._known.turns == turn]]
        pairs = pairs[(pairs >= 0).all(axis=1)]
        forms = _words(turned_hashes(self._hashes[pairs[:, 1]], turn))
        met: Indexes = pairs[_bits(self._words[pairs[:, 0]], forms) <= self._threshold]
        return met

    def _of_new(self, turn: int) -> Indexes:
        """Pairs of a new hash and any, in both orders."""
        new = np.flatnonzero(self._new)
        met, of = self._near(turned_hashes(self._hashes[new], turn))
        as_second = np.stack([met, new[of]], axis=1)
        if INVERSE[turn] != turn:
            met, of = self._near(turned_hashes(self._hashes[new], INVERSE[turn]))
        return np.concatenate([as_second, np.stack([new[of], met], axis=1)])

    def _near(self, forms: npt.NDArray[np.uint8]) -> tuple[Indexes, Indexes]:
        """Positions of hashes within the threshold of these, and which of these they are near to."""
        rows = _words(forms)
        met, of = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for i, j in half_near(rows, self._words, self._threshold):
            close = _bits(rows[i], self._words[j]) <= self._threshold
            of.append(i[close])
            met.append(j[close])
        return np.concatenate(met), np.concatenate(of)


def _words(hashes: npt.NDArray[np.uint8]) -> Bits:
    words: Bits = np.ascontiguousarray(hashes).view(">u8").astype(np.uint64)
    return words


def _bits(one: Bits, other: Bits) -> Indexes:
    """Bits that differ between each two, (m,)."""
    bits: Indexes = np.bitwise_count(one ^ other).sum(axis=1, dtype=np.int64)
    return bits
