"""One ranking out of the lists: what they keep is fused, what they cut comes after it or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import PurePath

from photoindex.conditions import Chosen
from photoindex.media.reach import unreachable
from photoindex.pure.fusion import reciprocal_rank_fusion
from photoindex.records import Found, Hit, PhotoRow
from photoindex.search.explain import reasons
from photoindex.search.lists import Asked, RankedList
from photoindex.search.options import WEIGHTS, SearchOptions
from photoindex.search.words import Answer
from photoindex.store.library import Library
from photoindex.store.vector_index import Scored

RRF_K = 60
_LEAST_TRUST = 0.1  # of a list whose best photo does not answer: its order still counts among what was cut
_ANSWER_S = 0.5  # how long a search waits for a network folder to answer
_SPARE = 50  # rows asked for beyond the limit: the catalog may not know the photos that a scan is writing just now


def rank(library: Library, asked: Asked, lists: Mapping[str, RankedList], options: SearchOptions) -> Found:
    """The hits of a search, best first, out of its ranked lists."""
    with library.queries.at_once():
        return _ranked(library, asked, _with_files(library, lists), options)


def _ranked(library: Library, asked: Asked, lists: Mapping[str, RankedList], options: SearchOptions) -> Found:
    matches = _matches(lists)
    kept = {i for i, match in matches.items() if match >= options.min_score} & _kept(lists)
    ranked = _fused(lists, options, lambda answer: answer.kept and answer.photo_id in kept)
    total = len(ranked)
    if options.everything:
        ranked += _fused(lists, options, lambda answer: answer.photo_id not in kept)
    shown = _shown(library, ranked, options, asked.fits)
    why = reasons(library, asked, lists, [row.photo_id for _, row in shown]) if options.explain else {}
    hits = tuple(
        Hit(place, score, row, why.get(row.photo_id, ()), matches[row.photo_id], row.photo_id in kept)
        for place, (score, row) in enumerate(shown, 1)
    )
    more = any(ranked_list.answers.more for ranked_list in lists.values())
    return Found(hits, total, more, len(matches) - total)


def listed(
    library: Library, photo_ids: Chosen, options: SearchOptions, fits: Callable[[str], int] = lambda _: 0
) -> Found:
    """Photos that only pass filters, in the order they come in. `fits`: see `Asked`."""
    first = photo_ids.first(options.limit + _SPARE if options.limit and options.sort == "relevance" else 0)
    shown = _shown(library, [(photo_id, 0.0) for photo_id in first], options, fits)
    return Found(tuple(Hit(place, 0.0, row) for place, (_, row) in enumerate(shown, 1)), len(photo_ids))


def _with_files(library: Library, lists: Mapping[str, RankedList]) -> dict[str, RankedList]:
    """Without photos that are in no file any more, and those that a scan is writing just now: they take no places."""
    there = library.queries.with_files({answer.photo_id for answer in _answers(lists)})
    return {
        name: replace(
            ranked,
            answers=replace(
                ranked.answers, answers=[each for each in ranked.answers.answers if each.photo_id in there]
            ),
        )
        for name, ranked in lists.items()
    }


def _fused(
    lists: Mapping[str, RankedList], options: SearchOptions, wanted: Callable[[Answer], bool]
) -> list[tuple[int, float]]:
    """A list counts by its weight and by how well its best photo answers: a guess does not outdo what is sure."""
    chosen = {name: [answer for answer in ranked.answers.answers if wanted(answer)] for name, ranked in lists.items()}
    weights = {
        name: options.weights.get(name, WEIGHTS[name]) * max(_LEAST_TRUST, *(answer.match for answer in answers))
        for name, answers in chosen.items()
        if answers
    }
    ids = {name: [answer.photo_id for answer in chosen[name]] for name in weights}
    return reciprocal_rank_fusion(ids, RRF_K, weights)


def _matches(lists: Mapping[str, RankedList]) -> dict[int, float]:
    """How well each photo answers, by the list that it answers best."""
    best: dict[int, float] = {}
    for answer in _answers(lists):
        best[answer.photo_id] = max(answer.match, best.get(answer.photo_id, 0.0))
    return best


def _kept(lists: Mapping[str, RankedList]) -> set[int]:
    return {answer.photo_id for answer in _answers(lists) if answer.kept}


def _answers(lists: Mapping[str, RankedList]) -> Iterable[Answer]:
    return (answer for ranked in lists.values() for answer in ranked.answers.answers)


def _shown(
    library: Library, ranked: Scored, options: SearchOptions, fits: Callable[[str], int]
) -> list[tuple[float, PhotoRow]]:
    """Scores and rows of the hits in the order asked for; ids that the catalog does not know are dropped.

    Photos of folders that cannot be reached are marked: they are found all the same, but cannot be opened.
    """
    read = ranked[: options.limit + _SPARE] if options.limit and options.sort == "relevance" else ranked
    rows = library.queries.rows([photo_id for photo_id, _ in read], partial(unreachable, limit_s=_ANSWER_S), fits)
    known = [(score, rows[photo_id]) for photo_id, score in read if photo_id in rows]
    if options.sort == "date":
        known.sort(key=lambda hit: hit[1].taken_at or datetime.min, reverse=True)
    elif options.sort == "name":
        known.sort(key=lambda hit: (PurePath(hit[1].path).name.casefold(), hit[1].path))
    return known[: options.limit or None]
