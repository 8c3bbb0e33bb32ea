"""From links between photos to groups of files: who belongs to whom, which to keep, and what tells them apart."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from photoindex.dupes.candidates import Files
from photoindex.dupes.decisions import group_id
from photoindex.dupes.options import DupeOptions
from photoindex.media.movie import read_movie
from photoindex.pure.components import Edge, components, spanning_forest, weakest_to
from photoindex.pure.differences import differences
from photoindex.pure.keep import BURST_RULES, Copy, Wishes, choose, is_below
from photoindex.pure.names import video_of
from photoindex.pure.tiers import BURST, DUPLICATES, IDENTICAL, LIVE, SIMILAR, TIERS, Evidence, edits_told
from photoindex.records import DupeFacts, Group, Link, Member, PhotoRow

_LONGEST_LIVE_S = 8.0
Pair = tuple[int, int]
KEEPER = "keeper"


@dataclass(frozen=True, slots=True)
class Related:
    """Two photos (positions i < j) with their tier and the evidence for it."""

    tier: str
    seen: Evidence


class Grouping:
    """The files of a library as nodes: each photo's first file stands for it, its further files are identical to it."""

    def __init__(self, photos: Sequence[DupeFacts], files: Files, options: DupeOptions) -> None:
        self._photos, self._options = photos, options
        self._copies = [(k, row) for k, photo in enumerate(photos) for row in files[photo.photo_id]]
        self._first: dict[int, int] = {}
        self._framed: set[int] = set()
        self._clipped: set[int] = set()
        for node, (k, _) in enumerate(self._copies):
            self._first.setdefault(k, node)

    def groups(self, related: Mapping[Pair, Related]) -> list[Group]:
        """All groups of the chosen tiers, by tier and then by what they free."""
        looks = {pair: mine.seen.look for pair, mine in related.items() if mine.tier in DUPLICATES and mine.seen.look}
        self._framed = {pair["ab".index(look.frame)] for pair, look in looks.items() if look.frame}
        self._clipped = {pair["ab".index(look.clipped)] for pair, look in looks.items() if look.clipped}
        duplicates = self._duplicates(related)
        stands_for = {node: group[0] for group, _, _ in duplicates for node in group}
        found = [self._group(*group) for group in duplicates]
        for tier in TIERS:
            if tier in self._options.tiers and tier not in DUPLICATES:
                found += self._others(tier, related, stands_for)
        return sorted(found, key=_order)

    def _duplicates(
        self, related: Mapping[Pair, Related]
    ) -> list[tuple[list[int], list[Edge], Mapping[Pair, Related]]]:
        """Members, the one to keep first, and edges of each group of duplicates."""
        chosen = [tier for tier in DUPLICATES if tier in self._options.tiers]
        edges = [self._edge(pair, mine) for pair, mine in related.items() if mine.tier in chosen]
        if IDENTICAL in chosen:
            edges += self._same_bytes()
        return [
            (self._keeper_first(members, self._options.wishes)[0], tree, related)
            for members, tree in components(spanning_forest(edges))
        ]

    def _others(self, tier: str, related: Mapping[Pair, Related], stands_for: Mapping[int, int]) -> list[Group]:
        """Groups of bursts, raw pairs, similar pictures: what is a duplicate of a member is left out."""
        edges, evidence = [], dict[Pair, Related]()
        for pair, mine in related.items():
            i, j = (stands_for.get(self._first[k], self._first[k]) for k in pair)
            if mine.tier == tier and i != j:
                edges.append(Edge((TIERS.index(tier), -_strength(mine.seen)), min(i, j), max(i, j)))
                evidence[self._copies[min(i, j)][0], self._copies[max(i, j)][0]] = mine
        wishes = self._options.wishes
        if tier == BURST:
            wishes = replace(wishes, rules=tuple(BURST_RULES.split(",")))
        return [
            self._group(self._keeper_first(members, wishes)[0], tree, evidence, wishes)
            for members, tree in components(spanning_forest(edges))
        ]

    def _edge(self, pair: Pair, mine: Related) -> Edge:
        weight = (TIERS.index(mine.tier), -_strength(mine.seen))
        i, j = sorted(self._first[k] for k in pair)
        return Edge(weight, i, j)

    def _same_bytes(self) -> list[Edge]:
        return [
            Edge((0, -1.0), self._first[k], node) for node, (k, _) in enumerate(self._copies) if node != self._first[k]
        ]

    def _keeper_first(self, members: Sequence[int], wishes: Wishes) -> tuple[list[int], str]:
        found = [self._copies[node] for node in members]
        copies = [
            Copy(row.path, self._photos[k], k in self._framed, k in self._clipped, row.sidecars > 0) for k, row in found
        ]
        best, reason = choose(copies, wishes)
        return [members[best], *(node for node in members if node != members[best])], reason

    def _group(
        self, members: list[int], edges: Sequence[Edge], related: Mapping[Pair, Related], wishes: Wishes | None = None
    ) -> Group:
        wishes = wishes or self._options.wishes
        reason = self._keeper_first(members, wishes)[1]
        tiers = weakest_to(members[0], edges)
        members = [members[0], *sorted(members[1:], key=lambda node: (tiers[node], self._copies[node][1].path))]
        place = {node: at for at, node in enumerate(members)}
        links = tuple(sorted((self._link(edge, place, related) for edge in edges), key=lambda link: (link.a, link.b)))
        described = tuple(self._member(node, members[0], tiers, place[node], links) for node in members)
        tier = TIERS[max(edge.weight[0] for edge in edges)]
        gone = [m for m in described[1:] if not m.protected] if tier in DUPLICATES else []
        return Group(
            id=group_id(m.photo.photo for m in described),
            tier=tier,
            members=described,
            links=links,
            reason=reason,
            suggestion=tier in (BURST, SIMILAR),
            frees=sum(m.photo.bytes for m in gone),
        )

    def _link(self, edge: Edge, place: Mapping[int, int], related: Mapping[Pair, Related]) -> Link:
        a, b = sorted((place[edge.i], place[edge.j]))
        one, other = sorted((self._copies[edge.i][0], self._copies[edge.j][0]))
        if one == other:
            return Link(a, b, IDENTICAL, 0)
        mine = related[one, other]
        what = edits_told(mine.tier, mine.seen.look)
        return Link(a, b, mine.tier, mine.seen.distance, mine.seen.look, what)

    def _member(self, node: int, keeper: int, tiers: Mapping[int, int], place: int, links: Iterable[Link]) -> Member:
        k, row = self._copies[node]
        facts = self._photos[k]
        mine = [link for link in links if place in (link.a, link.b)]
        told = tuple(text for link in mine if 0 in (link.a, link.b) for text in link.differs) if node != keeper else ()
        return Member(
            photo=row,
            tier=TIERS[tiers[node]] if node != keeper else KEEPER,
            distance=min((link.distance for link in mine if link.distance is not None), default=None),
            quality=facts.quality,
            sharpness=facts.sharpness,
            differs=(*told, *differences(self._photos[self._copies[keeper][0]], facts)),
            protected=is_below(row.path, self._options.wishes.protect),
        )


def live_groups(rows: Iterable[PhotoRow]) -> list[Group]:
    """Pictures with their moving part: a short video of their name beside them, taken in the same moment."""
    listed: dict[str, frozenset[str]] = {}
    found = []
    for row in rows:
        folder = os.path.dirname(row.path)
        if folder not in listed:
            listed[folder] = _names(folder)
        name = video_of(row.path, listed[folder])
        video = os.path.join(folder, name) if name else ""
        if name and _of_one_moment(row, video):
            member = Member(row, KEEPER, video=video)
            found.append(Group(group_id([row.photo, LIVE]), LIVE, (member,), (), "its video belongs to it"))
    return found


def _of_one_moment(row: PhotoRow, video: str) -> bool:
    """Phones film some three seconds. Videos tell UTC, photos local time: whole quarters of an hour do not count."""
    movie = read_movie(video)
    if movie is None or movie.seconds > _LONGEST_LIVE_S:
        return False
    if row.taken_at is None or movie.taken_at is None:
        return True
    apart = (row.taken_at - movie.taken_at).total_seconds() % 900
    return min(apart, 900 - apart) <= _LONGEST_LIVE_S


def _names(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder or os.curdir))
    except OSError:
        return frozenset()


def _strength(seen: Evidence) -> float:
    return seen.look.correlation if seen.look else 1.0 - seen.distance / 256


def _order(group: Group) -> tuple[int, int, str]:
    return TIERS.index(group.tier), -group.frees, group.members[0].photo.path
