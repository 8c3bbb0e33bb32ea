"""How well a photo's text answers the words of a query: which of them it holds, in what spelling and in which field."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice, pairwise
from math import log

from photoindex.pure.fold import fold, tokens
from photoindex.pure.spelling import JOINED, Terms, completions, misspellings, parted

# The fields of a document, in its order, with what a word in them counts: a tag or a title says what the photo is
# about, the name of a folder least.
FIELDS: Mapping[str, float] = {"ocr": 1.0, "tags": 1.1, "words": 1.1, "place": 1.1, "name": 0.7}
FIELD_END = "\ue000"  # a private character, which folding leaves nowhere else
_IN_ORDER = 0.25  # more for the whole query as it stands in one field
_MOST_WORDS = 32
_LONGEST_TAG = 4
# Words that join others: welcome where they stand, not asked for.
_JOINING_WORDS = (
    "a an and as at by for from in into is of on or over the to with under"  # English
    " am an auf aus bei das dem den der die ein eine im in mit oder und vom von zu zum zur"  # German
    " au aux avec dans de des du en et la le les sur un une"  # French
    " al con del el en las los por un una y"  # Spanish
    " da di il lo nel per su"  # Italian
)
_JOINING = frozenset(_JOINING_WORDS.split())


@dataclass(frozen=True, slots=True)
class Wanted:
    """One word of a query. `spellings`: terms of the library that stand for it, with how much each counts (0 to 1).

    `weight`: how telling the word is, by how few documents hold it; `needed` is false for words that only join.
    """

    term: str
    spellings: Mapping[str, float]
    weight: float
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Met:
    """A word of the query as a photo holds it."""

    term: str
    spelling: str
    quality: float
    field: str


@dataclass(frozen=True, slots=True)
class Match:
    """How a document answers. `coverage`: the share (0 to 1) of the query's weight that it holds; `whole`: every
    needed word is there in some spelling; `score`: by what matches are ordered; `where`: all fields that hold some."""

    score: float
    coverage: float
    whole: bool
    met: tuple[Met, ...] = ()
    where: tuple[str, ...] = ()


def wanted_words(query: str, vocabulary: Terms, documents: int, *, guess: bool = False) -> list[Wanted]:
    """The words of a query with the spellings of them that the library holds; with misspellings where `guess`.

    Words that were typed as one or as two meet the other way too. `documents`: how many there are.
    """
    asked = _asked(query, vocabulary, guess)
    joined = _joined(list(asked), vocabulary)
    needed = [term for term in asked if term not in _JOINING] or list(asked)
    found = []
    for term, guesses in asked.items():
        spellings = {**guesses, **completions(term, vocabulary), **joined.get(term, {}), term: 1.0}
        rarity = _rarity(vocabulary.count(term), documents)
        found.append(Wanted(term, spellings, rarity * (1.0 if term in needed else 0.1), term in needed))
    return found


def _asked(query: str, vocabulary: Terms, guess: bool) -> dict[str, dict[str, float]]:
    """The words of the query, each once, with what else they may have been meant to be where `guess`."""
    asked: dict[str, dict[str, float]] = {}
    for word in fold(query).split():
        for term in tokens(word):
            typed = word if len(tokens(word)) == 1 else term
            guesses = {**misspellings(typed, vocabulary), **misspellings(term, vocabulary)} if guess else {}
            known = guesses or not guess or vocabulary.count(term) or completions(term, vocabulary)
            for part in (term,) if known else parted(term, vocabulary):
                asked.setdefault(part, guesses)
    return dict(islice(asked.items(), _MOST_WORDS))


def tag_names(query: str, known: Collection[str]) -> dict[str, float]:
    """Those of the `known` tags (in lower case) that a query names, longest first, with the share of its words that
    each is; words that only join count nothing."""
    spans = _spans(query)
    total = max((end for _, end in spans.values()), default=0)
    taken: set[int] = set()
    found: dict[str, float] = {}
    joining = {place for name, (place, end) in spans.items() if end == place + 1 and name in _JOINING}
    needed = set(range(total)) - joining or set(range(total))
    for name, (first, end) in sorted(spans.items(), key=lambda item: item[1][0] - item[1][1]):
        places = set(range(first, end))
        if name in known and not places & taken and places & needed:
            taken |= places
            found[name] = len(places & needed) / len(needed)
    return found


def possible_tags(query: str) -> Collection[str]:
    """Every run of up to four words of a query, as it is and with its last word in the singular: what may be a tag."""
    return _spans(query).keys()


def _spans(query: str) -> dict[str, tuple[int, int]]:
    words = query.casefold().split()[:_MOST_WORDS]
    spans: dict[str, tuple[int, int]] = {}
    for first in range(len(words)):
        for end in range(first + 1, min(first + _LONGEST_TAG, len(words)) + 1):
            run = words[first:end]
            for name in (" ".join(run), " ".join([*run[:-1], *tokens(run[-1])])):
                spans.setdefault(name, (first, end))
    return spans


def match(document: str, wanted: Sequence[Wanted]) -> Match:
    """How a document (fields parted by FIELD_END, in the order of FIELDS) answers the words."""
    held = [(name, text.split()) for name, text in zip(FIELDS, document.split(FIELD_END), strict=False)]
    words = set(document.split())
    found = [_found(word, held, words) for word in wanted]
    best = [
        max(all_met, key=lambda met: (met.quality * FIELDS[met.field], met.spelling), default=None) for all_met in found
    ]
    total = sum(word.weight for word in wanted) or 1.0
    pairs = [(word, met) for word, met in zip(wanted, best, strict=True) if met]
    coverage = sum(word.weight * met.quality for word, met in pairs) / total
    score = sum(word.weight * met.quality * FIELDS[met.field] for word, met in pairs) / total
    if len(wanted) > 1 and len(pairs) == len(wanted) and _in_order(document, wanted):
        score *= 1 + _IN_ORDER
    whole = all(met or not word.needed for word, met in zip(wanted, best, strict=True)) and bool(pairs)
    where = {met.field for all_met in found for met in all_met}
    return Match(
        score, coverage, whole, tuple(met for _, met in pairs), tuple(name for name in FIELDS if name in where)
    )


def _found(word: Wanted, held: Sequence[tuple[str, Sequence[str]]], words: Set[str]) -> list[Met]:
    """The word as each field holds it; `words` are those of all fields, most of which are no spelling of it."""
    there = word.spellings.keys() & words
    if not there:
        return []
    return [
        Met(word.term, spelling, word.spellings[spelling], name)
        for name, field in held
        for spelling in there
        if spelling in field
    ]


def _in_order(document: str, wanted: Sequence[Wanted]) -> bool:
    return f" {' '.join(word.term for word in wanted)} " in f" {document} "


def _joined(terms: Sequence[str], vocabulary: Terms) -> dict[str, dict[str, float]]:
    """Neighbours that the library writes as one word: that word stands for both."""
    found: dict[str, dict[str, float]] = {}
    for one, other in pairwise(terms):
        if vocabulary.count(one + other):
            found.setdefault(one, {})[one + other] = JOINED
            found.setdefault(other, {})[one + other] = JOINED
    return found


def _rarity(count: int, documents: int) -> float:
    """Inverse document frequency as BM25 has it (Robertson and Sparck Jones), never below a tenth."""
    count = min(count, documents)
    return max(0.1, log(1 + (documents - count + 0.5) / (count + 0.5)))
