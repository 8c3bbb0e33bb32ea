"""Near pairs of hashes: everything brute force finds is found, nothing else, and equals stay few."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoindex.pure import hamming
from photoindex.pure.hamming import pair_blocks, pairs_between, pairs_within

Hashes = npt.NDArray[np.uint8]


def library(n: int, seed: int = 0, near: float = 0.3, flips: int = 45) -> Hashes:
    """Random hashes, a share of which is another one with up to `flips` bits flipped."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n, 256), dtype=np.uint8)
    for copy in rng.permutation(n)[: int(n * near)]:
        bits[copy] = bits[rng.integers(n)]
        bits[copy, rng.permutation(256)[: rng.integers(1, flips + 1)]] ^= 1
    return np.packbits(bits, axis=1)


def brute_force(hashes: Hashes, threshold: int) -> list[tuple[int, int, int]]:
    bits = np.unpackbits(hashes, axis=1).astype(np.int64)
    far = (bits[:, None] != bits[None]).sum(axis=2) if len(bits) else np.zeros((0, 0))
    return [(i, j, int(far[i, j])) for i in range(len(bits)) for j in range(i + 1, len(bits)) if far[i, j] <= threshold]


def found(hashes: Hashes, threshold: int) -> list[tuple[int, int, int]]:
    pairs, distances = pairs_within(hashes, threshold)
    return [(int(i), int(j), int(d)) for (i, j), d in zip(pairs, distances, strict=True)]


@pytest.mark.parametrize("threshold", [0, 1, 8, 31, 40, 100, 128, 255, 256])
def test_all_near_pairs_are_found_and_no_others(threshold: int) -> None:
    hashes = library(250)
    assert len(np.unique(hashes, axis=0)) == 250
    assert found(hashes, threshold) == brute_force(hashes, threshold)


@pytest.mark.parametrize(
    ("count", "threshold"),
    [(9, 8), (5, 8), (3, 8), (11, 31), (12, 31), (14, 31), (16, 31), (21, 31), (32, 31), (14, 40), (1, 0), (33, 64)],
)
def test_every_way_to_cut_into_bands_misses_nothing(
    count: int, threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = library(120, seed=count, near=0.6)
    bands = hamming._bands(count, threshold)
    assert sum(band.flips + 1 for band in bands) == threshold + 1
    assert all(one.start + one.width <= other.start for one, other in pairwise(bands))
    assert bands[-1].start + bands[-1].width <= 256
    monkeypatch.setattr(hamming, "_plan", lambda *_: bands)
    assert found(hashes, threshold) == brute_force(hashes, threshold)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 255), min_size=1, max_size=31), st.sampled_from([11, 12, 14, 16, 24, 32]))
def test_wherever_the_bits_differ_some_band_meets_the_pair(flips: set[int], count: int) -> None:
    hashes = library(40, seed=count, near=0)
    bits = np.unpackbits(hashes[:1], axis=1)
    bits[0, list(flips)] ^= 1
    words = np.concatenate([hashes, np.packbits(bits, axis=1)]).view(">u8").astype(np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "_MOST_TABLE_BITS", 9)  # small tables are quick; what a band leaves out may differ
        bands = hamming._candidates(words, hamming._bands(count, 31))
        met = {frozenset(pair) for band in bands for i, j in band for pair in zip(i.tolist(), j.tolist(), strict=True)}
    assert frozenset({0, 40}) in met


@pytest.mark.parametrize("width", [6, 7, 9, 10])
def test_neighbouring_values_are_all_told_once(width: int) -> None:
    values = np.flatnonzero(np.random.default_rng(width).random(1 << width) < 0.3)
    told = [
        (flipped, *sorted((int(values[i]), int(values[j]))))
        for flipped, a, b in hamming._neighbours(values, hamming._Band(0, width, 2))
        for i, j in zip(a, b, strict=True)
    ]
    few = [(i, j) for i in values.tolist() for j in values.tolist() if i < j and (i ^ j).bit_count() <= 2]
    assert sorted(told) == sorted(((i ^ j).bit_count(), i, j) for i, j in few)
    assert len(few) > width


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_working_in_small_blocks_changes_nothing(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = library(60, near=0.8, flips=31)
    whole = brute_force(hashes, 31)
    monkeypatch.setattr(hamming, "_plan", lambda *_: hamming._bands(14, 31))
    monkeypatch.setattr(hamming, "_NUMBERS_AT_ONCE", at_once)
    monkeypatch.setattr(hamming, "_PAIRS_AT_ONCE", at_once)
    assert found(hashes, 31) == whole


@pytest.mark.parametrize("threshold", [8, 31])
def test_a_planted_pair_is_found_wherever_its_bits_differ(threshold: int) -> None:
    """4,000 hashes are searched by bands; each pair differs by exactly the threshold, in clusters or spread out."""
    rng = np.random.default_rng(threshold)
    bits = rng.integers(0, 2, (4000, 256), dtype=np.uint8)
    for pair in range(2000):
        bits[2 * pair + 1] = bits[2 * pair]
        span = rng.integers(threshold, 257)
        bits[2 * pair + 1, (rng.permutation(span)[:threshold] + rng.integers(256)) % 256] ^= 1
    assert hamming._plan(4000, threshold) is not None
    pairs, distances = pairs_within(np.packbits(bits, axis=1), threshold)
    assert pairs.tolist() == [[2 * k, 2 * k + 1] for k in range(2000)]
    assert set(distances.tolist()) == {threshold}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 255), max_size=12)), max_size=14),
    st.sampled_from([0, 3, 8, 12, 31, 256]),
    st.sampled_from([None, 1, 2, 4]),
)
def test_groups_of_equals_and_pairs_of_different_hashes_together_are_all_near_pairs(
    recipes: list[tuple[int, set[int]]], threshold: int, forced: int | None
) -> None:
    bits = np.unpackbits(library(4, seed=9, near=0), axis=1)[[base for base, _ in recipes]].reshape(-1, 256)
    for row, (_, flips) in zip(bits, recipes, strict=True):
        row[list(flips)] ^= 1
    hashes = np.packbits(bits, axis=1).reshape(-1, 32)
    with pytest.MonkeyPatch.context() as patch:
        if forced and threshold < 256:
            patch.setattr(hamming, "_MOST_TABLE_BITS", 9)
            bands = hamming._bands(threshold // min(forced, 3) + 1, threshold)
            patch.setattr(hamming, "_plan", lambda *_: bands)
        got = found(hashes, threshold)
    first = [next(k for k, other in enumerate(hashes) if (other == mine).all()) for mine in hashes]
    expected = []
    for i, j, distance in brute_force(hashes, threshold):
        if (first[j] == i) if distance == 0 else (first[i] == i and first[j] == j):
            expected.append((i, j, distance))
    assert got == expected


def test_equal_hashes_are_told_as_a_star_around_the_first() -> None:
    black = np.zeros((3000, 32), np.uint8)
    pairs, distances = pairs_within(black, 31)
    assert pairs.tolist() == [[0, k] for k in range(1, 3000)]
    assert not distances.any()


def test_opposite_hashes_are_256_apart_and_not_equal() -> None:
    opposite = np.array([[0] * 32, [255] * 32], np.uint8)
    assert found(opposite, 255) == []
    assert found(opposite, 256) == [(0, 1, 256)]


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_hashes_have_no_pairs(n: int) -> None:
    pairs, distances = pairs_within(np.zeros((n, 32), np.uint8), 31)
    assert pairs.shape == (0, 2)
    assert distances.shape == (0,)
    assert (pairs.dtype, distances.dtype) == (np.int64, np.uint16)


def test_a_library_full_of_near_pairs_is_compared_directly() -> None:
    """In a time lapse every band would meet every pair; among other photos the bands are far faster."""
    apart = hamming._near_share(library(3000, near=0).view(np.uint64), 31)
    lapse = hamming._near_share(
        np.packbits(np.random.default_rng(0).random((3000, 256)) < 0.03, axis=1).view(np.uint64), 31
    )
    assert apart == 0
    assert lapse > 0.99
    assert hamming._plan(20_000, 31, apart) is not None
    assert hamming._plan(20_000, 31, lapse) is None


def test_blocks_hold_the_pairs_of_the_whole_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "_PAIRS_AT_ONCE", 50)
    monkeypatch.setattr(hamming, "_plan", lambda *_: hamming._bands(14, 31))
    hashes = library(200, near=0.95, flips=3)
    blocks = list(pair_blocks(hashes, 31))
    assert max(len(pairs) for pairs, _ in blocks[1:]) <= 200
    told = {(int(i), int(j), int(d)) for pairs, far in blocks for (i, j), d in zip(pairs, far, strict=True)}
    assert sorted(told) == found(hashes, 31)


@pytest.mark.parametrize(
    ("hashes", "threshold", "said"),
    [
        (np.zeros((3, 31), np.uint8), 8, "shape \\(n, 32\\)"),
        (np.zeros((3, 32), np.int64), 8, "uint8"),
        (np.zeros((3, 32), np.uint8), 257, "257"),
        (np.zeros((3, 32), np.uint8), -1, "-1"),
    ],
)
def test_wrong_input_is_refused_by_name(hashes: Hashes, threshold: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pairs_within(hashes, threshold)


# --- one list against another ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0, 3, 12, 40])
def test_pairs_between_two_lists_are_those_of_brute_force(threshold: int) -> None:
    rng = np.random.default_rng(threshold)
    mine = rng.integers(0, 256, (300, 32), dtype=np.uint8)
    flips = rng.random((400, 256)) < rng.uniform(0, 0.15, (400, 1))
    others = np.packbits(np.unpackbits(mine[rng.integers(0, 300, 400)], axis=1) ^ flips, axis=1)
    pairs, distances = pairs_between(mine, others, threshold)
    far = np.bitwise_count(mine[:, None] ^ others[None]).sum(axis=2)
    found = {(int(i), int(j)): int(d) for (i, j), d in zip(pairs, distances, strict=True)}
    first = {other.tobytes(): j for j, other in reversed([*enumerate(others)])}
    expected = [(int(i), int(j)) for i, j in np.argwhere(far <= threshold) if first[others[j].tobytes()] == j]
    assert found == {(i, j): int(far[i, j]) for i, j in expected}
    assert len(expected) > 5


def test_equal_hashes_between_two_lists_are_told_once() -> None:
    black, white = np.zeros((50, 32), np.uint8), np.full((2, 32), 255, np.uint8)
    pairs, distances = pairs_between(np.concatenate([white, black]), black, 8)
    assert (pairs.tolist(), distances.tolist()) == ([[2, 0]], [0])
    assert pairs_between(black[:0], white, 8)[0].shape == (0, 2)
    with pytest.raises(ValueError, match="uint8"):
        pairs_between(black, white.astype(np.int64), 8)
