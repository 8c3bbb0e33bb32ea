"""Pairs of photos that share words of their corners (media/keypoints.py): candidates that hashes of the whole miss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Indexes = npt.NDArray[np.int64]

LEAST_VOTES = 3
_LONGEST, _SHORTEST = 32, 28
_COMMON = 24  # a word of more photos than this is a pattern of the world (text, bricks, leaves), no sign of a copy
_MOST_WORDS = 1 << 26  # held at once, 8 bytes each; beyond this each photo brings its strongest words only
_AT_ONCE = 1 << 22


def pairs_by_votes(words: Sequence[bytes], least: int = LEAST_VOTES) -> tuple[Indexes, npt.NDArray[np.int64]]:
    """Index pairs i < j, int64 (m, 2), of photos that share `least` different words and more, and how many (m,).

    `words`: for each photo its words, 4 bytes each, little end first, the strongest first. In small libraries the
    first 28 bits of a word must be equal, which finds more; from 4,000 photos on all 32, which keeps chance out.
    """
    tagged = _tagged(words)
    if len(tagged) < 2:
        return np.empty((0, 2), np.int64), np.empty(0, np.int64)
    n = len(words)
    votes = np.sort(np.concatenate([np.empty(0, np.int64), *_shared(tagged, n)]))
    first = np.flatnonzero(np.concatenate([[True], votes[1:] != votes[:-1]])) if len(votes) else np.empty(0, np.int64)
    count = np.diff(first, append=len(votes))
    enough = count >= least
    return np.stack(np.divmod(votes[first[enough]], n), axis=1), count[enough]


class WordIndex:
    """The words of many photos, to ask which of them share words with another."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self._bits = _word_bits(len(words))
        tagged = _tagged(words)
        self._words, self._photos = tagged >> np.uint64(32), (tagged & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def votes(self, words: bytes) -> list[tuple[int, int]]:
        """Photos (their positions) that share words with these, with how many, the most first."""
        mine = np.unique(np.frombuffer(words, "<u4").astype(np.uint64) >> np.uint64(_LONGEST - self._bits))
        start, end = (np.searchsorted(self._words, mine, side=side) for side in ("left", "right"))
        rare = (end > start) & (end - start <= _COMMON)
        met = [self._photos[a:b] for a, b in zip(start[rare], end[rare], strict=True)]
        if not met:
            return []
        photos, count = np.unique(np.concatenate(met), return_counts=True)
        order = np.argsort(-count, kind="stable")
        return list(zip(photos[order].tolist(), count[order].tolist(), strict=True))


def _word_bits(photos: int) -> int:
    return min(_LONGEST, max(_SHORTEST, 20 + photos.bit_length()))


def _tagged(words: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """Every different word of every photo as word << 32 | photo, sorted."""
    most = 4 * max(1, _MOST_WORDS // max(1, len(words)))
    counts = [min(len(mine), most) // 4 for mine in words]
    flat = np.frombuffer(b"".join(mine[:most] for mine in words), "<u4").astype(np.uint64)
    flat >>= np.uint64(_LONGEST - _word_bits(len(words)))
    flat <<= np.uint64(32)
    flat |= np.repeat(np.arange(len(words), dtype=np.uint64), counts)
    flat.sort()
    return flat[np.concatenate([[True], flat[1:] != flat[:-1]])] if len(flat) else flat


def _shared(tagged: npt.NDArray[np.uint64], n: int) -> Iterator[npt.NDArray[np.int64]]:
    """A vote i * n + j for each word that two photos share."""
    word, photo = tagged >> np.uint64(32), (tagged & np.uint64(0xFFFFFFFF)).astype(np.int64)
    start = np.flatnonzero(np.concatenate([[True], word[1:] != word[:-1]]))
    count = np.diff(start, append=len(tagged))
    start, count = start[(count > 1) & (count <= _COMMON)], count[(count > 1) & (count <= _COMMON)]
    for size in np.unique(count):
        rows = start[count == size]
        i, j = np.triu_indices(int(size), 1)
        for at in range(0, len(rows), max(1, _AT_ONCE // len(i))):
            mine = rows[at : at + max(1, _AT_ONCE // len(i)), None]
            yield (photo[mine + i] * n + photo[mine + j]).ravel()
