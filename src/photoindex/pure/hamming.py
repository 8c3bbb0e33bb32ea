"""All pairs of 256-bit hashes within a Hamming distance, exactly: multi-index hashing.

The bits are cut into bands; band i may differ by up to t_i bits, and the t_i + 1 add up to threshold + 1. Around the
circle of bands, d_i - (t_i + 1) then adds up to less than nothing for hashes within the threshold, so from some band on
every partial sum is below nothing: d_i <= t_i there, and d_i + d_(i+1) <= t_i + t_(i+1) + 1 for it and the next
(Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with multi-index hashing", 2014; Qin and Xiao,
"Pigeonring", 2018). Pairs that fulfil the first are met by their band, the second drops nearly all that met by chance.

Pairs are met without sorting flipped keys: a bitmap says which of the 2^width values of a band occur, and one AND of
the bitmap with itself, its parts exchanged, tells all values that occur together with their neighbour by some bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise
from math import comb

import numpy as np
import numpy.typing as npt

from photoindex.pure.threads import in_threads

Bits = npt.NDArray[np.uint64]
Indexes = npt.NDArray[np.int64]
Distances = npt.NDArray[np.uint16]
_Places = npt.NDArray[np.uint32]

BITS = 256
_KEY_BITS = 32  # a key and an index share 64 bits, so that one plain sort orders both
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)
_NUMBERS_AT_ONCE = 1 << 23
_PAIRS_AT_ONCE = 1 << 17
_WORTH_THREADS = 20_000
_ROWS, _COLUMNS = 64, 4096  # a tile of brute force stays within the processor's cache
_MOST_FLIPS = 2
_LEAST_TABLE_BITS, _MOST_TABLE_BITS = 6, 25  # of a band with flips; its table takes 4 bytes for each value
_BITS_A_FLIP = 3  # by which a band that may differ by one bit more should be wider
# What a key, a candidate pair, a value of a bitmap, a pass over one, and a pair by brute force cost. Only their ratios
# matter.
_SORT_NS, _CHECK_NS, _VALUE_NS, _PASS_NS, _BRUTE_NS = 150.0, 20.0, 0.05, 60_000.0, 5.0
_INNER = [
    0x5555555555555555,
    0x3333333333333333,
    0x0F0F0F0F0F0F0F0F,
    0x00FF00FF00FF00FF,
    0x0000FFFF0000FFFF,
    0xFFFFFFFF,
]


@dataclass(frozen=True, slots=True)
class _Band:
    """Bits `start` to `start + width` of each hash, which may differ by up to `flips` of them."""

    start: int
    width: int
    flips: int


def pairs_within(hashes: npt.NDArray[np.uint8], threshold: int) -> tuple[Indexes, Distances]:
    """Every pair of hashes at most `threshold` bits apart, none missed, none twice.

    `hashes`: uint8 of shape (n, 32). Returns index pairs i < j, int64 of shape (m, 2) in rising order, and their
    distances, uint16 of shape (m,). Equal hashes are told as a star: each is paired with the first of its kind at
    distance 0, and only that first one is paired with others, so 3,000 equal frames give 2,999 pairs and not
    4.5 million. Raises ValueError for another shape or dtype, or a threshold outside 0 to 256.
    """
    words, first, stars = collapse(hashes, threshold)
    packed = _without_repeats(_pack(pairs, far, len(words)) for pairs, far in different_blocks(words, threshold))
    pairs, distances = _unpack(packed, len(words))
    pairs = np.concatenate([first[pairs], stars])
    distances = np.concatenate([distances, np.zeros(len(stars), np.uint16)])
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], distances[order]


def pair_blocks(hashes: npt.NDArray[np.uint8], threshold: int) -> Iterator[tuple[Indexes, Distances]]:
    """What `pairs_within` returns, in blocks of bounded size and no order, where a pair may come again.

    For callers that need no list of all pairs: a time lapse of 20,000 frames has 200 million of them.
    """
    words, first, stars = collapse(hashes, threshold)
    yield stars, np.zeros(len(stars), np.uint16)
    for pairs, distances in different_blocks(words, threshold):
        yield first[pairs], distances


def pairs_between(
    hashes: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8], threshold: int
) -> tuple[Indexes, Distances]:
    """Every pair of one of `hashes` and one of `others` at most `threshold` bits apart, none missed, none twice.

    Both uint8, of shapes (n, 32) and (m, 32). Returns pairs (index, index of the other), int64 of shape (k, 2) in
    rising order, and their distances. Of equal hashes on one side only the first is told. Raises ValueError as
    `pairs_within` does. Bands that must be equal: meant for thresholds up to some 20 bits.
    """
    words, first, _ = collapse(hashes, threshold)
    other_words, other_first, _ = collapse(others, threshold)
    n, m = len(words), len(other_words)
    both = np.concatenate([words, other_words])

    def near() -> Iterator[Bits]:
        for i, j in _between(both, n, threshold) if n and m else ():
            far = bits_between(both, i, j)
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


def collapse(hashes: npt.NDArray[np.uint8], threshold: int) -> tuple[Bits, Indexes, Indexes]:
    """The different hashes as words (u, 4), the index where each is first met (rising), and the stars of equals."""
    if hashes.dtype != np.uint8 or hashes.ndim != 2 or hashes.shape[1] != BITS // 8:
        raise ValueError(f"hashes must be uint8 of shape (n, 32), not {hashes.dtype} of shape {hashes.shape}")
    if not 0 <= threshold <= BITS:
        raise ValueError(f"the threshold must be from 0 to {BITS} bits, not {threshold}")
    words = np.ascontiguousarray(hashes).view(">u8").astype(np.uint64)
    # One sort of a mix of the four words; should two hashes share a mix, both are kept and compared as others are.
    order = np.argsort(mixed(words), kind="stable")  # stable: the first of a run of equals has the lowest index
    ordered = words.take(order, axis=0)
    starts = np.ones(len(words), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    centre = order[starts][np.cumsum(starts) - 1]
    stars = np.stack([centre[~starts], order[~starts]], axis=1)
    first = np.sort(order[starts])
    return words[first], first, stars


def mixed(words: Bits) -> Bits:
    """One number for each hash (n, 4); hardly ever one for two."""
    mix: Bits = (words * _MIX).sum(axis=1, dtype=np.uint64)
    return mix


def different_blocks(words: Bits, threshold: int) -> Iterator[tuple[Indexes, Distances]]:
    """Index pairs i < j of different words within `threshold`, with distances; the same pair may come again."""
    if len(words) < 2:
        return
    bands = _plan(len(words), threshold, _near_share(words, threshold))

    def near(candidates: Iterator[tuple[Indexes, Indexes]]) -> Iterator[tuple[Indexes, Distances]]:
        for i, j in candidates:
            distances = bits_between(words, i, j)
            kept = distances <= threshold
            if kept.any():
                yield np.sort(np.stack([i[kept], j[kept]], axis=1), axis=1), distances[kept]

    if bands is None:
        yield from near(_all_pairs(words, threshold))
    elif len(words) < _WORTH_THREADS:
        yield from (block for band in _candidates(words, bands) for block in near(band))
    else:
        yield from in_threads(near(band) for band in _candidates(words, bands))


def bits_between(words: Bits, i: Indexes, j: Indexes) -> Distances:
    """Bits that differ between words[i] and words[j], uint16: 256 does not fit a byte.

    `take` and adding columns are an eighth and a tenth of the time of fancy indexing and of a sum over rows.
    """
    count = np.bitwise_count(words.take(i, axis=0) ^ words.take(j, axis=0))
    total: Distances = count[:, 0].astype(np.uint16)
    for word in range(1, count.shape[1]):
        total += count[:, word]
    return total


def cost_ns(n: int, threshold: int) -> float:
    """About how long a search among n different hashes takes. Only its ratio to another such figure matters."""
    bands = _plan(n, threshold)
    return n * n / 2 * _BRUTE_NS if bands is None else sum(_cost(band, n) for band in bands)


def _near_share(words: Bits, threshold: int) -> float:
    """The share of pairs that are near, from a sample: high where a time lapse fills the library."""
    rows, others = (np.arange(0, len(words), max(1, len(words) // most)) for most in (64, 4096))
    i, j = np.repeat(rows, len(others)), np.tile(others, len(rows))
    near = bits_between(words, i, j) <= threshold
    return float(near[i != j].mean())


def _plan(n: int, threshold: int, near_share: float = 0.0) -> tuple[_Band, ...] | None:
    """The cheapest way by a rough count of what is sorted, passed over and checked; None is brute force.

    Hashes are taken to be spread evenly but for the near pairs, which every band meets anew.
    """
    pairs = n * n / 2
    best, cost = None, pairs * _BRUTE_NS
    for count in range(threshold // (_MOST_FLIPS + 1) + 1, min(threshold + 1, BITS) + 1):
        bands = _bands(count, threshold)
        mine = sum(_cost(band, n) for band in bands) + len(bands) * pairs * near_share * _CHECK_NS
        if mine < cost:
            best, cost = bands, mine
    return best


def _cost(band: _Band, n: int) -> float:
    passes = sum(comb(band.width, flipped) for flipped in range(1, band.flips + 1))
    values = float(1 << band.width)
    met = n * n / 2 * (1 + passes) / values
    return n * _SORT_NS + met * _CHECK_NS + passes * (_PASS_NS + values * _VALUE_NS)


def _bands(count: int, threshold: int) -> tuple[_Band, ...]:
    """`count` bands that miss no pair within the threshold. A band wider than is of use leaves its last bits out."""
    flips, more = divmod(threshold + 1, count)
    allowed = [flips - (at >= more) for at in range(count)]
    spare = BITS - sum(_BITS_A_FLIP * one for one in allowed)
    widths = [spare // count + _BITS_A_FLIP * one + (at < spare % count) for at, one in enumerate(allowed)]
    if min(widths) < _LEAST_TABLE_BITS:
        widths = [BITS // count + (at < BITS % count) for at in range(count)]
    starts = accumulate(widths, initial=0)
    return tuple(
        _Band(start, min(width, _MOST_TABLE_BITS if one else _KEY_BITS), one)
        for start, width, one in zip(starts, widths, allowed, strict=False)
    )


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


def _candidates(words: Bits, bands: tuple[_Band, ...]) -> Iterator[Iterator[tuple[Indexes, Indexes]]]:
    """For each band the pairs that meet in it, computed when they are asked for."""
    for at, band in enumerate(bands):
        yield _met(words, band, bands[(at + 1) % len(bands)])


def _met(words: Bits, band: _Band, following: _Band) -> Iterator[tuple[Indexes, Indexes]]:
    """Pairs that differ by at most `band.flips` bits in this band and by few enough in this and the following one.

    Equal keys are gathered first, so that the frames of a time lapse meet once and not at every flip.
    """
    tagged = _tagged(_bits(words, band.start, band.width))
    tagged.sort()
    order, ordered = _index(tagged), tagged >> np.uint64(_KEY_BITS)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    count = np.diff(first, append=len(ordered))
    beside = _bits(words, following.start, following.width).astype(np.uint32).take(order)
    most = band.flips + following.flips + 1

    def related(one: Indexes, other: Indexes, flipped: int) -> tuple[Indexes, Indexes]:
        few = np.bitwise_count(beside.take(one) ^ beside.take(other)) <= most - flipped
        return order[one[few]], order[other[few]]

    after = np.arange(1, len(order) + 1)
    for one, other in _ranges(after, np.repeat(first + count, count) - after):
        yield related(one, other, 0)
    for flipped, a, b in _neighbours(ordered[first].astype(np.int64), band) if band.flips else ():
        single = (count[a] == 1) & (count[b] == 1)
        yield related(first[a[single]], first[b[single]], flipped)
        several, others = a[~single], b[~single]
        for pair, left in _ranges(first[several], count[several]):
            for one, right in _ranges(first[others[pair]], count[others[pair]]):
                yield related(left[one], right, flipped)


def _neighbours(values: Indexes, band: _Band) -> Iterator[tuple[int, Indexes, Indexes]]:
    """Positions of every two of the different, rising `values` that differ by 1 to `band.flips` bits, by how many."""
    occurs = np.zeros(1 << band.width, bool)
    occurs[values] = True
    bitmap = np.packbits(occurs, bitorder="little").view(np.uint64)
    del occurs
    place = np.empty(1 << band.width, np.uint32)  # only what occurs is looked up
    place[values] = np.arange(len(values), dtype=np.uint32)
    inner = [_exchanged(bitmap, bit) for bit in range(_LEAST_TABLE_BITS)]
    for flipped in range(1, band.flips + 1):
        a, b, held = list[_Places](), list[_Places](), 0
        for bits in combinations(range(band.width), flipped):
            found = _both(bitmap, inner, bits)
            a.append(place.take(found))
            b.append(place.take(found ^ sum(1 << bit for bit in bits)))
            held += len(found)
            if held > _PAIRS_AT_ONCE:
                yield flipped, np.concatenate(a).astype(np.int64), np.concatenate(b).astype(np.int64)
                a, b, held = [], [], 0
        if held:
            yield flipped, np.concatenate(a).astype(np.int64), np.concatenate(b).astype(np.int64)


def _both(bitmap: Bits, inner: list[Bits], bits: tuple[int, ...]) -> Indexes:
    """The values v that occur together with v with these (one or two, rising) bits flipped; the highest of them is 0.

    `inner`: the bitmap with the bits exchanged by which values within one of its words differ.
    """
    top, low = bits[-1], bits[:-1]
    if top < _LEAST_TABLE_BITS:
        other = _exchanged(inner[low[0]], top) if low else inner[top]
        return _set_bits(bitmap & other & np.uint64(_INNER[top]))
    half = 1 << (top - _LEAST_TABLE_BITS)
    if not low or low[0] < _LEAST_TABLE_BITS:
        other = inner[low[0]] if low else bitmap
        both = bitmap.reshape(-1, 2, half)[:, 0] & other.reshape(-1, 2, half)[:, 1]
    else:
        step = 1 << (low[0] - _LEAST_TABLE_BITS)
        parts = bitmap.reshape(-1, 2, half // step // 2, 2, step)
        both = parts[:, 0] & parts[:, 1, :, ::-1]
    found = _set_bits(both.reshape(-1))
    width = top  # the highest of the flipped bits was left out of these positions
    return (found >> width << (width + 1)) | (found & ((1 << width) - 1))


def _exchanged(bitmap: Bits, bit: int) -> Bits:
    """The bitmap of the values with one of their six lowest bits flipped."""
    mask, by = np.uint64(_INNER[bit]), np.uint64(1 << bit)
    exchanged: Bits = ((bitmap >> by) & mask) | ((bitmap & mask) << by)
    return exchanged


def _set_bits(bitmap: Bits) -> Indexes:
    """Positions of the bits that are set, rising."""
    at = np.flatnonzero(bitmap)
    parts = bitmap.take(at).view(np.uint8)
    filled = np.flatnonzero(parts)
    bits = np.flatnonzero(np.unpackbits(parts.take(filled), bitorder="little").view(bool))
    byte = filled.take(bits >> 3)
    return (at.take(byte >> 3) << 6) | ((byte & 7) << 3) | (bits & 7)


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
        if held > max(len(kept), _NUMBERS_AT_ONCE):
            kept, waiting, held = np.unique(np.concatenate([kept, *waiting])), [], 0
    return np.unique(np.concatenate([kept, *waiting]))
