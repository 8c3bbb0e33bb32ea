"""The list that vectors give: the nearest photos, cut where they are no nearer than to unrelated words."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from photoindex.pure.cut import Cut, Level, cut, level, understood
from photoindex.records import FloatArray
from photoindex.search.words import NO_ANSWERS, Answer, Answers
from photoindex.store.background import Background
from photoindex.store.library import Library, vectors_version
from photoindex.store.vector_index import Scored
from photoindex.store.vectors import image_table

_NOT_UNDERSTOOD = "the model does not understand these words: it sees no difference to unrelated ones"
SUM = "pictures and sums of meanings are not cut: unrelated words say nothing about them"
_UNMEASURED = "not cut: sums and pictures have no measure of what is unrelated, and words get it from the next scan"


def background(library: Library, model: str) -> Background | None:
    """What everyday words reach among the vectors of `model`; None where no scan has measured it, or of another version
    of the model."""
    table = image_table(model)
    version = library.catalog.settings().get(vectors_version(table))
    known = library.vectors.background(table)
    return known if known is not None and version in (None, known.version) else None


def by_vector(
    library: Library,
    model: str,
    query: FloatArray,
    depth: int,
    among: Collection[int] | None,
    known: Background | None,
    uncut: str = _UNMEASURED,
) -> Answers:
    """Photos by the nearness of their vector to that of a text (width,), those that are an answer first.

    `known` is the background that the cut goes by; without one nothing is cut, and `uncut` says why.
    """
    table = image_table(model)
    if known is not None and known.mean.shape != query.shape:
        known = None  # of other vectors: nothing can be told from it
    where = _level(known) if known is not None else None
    if known is None or where is None:
        found = library.vectors.nearest(table, query, depth, among)
        return Answers([Answer(i, s, _within(s), True, uncut) for i, s in found], len(found) == depth)
    base = float(query @ known.mean)
    while True:
        found = library.vectors.nearest(table, query, depth, among)
        place = cut([score for _, score in found], base, where)
        if place.kept < len(found) or len(found) < depth or depth >= _DEEPEST:
            break
        depth = min(4 * depth, _DEEPEST)
    if not understood(query, known.crowd):
        place = Cut(0, place.best, place.last, understood=False)
    if not found:
        return NO_ANSWERS
    return Answers(_answers(found, place, base, where), place.kept == len(found) == depth)


_DEEPEST = 10_000


@lru_cache(maxsize=4)
def _level(known: Background) -> Level | None:
    """By identity: a process that goes on searching reads a background once."""
    return level(known.reached - known.words @ known.mean / 2)


def _answers(found: Scored, place: Cut, base: float, where: Level) -> list[Answer]:
    return [
        Answer(
            photo_id, score, _match(score - base / 2, place, where), n < place.kept, _why(n, score, base, place, where)
        )
        for n, (photo_id, score) in enumerate(found)
    ]


def _match(score: float, place: Cut, where: Level) -> float:
    """0 at what unrelated words reach, a half where an answer begins, 1 as far above that again."""
    if not place.understood:
        return 0.0
    return _within(0.5 * (score - where.mean) / max(where.least - where.mean, 1e-9))


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _why(n: int, score: float, base: float, place: Cut, where: Level) -> str:
    if not place.understood:
        return _NOT_UNDERSTOOD
    reach = f"unrelated words reach {where.mean + base / 2:.3f} ± {where.spread:.3f}"
    far = f"{where.distance(score - base / 2):+.1f} spreads from that"
    if n < place.kept:
        return f"{reach}; {far}, {place.last + base / 2:.3f} is needed"
    if place.kept:
        return f"{reach}; {far}, too far behind the best ({place.best + base / 2:.3f})"
    return f"{reach}; {far}, {where.least + base / 2:.3f} is needed for an answer"
