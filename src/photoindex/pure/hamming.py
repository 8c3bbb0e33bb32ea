"""All pairs of 256-bit hashes within a Hamming distance, exactly: multi-index hashing.

Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with multi-index hashing" (2014). The bits are
cut into m bands. Hashes within `threshold` differ by at most 2r bits in one band at least once
m * (2r + 1) > threshold (pigeonhole). Two bands that differ by at most 2r bits meet half way: flipping up to
r bits of each gives a common value, so sorting the flipped values brings every such pair together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb

import numpy as np
import numpy.typing as npt

from photoindex.pure.threads import in_threads

Bits = npt.NDArray[np.uint64]
Indexes = npt.NDArray[np.int64]
Distances = npt.NDArray[np.uint16]

BITS = 256
_KEY_BITS = 32  # a key and an index share 64 bits, so that one plain sort orders both
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)
_KEYS_AT_ONCE = 1 << 23
_PAIRS_AT_ONCE = 1 << 17
_WORTH_THREADS = 20_000
_ROWS, _COLUMNS = 64, 4096  # a tile of brute force stays within the processor's cache
_SORT_NS, _CHECK_NS, _BRUTE_NS = 100.0, 25.0, 5.0  # a key, a candidate pair, a pair; only their ratios matter


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to search: `bands` bands in which each side flips up to `radius` bits; None bands is brute force."""

    bands: int | None
    radius: int = 0


def pairs_within(hashes: npt.NDArray[np.uint8], threshold: int) -> tuple[Indexes, Distances]:
    """Every pair of hashes at most `threshold` bits apart, none missed, none twice.

    `hashes`: uint8 of shape (n, 32). Returns index pairs i < j, int64 of shape (m, 2) in rising order, and their
    distances, uint16 of shape (m,). Equal hashes are told as a star: each is paired with the first of its kind at
    distance 0, and only that first one is paired with others, so 3,000 equal frames give 2,999 pairs and not
    4.5 million. Raises ValueError for another shape or dtype, or a threshold outside 0 to 256.
    """
    words, first, stars = _collapse(hashes, threshold)
    packed = _without_repeats(_pack(pairs, far, len(words)) for pairs, far in _blocks(words, threshold))
    pairs, distances = _unpack(packed, len(words))
    pairs = np.concatenate([first[pairs], stars])
    distances = np.concatenate([distances, np.zeros(len(stars), np.uint16)])
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], distances[order]


def pair_blocks(hashes: npt.NDArray[np.uint8], threshold: int) -> Iterator[tuple[Indexes, Distances]]:
    """What `pairs_within` returns, in blocks of bounded size and no order, where a pair may come again.

    For callers that need no list of all pairs: a time lapse of 20,000 frames has 200 million of them.
    """
    words, first, stars = _collapse(hashes, threshold)
    yield stars, np.zeros(len(stars), np.uint16)
    for pairs, distances in _blocks(words, threshold):
        yield first[pairs], distances


def pairs_between(
    hashes: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8], threshold: int
) -> tuple[Indexes, Distances]:
    """Every pair of one of `hashes` and one of `others` at most `threshold` bits apart, none missed, none twice.

    Both uint8, of shapes (n, 32) and (m, 32). Returns pairs (index, index of the other), int64 of shape (k, 2) in
    rising order, and their distances. Of equal hashes on one side only the first is told. Raises ValueError as
    `pairs_within` does. Bands that must be equal: meant for thresholds up to some 20 bits.
    """
    words, first, _ = _collapse(hashes, threshold)
    other_words, other_first, _ = _collapse(others, threshold)
    n, m = len(words), len(other_words)
    both = np.concatenate([words, other_words])

    def near() -> Iterator[Bits]:
        for i, j in _between(both, n, threshold) if n and m else ():
            far = _distances(both, i, j)
            kept = far <= threshold
            yield _pack(np.stack([i[kept], j[kept] - n], axis=1), far[kept], m)

    pairs, distances = _unpack(_without_repeats(near()), m)
    pairs = np.stack([first[pairs[:, 0]], other_first[pairs[:, 1]]], axis=1)
    return pairs, distances


def _between(both: Bits, n: int, threshold: int) -> Iterator[tuple[Indexes, Indexes]]:
    """Positions i < n <= j of hashes that are equal in one band or more of the threshold + 1."""
    edges = [BITS * band // (threshold + 1) for band in range(threshold + 2)]
    for start, stop in pairwise(edges):
        tagged = _tagged(_bits(both, start, min(stop - start, _KEY_BITS)))
        tagged.sort()
        order, keys = _index(tagged), tagged >> np.uint64(_KEY_BITS)
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        length = np.diff(starts, append=len(keys))
        # Within a run of equal keys the positions rise, so those of the first side come first.
        mine = np.add.reduceat((order < n).astype(np.int64), starts)
        crossed = np.flatnonzero((mine > 0) & (mine < length))
        for run, left in _ranges(starts[crossed], mine[crossed]):
            at = crossed[run]
            for one, right in _ranges(starts[at] + mine[at], length[at] - mine[at]):
                yield order[left[one]], order[right]


def _collapse(hashes: npt.NDArray[np.uint8], threshold: int) -> tuple[Bits, Indexes, Indexes]:
    """The different hashes as words (u, 4), the index where each is first met (rising), and the stars of equals."""
    if hashes.dtype != np.uint8 or hashes.ndim != 2 or hashes.shape[1] != BITS // 8:
        raise ValueError(f"hashes must be uint8 of shape (n, 32), not {hashes.dtype} of shape {hashes.shape}")
    if not 0 <= threshold <= BITS:
        raise ValueError(f"the threshold must be from 0 to {BITS} bits, not {threshold}")
    words = np.ascontiguousarray(hashes).view(">u8").astype(np.uint64)
    # One sort of a mix of the four words; should two hashes share a mix, both are kept and compared as others are.
    mix = (words * _MIX).sum(axis=1, dtype=np.uint64)
    order = np.argsort(mix, kind="stable")  # stable: the first of a run of equals has the lowest index
    ordered = words.take(order, axis=0)
    starts = np.ones(len(words), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    centre = order[starts][np.cumsum(starts) - 1]
    stars = np.stack([centre[~starts], order[~starts]], axis=1)
    first = np.sort(order[starts])
    return words[first], first, stars


def _blocks(words: Bits, threshold: int) -> Iterator[tuple[Indexes, Distances]]:
    """Index pairs i < j of different words within `threshold`, with distances; the same pair may come again."""
    if len(words) < 2:
        return
    plan = _plan(len(words), threshold, _near_share(words, threshold))

    def near(candidates: Iterator[tuple[Indexes, Indexes]]) -> Iterator[tuple[Indexes, Distances]]:
        for i, j in candidates:
            distances = _distances(words, i, j)
            kept = distances <= threshold
            if kept.any():
                yield np.sort(np.stack([i[kept], j[kept]], axis=1), axis=1), distances[kept]

    if plan.bands is None:
        yield from near(_all_pairs(words, threshold))
    elif len(words) < _WORTH_THREADS:
        yield from (block for band in _candidates(words, plan) for block in near(band))
    else:
        yield from in_threads(near(band) for band in _candidates(words, plan))


def _distances(words: Bits, i: Indexes, j: Indexes) -> Distances:
    """Bits that differ between words[i] and words[j], uint16: 256 does not fit a byte.

    `take` and adding columns are an eighth and a tenth of the time of fancy indexing and of a sum over rows.
    """
    count = np.bitwise_count(words.take(i, axis=0) ^ words.take(j, axis=0))
    total: Distances = count[:, 0].astype(np.uint16)
    for word in range(1, count.shape[1]):
        total += count[:, word]
    return total


def _near_share(words: Bits, threshold: int) -> float:
    """The share of pairs that are near, from a sample: high where a time lapse fills the library."""
    rows, others = (np.arange(0, len(words), max(1, len(words) // most)) for most in (64, 4096))
    i, j = np.repeat(rows, len(others)), np.tile(others, len(rows))
    near = _distances(words, i, j) <= threshold
    return float(near[i != j].mean())


def _plan(n: int, threshold: int, near_share: float = 0.0) -> _Plan:
    """The cheapest way by a rough count of keys to sort and pairs to check.

    Hashes are taken to be spread evenly but for the near pairs, which every band meets anew.
    """
    pairs = n * n / 2
    best, cost = _Plan(None), pairs * _BRUTE_NS
    for radius in range(4):
        bands = threshold // (2 * radius + 1) + 1
        width = min(BITS // bands, _KEY_BITS)
        keys = n * sum(comb(width, flips) for flips in range(min(radius, width) + 1))
        met = keys * keys / 2 ** (width + 1) + pairs * near_share * (1 + 2 * radius)
        mine = bands * (keys * _SORT_NS + met * _CHECK_NS)
        if width > 2 * radius and mine < cost:
            best, cost = _Plan(bands, radius), mine
    return best


def _all_pairs(words: Bits, threshold: int) -> Iterator[tuple[Indexes, Indexes]]:
    """Brute force in tiles. Counts in uint8 wrap at 256, which only adds candidates for the caller to check."""
    limit = min(threshold, 255)
    columns = np.ascontiguousarray(words.T)
    for top in range(0, len(words), _ROWS):
        for left in range(top, len(words), _COLUMNS):
            rows, others = columns[:, top : top + _ROWS, None], columns[:, None, left : left + _COLUMNS]
            count = np.bitwise_count(rows[0] ^ others[0])
            for word in range(1, len(columns)):
                count += np.bitwise_count(rows[word] ^ others[word])
            i, j = np.nonzero(count <= limit)
            i, j = i + top, j + left
            yield i[i < j], j[i < j]


def _candidates(words: Bits, plan: _Plan) -> Iterator[Iterator[tuple[Indexes, Indexes]]]:
    """For each band the pairs within 2 * radius bits of each other in it, computed when they are asked for."""
    assert plan.bands is not None
    edges = [BITS * band // plan.bands for band in range(plan.bands + 1)]
    for start, stop in pairwise(edges):
        yield _of_band(words, start, min(stop - start, _KEY_BITS), plan.radius)  # a part has no more flips than all


def _of_band(words: Bits, start: int, width: int, radius: int) -> Iterator[tuple[Indexes, Indexes]]:
    yield from _band(_bits(words, start, width), width, radius)


def _band(keys: Bits, width: int, radius: int) -> Iterator[tuple[Indexes, Indexes]]:
    """Pairs whose keys are at most 2 * radius bits apart.

    Equal keys are gathered first: the frames of a time lapse would otherwise meet at every flip of the key they share.
    """
    tagged = _tagged(keys)
    tagged.sort()
    order, ordered = _index(tagged), tagged >> np.uint64(_KEY_BITS)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    count = np.diff(first, append=len(keys))
    after = np.arange(1, len(keys) + 1)
    for one, other in _ranges(after, np.repeat(first + count, count) - after):
        yield order[one], order[other]
    for flipped in _flipped_keys(ordered[first], width, radius) if radius else ():
        flipped.sort()
        for a, b in _equal_keys(flipped):
            for pair, left in _ranges(first[a], count[a]):
                for one, right in _ranges(first[b[pair]], count[b[pair]]):
                    yield order[left[one]], order[right]


def _ranges(start: Indexes, length: Indexes) -> Iterator[tuple[Indexes, Indexes]]:
    """Every position of many ranges with the number of its range, some _PAIRS_AT_ONCE (or one range) at a time."""
    ends, done = np.cumsum(length), 0
    while done < len(length):
        before = int(ends[done - 1]) if done else 0
        stop = max(done + 1, int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, side="right")))
        number = np.repeat(np.arange(done, stop), length[done:stop])
        yield number, start[number] + np.arange(before, before + len(number)) - (ends - length)[number]
        done = stop


def _bits(words: Bits, start: int, width: int) -> Bits:
    """Bits start to start + width (at most 32) of each hash, counted from the most significant, as numbers."""
    word, offset = divmod(start, 64)
    spill = offset + width - 64
    if spill <= 0:
        key = words[:, word] >> np.uint64(-spill)
    else:
        key = (words[:, word] << np.uint64(spill)) | (words[:, word + 1] >> np.uint64(64 - spill))
    return key & np.uint64((1 << width) - 1)


def _flipped_keys(keys: Bits, width: int, radius: int) -> Iterator[Bits]:
    """Each key with every choice of up to `radius` bits flipped, as key << 32 | index; equal keys in one block.

    Where there are too many for one block, a block takes those whose lowest bits have one value.
    """
    masks = [sum(1 << bit for bit in bits) for r in range(radius + 1) for bits in combinations(range(width), r)]
    low_bits = min(width, max(0, (len(keys) * len(masks) - 1) // _KEYS_AT_ONCE).bit_length())
    low = (1 << low_bits) - 1
    tags = _tagged(keys)
    by_low = [tags[keys & np.uint64(low) == np.uint64(value)] for value in range(low + 1)]
    for part in range(low + 1):
        yield np.concatenate([by_low[part ^ (mask & low)] ^ np.uint64(mask << _KEY_BITS) for mask in masks])


def _equal_keys(tagged: Bits) -> Iterator[tuple[Indexes, Indexes]]:
    """Index pairs of every two entries with the same key, from sorted key << 32 | index."""
    apart, one_key = 1, np.uint64(1 << _KEY_BITS)
    at = np.flatnonzero((tagged[1:] ^ tagged[:-1]) < one_key)
    while len(at):
        for k in range(0, len(at), _PAIRS_AT_ONCE):
            here = at[k : k + _PAIRS_AT_ONCE]
            yield _index(tagged[here]), _index(tagged[here + apart])
        apart += 1
        at = at[at < len(tagged) - apart]
        at = at[(tagged[at] ^ tagged[at + apart]) < one_key]


def _tagged(keys: Bits) -> Bits:
    return keys << np.uint64(_KEY_BITS) | np.arange(len(keys), dtype=np.uint64)


def _index(tagged: Bits) -> Indexes:
    return (tagged & np.uint64((1 << _KEY_BITS) - 1)).astype(np.int64)


def _pack(pairs: Indexes, distances: Distances, n: int) -> Bits:
    """A pair and its distance as one number that sorts by pair; n below 2 ** 27 keeps it within 64 bits."""
    pair = pairs[:, 0].astype(np.uint64) * np.uint64(n) + pairs[:, 1].astype(np.uint64)
    return pair << np.uint64(9) | distances.astype(np.uint64)


def _unpack(packed: Bits, n: int) -> tuple[Indexes, Distances]:
    pair = (packed >> np.uint64(9)).astype(np.int64)
    return np.stack(np.divmod(pair, max(n, 1)), axis=1), (packed & np.uint64(511)).astype(np.uint16)


def _without_repeats(blocks: Iterator[Bits]) -> Bits:
    """The different numbers of all blocks, sorted; repeats are dropped on the way so that they cost no memory."""
    kept, waiting, held = np.empty(0, np.uint64), list[Bits](), 0
    for block in blocks:
        waiting.append(block)
        held += len(block)
        if held > max(len(kept), _KEYS_AT_ONCE):
            kept, waiting, held = np.unique(np.concatenate([kept, *waiting])), [], 0
    return np.unique(np.concatenate([kept, *waiting]))
