"""The lists that words give: photos by their text, and photos by their tags."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from photoindex.pure.spelling import Terms
from photoindex.pure.words import Match, Wanted, match, possible_tags, tag_names, wanted_words
from photoindex.store.library import Library

# So many of the best by BM25 are read and scored again by field and spelling; further ones keep their order.
_READ = 400
# Some of the words are an answer only where no photo has all of them, and then if they are most of what was asked.
MOST_OF_IT = 0.6


@dataclass(frozen=True, slots=True)
class Answer:
    """A photo in a list: the list's own score, how well it answers (0 to 1), and the words it met."""

    photo_id: int
    score: float
    match: float
    kept: bool
    why: str
    met: Match | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """A list, best first, what is kept before what is cut. `more`: there are more than were counted."""

    answers: Sequence[Answer]
    more: bool = False


NO_ANSWERS = Answers(())


def by_text(
    library: Library, text: str, depth: int, among: Collection[int] | None, everything: bool = False
) -> Answers:
    """Photos whose text holds the words, in any spelling of them that the library has.

    Slips are forgiven only where nothing has every word as typed. Photos with some of the words are kept only where
    none has all of them and they hold most of what was asked; else they follow where `everything` is asked for.
    """
    terms = library.vectors.terms()
    for guess in (False, True):
        wanted = wanted_words(text, Terms(terms.lines), terms.documents, guess=guess)
        whole, more = _with_all(library, wanted, depth, among)
        if whole:
            break
    if whole and not everything:
        return Answers(whole, more)
    have = {answer.photo_id for answer in whole}
    rest = [answer for answer in _with_some(library, wanted, among, not whole) if answer.photo_id not in have]
    return Answers([*whole, *sorted(rest, key=lambda answer: not answer.kept)], more)


def by_tags(library: Library, text: str, depth: int, among: Collection[int] | None) -> Answers:
    """Photos with the tags that the query names, those first that have more of them and are surer of them."""
    asked = possible_tags(text)
    if not asked:
        return NO_ANSWERS
    rows = library.queries.tagged(asked, partial(tag_names, text), MOST_OF_IT, depth + 1, among)
    if rows and rows[0][1] < MOST_OF_IT:
        rows = rows[:_READ]  # none of them is an answer
    found = [_tag_answer(row, rows[0][1]) for row in rows[:depth]]
    found.sort(key=lambda answer: not answer.kept)
    return Answers(found, len(rows) > depth)


def _with_all(
    library: Library, wanted: Sequence[Wanted], depth: int, among: Collection[int] | None
) -> tuple[list[Answer], bool]:
    groups = [word.spellings.keys() for word in wanted if word.needed]
    rows = library.vectors.holding(groups, depth, every=True, among=among, texts=_READ)
    matches = [(photo_id, bm25, match(text, wanted)) for photo_id, bm25, text in rows[:_READ]]
    found = [_text_answer(i, met, True, "") for i, met in _ordered(matches) if met.whole]
    score, share = (found[-1].score, found[-1].match) if found else (0.0, 0.0)
    found += [Answer(photo_id, score, share, True, _WHOLE) for photo_id, _, _ in rows[_READ:]]
    return found, len(rows) == depth


def _with_some(library: Library, wanted: Sequence[Wanted], among: Collection[int] | None, alone: bool) -> list[Answer]:
    groups = [word.spellings.keys() for word in wanted if word.needed]
    rows = library.vectors.holding(groups, _READ, every=False, among=among)
    matches = [(photo_id, bm25, match(text, wanted)) for photo_id, bm25, text in rows]
    least = MOST_OF_IT if alone else 2.0
    return [_text_answer(i, met, met.coverage >= least, _partly(met, alone)) for i, met in _ordered(matches)]


_WHOLE = "has every word"


def _partly(met: Match, alone: bool) -> str:
    share = f"has {met.coverage:.0%} of what the words weigh"
    return f"{share}, {MOST_OF_IT:.0%} is asked for" if alone else f"{share}; other photos have every word"


def _ordered(matches: list[tuple[int, float, Match]]) -> list[tuple[int, Match]]:
    """By how well they answer, then by BM25."""
    return [(i, met) for i, _, met in sorted(matches, key=lambda row: (-row[2].score, -row[1]))]


def _text_answer(photo_id: int, met: Match, kept: bool, why: str) -> Answer:
    return Answer(photo_id, met.score, met.coverage, kept, why or _WHOLE, met)


def _tag_answer(row: tuple[int, float, float, list[str]], best: float) -> Answer:
    photo_id, share, score, tags = row
    share = min(1.0, share)
    whole = share > 1 - 1e-6
    kept = whole or (best <= 1 - 1e-6 and share >= MOST_OF_IT)
    why = f"tagged {', '.join(tags)}" + ("" if whole else f", {share:.0%} of what was asked")
    return Answer(photo_id, share * score, share, kept, why)


def merged(found: Sequence[Answers]) -> Answers:
    """Several lists of one kind as one: a photo counts by the text it answers best."""
    best: dict[int, Answer] = {}
    for answer in (answer for answers in found for answer in answers.answers):
        known = best.get(answer.photo_id)
        if known is None or (answer.kept, answer.score) > (known.kept, known.score):
            best[answer.photo_id] = answer
    if len(found) == 1:
        return found[0]
    ordered = sorted(best.values(), key=lambda answer: (not answer.kept, -answer.score))
    return Answers(ordered, any(answers.more for answers in found))
