"""Groups of photos that are connected by near hashes: connected components and their minimum spanning trees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.pure.hamming import Distances, Indexes, pair_blocks
from photoindex.pure.searched import Search

MIN_QUALITY = 50
ALONE = np.iinfo(np.uint16).max
_PAIRS_AT_ONCE = 1 << 18
_LABELS = 1 << 25


@dataclass(frozen=True, slots=True)
class NearGroup:
    """Photos connected by near hashes.

    `members`: their indexes, int64 of shape (k,), rising. `distances`: bits from each to its nearest other member,
    uint16 of shape (k,). `links`: k - 1 of (i, j, distance), positions in `members` with i < j: the shortest links
    that hold the group together (a minimum spanning tree), the one to each member's nearest among them.
    """

    members: Indexes
    distances: Distances
    links: tuple[tuple[int, int, int], ...]


def near_groups(
    hashes: Sequence[npt.NDArray[np.uint8]],
    qualities: npt.NDArray[np.integer[Any]] | Sequence[int],
    threshold: int,
    min_quality: int = MIN_QUALITY,
) -> list[NearGroup]:
    """Groups of two and more photos in which each is within `threshold` bits of another (single link).

    `hashes`: one array or more, uint8 of shape (n, 32), each another hash of the same n photos; two photos are as far
    apart as the nearest of their hashes of one kind. `qualities`: PDQ's, 0 to 100, n of them. A photo below
    `min_quality` says too little and is in no group. Groups come in the order of their first member. Exact, in memory
    that grows with n and not with the number of pairs. Raises ValueError for wrong shapes or a threshold outside 0 to
    256.
    """
    quality = np.asarray(qualities)
    for kind in hashes:
        if quality.shape != kind.shape[:1]:
            raise ValueError(f"{len(kind)} hashes need as many qualities, not {quality.shape}")
    trusted = np.flatnonzero(quality >= min_quality)
    blocks = (block for kind in hashes for block in pair_blocks(kind[trusted], threshold))
    pairs, distances = _spanning_forest(len(trusted), threshold, blocks)
    return [
        NearGroup(trusted[members], nearest, links)
        for members, nearest, links in _described(len(trusted), pairs, distances)
    ]


def near_pairs(
    hashes: Sequence[npt.NDArray[np.uint8]], threshold: int, most: int = 64, searches: Sequence[Search] = ()
) -> Indexes:
    """Index pairs i < j, int64 (m, 2), of photos within `threshold` bits of each other by the nearest of their hashes.

    `hashes` as in `near_groups`; `searches`: one for each kind, where something is known of it. All pairs as long as
    they are at most `most` for each photo on average; where a time lapse has hundreds of millions, the links of a
    minimum spanning forest, which connect the same groups.
    """
    n = len(hashes[0])
    kept, held = [np.empty(0, np.int64)], 0
    searches = searches or [Search(kind, threshold) for kind in hashes]
    for block, _ in (block for search in searches for block in search.blocks()):
        kept.append(block[:, 0] * n + block[:, 1])
        held += len(block)
        if held > most * n + _PAIRS_AT_ONCE:
            kept = [np.unique(np.concatenate(kept))]
            held = len(kept[0])
            if held > most * n + _PAIRS_AT_ONCE // 2:
                blocks = (block for kind in hashes for block in pair_blocks(kind, threshold))
                return _spanning_forest(n, threshold, blocks)[0]
    return np.stack(np.divmod(np.unique(np.concatenate(kept)), max(n, 1)), axis=1)


def connected_groups(n: int, pairs: Indexes) -> list[Indexes]:
    """The connected components of n things with two members and more, from index pairs of shape (m, 2).

    Each group's indexes rise (int64); groups come in the order of their first member.
    """
    labels = _components(n, pairs)
    paired = np.unique(pairs)
    order = paired[np.argsort(labels[paired], kind="stable")]
    cuts = np.flatnonzero(np.diff(labels[order])) + 1
    groups: list[Indexes] = np.split(order, cuts) if len(order) else []
    return sorted(groups, key=lambda group: int(group[0]))


def _components(n: int, pairs: Indexes) -> npt.NDArray[np.int32]:
    from scipy.sparse import coo_array  # type: ignore[import-untyped,unused-ignore]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped,unused-ignore]

    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    labels: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels


def nearest_distances(n: int, pairs: Indexes, distances: Distances) -> Distances:
    """For each of n things the distance to the nearest it is paired with, uint16; ALONE where there is none."""
    nearest = np.full(n, ALONE, np.uint16)
    np.minimum.at(nearest, pairs[:, 0], distances)
    np.minimum.at(nearest, pairs[:, 1], distances)
    return nearest


def _spanning_forest(n: int, threshold: int, blocks: Iterable[tuple[Indexes, Distances]]) -> tuple[Indexes, Distances]:
    """The minimum spanning forest of all pairs of all blocks, in rising order.

    The forest of a union is the forest of (forest so far + new pairs), so only so many pairs need be held. A pair
    that the forest already connects by links no longer than itself is dropped at once: nearly all of a time lapse.
    """
    pairs, distances, held = [np.empty((0, 2), np.int64)], [np.empty(0, np.uint16)], 0
    step = (threshold + 1) * n // _LABELS + 1
    labels = np.arange(n, dtype=np.int32)[None].repeat(threshold // step + 1, axis=0)
    for block, far in blocks:
        level = far // step
        new = labels[level, block[:, 0]] != labels[level, block[:, 1]]
        pairs.append(block[new])
        distances.append(far[new])
        held += int(new.sum())
        if held > max(_PAIRS_AT_ONCE, n):
            kept, far_kept = _forest(n, np.concatenate(pairs), np.concatenate(distances))
            pairs, distances, held = [kept], [far_kept], 0
            for number, row in enumerate(labels):
                row[:] = _components(n, kept[far_kept <= number * step])
    return _forest(n, np.concatenate(pairs), np.concatenate(distances))


def _forest(n: int, pairs: Indexes, distances: Distances) -> tuple[Indexes, Distances]:
    from scipy.sparse import coo_array  # type: ignore[import-untyped,unused-ignore]
    from scipy.sparse.csgraph import minimum_spanning_tree  # type: ignore[import-untyped,unused-ignore]

    # A graph adds up what is told twice, and takes a weight of 0 for no link: hence the nearest of each pair, and one
    # more bit each.
    nearest_first = np.argsort(distances, kind="stable")
    _, first = np.unique((pairs[:, 0] * n + pairs[:, 1])[nearest_first], return_index=True)
    once = nearest_first[first]
    weights = distances[once].astype(np.float64) + 1
    graph = coo_array((weights, (pairs[once, 0], pairs[once, 1])), shape=(n, n)).tocsr()
    tree = minimum_spanning_tree(graph).tocoo()
    order = np.lexsort((tree.col, tree.row))
    kept = np.stack([tree.row[order], tree.col[order]], axis=1).astype(np.int64)
    return kept, (tree.data[order] - 1).astype(np.uint16)


def _described(
    n: int, pairs: Indexes, distances: Distances
) -> Iterable[tuple[Indexes, Distances, tuple[tuple[int, int, int], ...]]]:
    """Members, nearest distances and links of each group of a spanning forest."""
    groups = connected_groups(n, pairs)
    group_of, nearest = np.zeros(n, np.int64), nearest_distances(n, pairs, distances)
    for number, members in enumerate(groups):
        group_of[members] = number
    order = np.argsort(group_of[pairs[:, 0]], kind="stable")
    start = 0
    for members in groups:
        mine = order[start : start + len(members) - 1]  # a tree has one link less than members
        start += len(members) - 1
        ends = np.searchsorted(members, pairs[mine])
        links = ((int(i), int(j), int(d)) for (i, j), d in zip(ends, distances[mine], strict=True))
        yield members, nearest[members], tuple(links)
