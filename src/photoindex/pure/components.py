"""Groups of things held together by links of rising weakness: a spanning forest, and what each thing is to another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Edge(NamedTuple):
    """A link between things i and j; a lower `weight` is a stronger link."""

    weight: tuple[int, float]
    i: int
    j: int


def spanning_forest(edges: Iterable[Edge]) -> list[Edge]:
    """The strongest edges that connect what all edges connect (Kruskal), strongest first."""
    parent: dict[int, int] = {}

    def root(k: int) -> int:
        while parent.setdefault(k, k) != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    kept = []
    for edge in sorted(edges):
        one, other = root(edge.i), root(edge.j)
        if one != other:
            parent[max(one, other)] = min(one, other)
            kept.append(edge)
    return kept


def components(forest: Sequence[Edge]) -> list[tuple[list[int], list[Edge]]]:
    """The members (rising) and edges of each tree, in the order of their first members."""
    neighbours: dict[int, list[Edge]] = defaultdict(list)
    for edge in forest:
        neighbours[edge.i].append(edge)
        neighbours[edge.j].append(edge)
    seen: set[int] = set()
    found = []
    for start in sorted(neighbours):
        if start not in seen:
            members = _reached(start, neighbours)
            seen.update(members)
            edges = sorted({edge for k in members for edge in neighbours[k]})
            found.append((sorted(members), edges))
    return found


def weakest_to(start: int, edges: Sequence[Edge]) -> dict[int, int]:
    """For each member of a tree but `start`: the first number of the weight of the weakest edge on the way there."""
    neighbours: dict[int, list[Edge]] = defaultdict(list)
    for edge in edges:
        neighbours[edge.i].append(edge)
        neighbours[edge.j].append(edge)
    found, pending = {start: 0}, [start]
    while pending:
        k = pending.pop()
        for edge in neighbours[k]:
            other = edge.j if edge.i == k else edge.i
            if other not in found:
                found[other] = max(found[k], edge.weight[0])
                pending.append(other)
    del found[start]
    return found


def _reached(start: int, neighbours: dict[int, list[Edge]]) -> set[int]:
    found, pending = {start}, [start]
    while pending:
        for edge in neighbours[pending.pop()]:
            for k in (edge.i, edge.j):
                if k not in found:
                    found.add(k)
                    pending.append(k)
    return found
