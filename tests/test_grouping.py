"""Groups of near duplicates: connected pairs, their shortest links, and what published copies must give."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from photoindex.pure import grouping, hamming
from photoindex.pure.grouping import ALONE, NearGroup, connected_groups, near_groups, near_pairs, nearest_distances
from photoindex.pure.hamming import pairs_within

TRUTH = Path(__file__).parents[2] / "shared" / "photos" / "dupes" / "truth.csv"
Hashes = npt.NDArray[np.uint8]


def flipped(*counts: int) -> Hashes:
    """One hash for each count: a fixed random one with its first `count` bits flipped."""
    bits = np.tile(np.random.default_rng(0).integers(0, 2, 256, dtype=np.uint8), (len(counts), 1))
    for row, count in zip(bits, counts, strict=True):
        row[:count] ^= 1
    return np.packbits(bits, axis=1)


def good(n: int) -> list[int]:
    return [100] * n


def test_groups_are_the_connected_components_in_order_of_their_first_member() -> None:
    pairs = np.array([[5, 8], [1, 4], [0, 9], [4, 5]])
    assert [group.tolist() for group in connected_groups(10, pairs)] == [[0, 9], [1, 4, 5, 8]]


def test_without_pairs_there_are_no_groups() -> None:
    assert connected_groups(3, np.empty((0, 2), np.int64)) == []
    assert near_groups([np.empty((0, 32), np.uint8)], [], 8) == []
    assert near_groups([flipped(0, 100, 200)], good(3), 8) == []


def test_each_photo_knows_the_distance_to_its_nearest() -> None:
    pairs, distances = np.array([[0, 1], [1, 2]]), np.array([7, 3], np.uint16)
    assert nearest_distances(4, pairs, distances).tolist() == [7, 3, 3, ALONE]


def test_a_chain_of_near_hashes_is_one_group_held_by_its_shortest_links() -> None:
    (group,) = near_groups([flipped(0, 8, 16, 21, 100)], good(5), threshold=8)
    assert group.members.tolist() == [0, 1, 2, 3]
    assert group.links == ((0, 1, 8), (1, 2, 8), (2, 3, 5))
    assert group.distances.tolist() == [8, 8, 5, 5]


def test_links_are_positions_among_the_members() -> None:
    (group,) = near_groups([flipped(200, 0, 100, 4)], good(4), threshold=8)
    assert group.members.tolist() == [1, 3]
    assert group.links == ((0, 1, 4),)


def test_equal_hashes_are_a_group_with_distance_zero() -> None:
    (group,) = near_groups([flipped(0, 0, 5)], good(3), threshold=8)
    assert group.members.tolist() == [0, 1, 2]
    assert group.links == ((0, 1, 0), (0, 2, 5))
    assert group.distances.tolist() == [0, 0, 5]


def test_a_low_quality_never_groups_and_connects_nothing() -> None:
    hashes = flipped(0, 8, 16)
    assert near_groups([hashes], [100, 49, 100], threshold=8) == []
    (group,) = near_groups([hashes], [100, 50, 100], threshold=8)
    assert len(group.members) == 3


def test_as_many_qualities_as_hashes_are_asked_for() -> None:
    with pytest.raises(ValueError, match="qualities"):
        near_groups([flipped(0, 1)], [100], 8)


@pytest.mark.parametrize(("at_once", "labels"), [(1, 1), (1, 1 << 25), (1 << 18, 1 << 25)])
def test_groups_and_nearest_distances_are_those_of_all_pairs(
    at_once: int, labels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many small rounds: pairs in blocks of few, the forest renewed after every 160.
    monkeypatch.setattr(hamming, "_PAIRS_AT_ONCE", at_once)
    monkeypatch.setattr(grouping, "_PAIRS_AT_ONCE", at_once)
    monkeypatch.setattr(grouping, "_LABELS", labels)
    rng = np.random.default_rng(4)
    bits = rng.integers(0, 2, (12, 256), dtype=np.uint8)[rng.integers(0, 12, 150)]
    bits ^= rng.random(bits.shape) < 0.05
    hashes = np.packbits(bits, axis=1)[rng.integers(0, 150, 160)]
    pairs, distances = pairs_within(hashes, 20)
    groups = near_groups([hashes], good(160), 20)
    assert [g.members.tolist() for g in groups] == [g.tolist() for g in connected_groups(160, pairs)]
    nearest = nearest_distances(160, pairs, distances)
    assert len(groups) > 5
    for group in groups:
        assert group.distances.tolist() == nearest[group.members].tolist()
        assert len(group.links) == len(group.members) - 1
        assert sum(d for _, _, d in group.links) == lightest_tree(hashes[group.members])
        ends = np.array([link[:2] for link in group.links])
        assert len(connected_groups(len(group.members), ends)) == 1


def lightest_tree(hashes: Hashes) -> int:
    """Bits in the shortest links that connect all hashes, by adding the nearest outside hash again and again (Prim)."""
    bits = np.unpackbits(hashes, axis=1)
    far = (bits[:, None] != bits[None]).sum(axis=2)
    inside, total = [0], 0
    while len(inside) < len(hashes):
        outside = [k for k in range(len(hashes)) if k not in inside]
        link = far[np.ix_(inside, outside)]
        total += int(link.min())
        inside.append(outside[int(link.min(axis=0).argmin())])
    return total


def published(threshold: int) -> tuple[list[dict[str, str]], list[NearGroup], dict[str, int]]:
    """The rows of the published copies that have a hash, their groups, and the group's number by file."""
    if not TRUTH.exists():
        pytest.skip("the test pictures are not on this machine")
    rows = [row for row in csv.DictReader(TRUTH.open(encoding="utf-8", newline="")) if row["pdq_hash"]]
    hashes = np.array([list(bytes.fromhex(row["pdq_hash"])) for row in rows], np.uint8)
    groups = near_groups([hashes], [int(row["pdq_quality"]) for row in rows], threshold)
    return rows, groups, {rows[k]["file"]: number for number, g in enumerate(groups) for k in g.members}


@pytest.mark.parametrize(("threshold", "at_least"), [(8, 40), (31, 70)])
def test_published_copies_within_the_threshold_are_grouped_with_their_original(threshold: int, at_least: int) -> None:
    rows, _, group_of = published(threshold)
    hashed = {row["file"] for row in rows}
    near = [
        row
        for row in rows
        if row["original_file"] in hashed  # the list gives no hash of one PSD
        and (row["expectation"] == "must" or row["relation"] == "exact")
        and int(row["pdq_distance_to_original"]) <= threshold
        and row["file"] != row["original_file"]
    ]
    apart = [row["file"] for row in near if group_of.get(row["file"], -1) != group_of.get(row["original_file"], -2)]
    assert apart == []
    assert len(near) >= at_least


@pytest.mark.parametrize("threshold", [8, 31])
def test_bursts_and_look_alikes_are_never_grouped(threshold: int) -> None:
    rows, groups, group_of = published(threshold)
    different = [row["file"] for row in rows if row["expectation"] == "must_not_be_called_duplicate"]
    assert len(different) == 9
    assert [file for file in different if file in group_of] == []
    families = [{rows[k]["original_file"] for k in group.members} for group in groups]
    assert [family for family in families if len(family) > 1] == []


def test_the_nearer_of_two_kinds_of_hash_counts() -> None:
    squashed, own = flipped(0, 20, 100), flipped(0, 5, 200)
    (group,) = near_groups([squashed, own], good(3), threshold=8)
    assert group.members.tolist() == [0, 1]
    assert group.distances.tolist() == [5, 5]
    (wider,) = near_groups([squashed, own], good(3), threshold=31)
    assert wider.links == ((0, 1, 5),)


def test_near_pairs_are_all_pairs_of_every_kind_or_a_forest_where_there_are_too_many() -> None:
    rng = np.random.default_rng(5)
    kinds = [rng.integers(0, 256, (200, 32), dtype=np.uint8) for _ in range(2)]
    for kind in kinds:
        kind[100:160] = kind[:60]
        kind[100:160, :20] ^= np.uint8(1)
    wanted = {tuple(pair) for kind in kinds for pair in pairs_within(kind, 31)[0].tolist()}
    assert {tuple(pair) for pair in near_pairs(kinds, 31).tolist()} == wanted
    assert len(wanted) > 20
    crowd = np.zeros((3000, 32), np.uint8)
    crowd[:, :2] = np.arange(3000, dtype=">u2").view(np.uint8).reshape(-1, 2)
    forest = near_pairs([crowd], 31, most=1)
    assert len(forest) == 2999
    assert len(connected_groups(3000, forest)) == 1
