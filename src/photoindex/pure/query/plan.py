"""What of a query ranks, and what of it filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from photoindex.errors import QueryInvalid
from photoindex.pure.fold import fold
from photoindex.pure.query.tree import And, Node, Or, Phrase, Sum, Term, Word, both

MAX_TEXTS = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """`texts`: what to rank by; of several a photo counts by the one it fits best. `terms`: instead of texts, a sum of
    meanings. `where`: what every photo found must fulfil; words and phrases in it are to be in the photo's text.
    """

    texts: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    where: Node | None = None


def split(query: Node) -> Plan:
    """Words rank and do not filter; fields, phrases and what is negated filter. A phrase does both.

    Alternatives of words alone, as in (red OR blue) car, rank: as if both red car and blue car were searched. Where a
    field, a phrase or a negation is among the alternatives, its words filter, too. Raises QueryInvalid for more
    than MAX_TEXTS texts.
    """
    parts = query.parts if isinstance(query, And) else (query,)
    sums = [part for part in parts if isinstance(part, Sum)]
    ranking = [part for part in parts if not sums and (isinstance(part, Word | Phrase) or _only_words(part))]
    where = [part for part in parts if not isinstance(part, Sum) and (isinstance(part, Phrase) or part not in ranking)]
    texts = _texts(ranking)
    for part in where:
        _check_words(part)
    return Plan(texts, sums[0].terms if sums else (), both(*where) if where else None)


def _check_words(node: Node) -> None:
    """A word that filters has to hold something to look for."""
    if isinstance(node, And | Or):
        for part in node.parts:
            _check_words(part)
    elif isinstance(node, Word) and not fold(node.text):
        raise QueryInvalid("There is no letter or digit here to look for.", node.text, (0, len(node.text)))


def _only_words(node: Node) -> bool:
    return isinstance(node, Word) or (isinstance(node, And | Or) and all(map(_only_words, node.parts)))


def _texts(ranking: list[Node]) -> tuple[str, ...]:
    if not ranking:
        return ()
    texts = _spelt_out(both(*ranking))
    return tuple(dict.fromkeys(texts))


def _spelt_out(node: Node) -> list[str]:
    """Every way to choose one of each alternative."""
    if isinstance(node, Or):
        texts = [text for part in node.parts for text in _spelt_out(part)]
    elif isinstance(node, And):
        ways = [_spelt_out(part) for part in node.parts]
        _check(node, ways)
        texts = [" ".join(way) for way in product(*ways)]
    else:
        texts = [node.text] if isinstance(node, Word | Phrase) else []
    _check(node, [texts])
    return texts


def _check(node: Node, ways: list[list[str]]) -> None:
    count = 1
    for way in ways:
        count *= len(way)
    if count > MAX_TEXTS:
        text = str(node)
        raise QueryInvalid(f"These alternatives make more than {MAX_TEXTS} searches.", text, (0, len(text)))


def combine(query: Node, filters: Sequence[Node] = (), terms: Sequence[Term] = ()) -> Node:
    """A query with more filters and terms, as options give them. With terms, what ranked becomes the first term."""
    parts = query.parts if isinstance(query, And) else (query,)
    if terms:
        sums = [part for part in parts if isinstance(part, Sum)]
        words = tuple(part for part in parts if isinstance(part, Word | Phrase))
        first = sums[0].terms if sums else (Term(words),) if words else ()
        parts = (Sum((*first, *terms)), *(part for part in parts if part not in words and part not in sums))
    return both(*parts, *filters)
