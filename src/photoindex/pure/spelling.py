"""Other spellings of a word that a library really holds: longer words it begins or is part of, and near misses.

The vocabulary is text as the store keeps it: folded terms in order, one a line, each with a tab and its count, and a
line feed before the first. Beginnings are looked up by halving, everything else by `bytes.find`, which takes
milliseconds for a million terms where a scan in Python or SQL takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# How much a word that is not the one asked for still counts. A completed word is as good as meant; a part of a
# compound less; a misspelling is a guess.
JOINED, PREFIX, INSIDE, ONE_EDIT, TWO_EDITS = 0.95, 0.8, 0.7, 0.75, 0.55
_COMPLETED_FROM, _INSIDE_FROM = 4, 5  # characters: shorter parts are in too many words
_ONE_EDIT_FROM, _TWO_EDITS_FROM, _PLURAL_FROM = 4, 8, 6
_MOST = 60  # alternatives of one kind for one word, the most frequent first
_MOST_LOOKED_AT = 20_000
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff]")


@dataclass(frozen=True, slots=True)
class Terms:
    """The words of a library. `lines`: b"\\n" then b"term\\tcount\\n" for each, in the order of their UTF-8 bytes."""

    lines: bytes

    def count(self, term: str) -> int:
        """In how many documents the term is; 0 where the library does not know it."""
        key = term.encode() + b"\t"
        at = self._first(key)
        return int(self.lines[at + len(key) : self.lines.find(b"\n", at)]) if self.lines.startswith(key, at) else 0

    def beginning(self, part: str) -> Iterator[tuple[str, int]]:
        """Terms that begin with `part`, itself among them, with their counts."""
        key = part.encode()
        at = self._first(key)
        for _ in range(_MOST_LOOKED_AT):
            if at >= len(self.lines) or not self.lines.startswith(key, at):
                return
            end = self.lines.find(b"\n", at)
            term, _, count = self.lines[at:end].partition(b"\t")
            yield term.decode(), int(count)
            at = end + 1

    def _first(self, key: bytes) -> int:
        """Where the first line begins that is not before `key` in the order of bytes; the end where none is."""
        low, high = 1, len(self.lines)
        while low < high:
            start = self.lines.rfind(b"\n", 0, (low + high) // 2 + 1) + 1
            if start <= low:  # the middle lies in the first line that is left
                start = low
            end = self.lines.find(b"\n", start) + 1
            if self.lines[start : end - 1] < key:
                low = end
            else:
                high = start
        return low

    def ending(self, part: str) -> Iterator[tuple[str, int]]:
        return self._lines_with(part.encode() + b"\t", 0)

    def holding(self, part: str) -> Iterator[tuple[str, int]]:
        return self._lines_with(part.encode(), 0)

    def _lines_with(self, key: bytes, skip: int) -> Iterator[tuple[str, int]]:
        at = self.lines.find(key)
        for _ in range(_MOST_LOOKED_AT):
            if at < 0:
                return
            start = self.lines.rfind(b"\n", 0, at + skip) + 1
            end = self.lines.find(b"\n", at + skip)
            term, _, count = self.lines[start:end].partition(b"\t")
            yield term.decode(), int(count)
            at = self.lines.find(key, end)


def completions(term: str, vocabulary: Terms) -> dict[str, float]:
    """Longer words that begin with `term` or hold it, with how much each counts (0 to 1)."""
    found: dict[str, tuple[float, int]] = {}
    if not _has_parts(term):
        return {}
    if len(term) >= _INSIDE_FROM:
        found |= {other: (INSIDE, count) for other, count in vocabulary.holding(term)}
    if len(term) >= _COMPLETED_FROM:
        found |= {other: (PREFIX, count) for other, count in vocabulary.beginning(term)}
    found.pop(term, None)
    return _most_frequent(found)


def misspellings(term: str, vocabulary: Terms) -> dict[str, float]:
    """Words a slip or two away from `term`: a letter more, less or other, or two changed round."""
    if len(term) < _ONE_EDIT_FROM or term.isdecimal() or not _has_parts(term):
        return {}
    most = 2 if len(term) >= _TWO_EDITS_FROM else 1
    found: dict[str, tuple[float, int]] = {}
    for other, count in _alike(term, vocabulary, most):
        if abs(len(other) - len(term)) <= most + 1 and other not in found and not other.isdecimal():
            distance = edits(term, other, most)
            if len(term) >= _PLURAL_FROM:  # the plural may have been folded away in the library
                distance = min(distance, edits(term, other + "s", most))
            if 0 < distance <= most:
                found[other] = (ONE_EDIT if distance == 1 else TWO_EDITS, count)
    return _most_frequent(found)


def parted(term: str, vocabulary: Terms) -> tuple[str, ...]:
    """Two known words that `term` is made of (noparking: no, parking); itself alone where there are none."""
    pairs = [(term[:at], term[at:]) for at in range(2, len(term) - 1)] if _has_parts(term) else []
    known = [(min(map(vocabulary.count, pair)), pair) for pair in pairs]
    best = max(known, default=(0, (term,)))
    return best[1] if best[0] else (term,)


def edits(one: str, other: str, most: int) -> int:
    """Optimal string alignment distance (Damerau 1964: changing two neighbours round is one edit), or `most` + 1."""
    one, other = _without_same_ends(one, other)
    if not one or not other:
        return min(max(len(one), len(other)), most + 1)
    if len(set(one) ^ set(other)) > 2 * most:  # an edit takes one letter away and brings one
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, other_char in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != other_char))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == other_char:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def _without_same_ends(one: str, other: str) -> tuple[str, str]:
    first, shorter = 0, min(len(one), len(other))
    while first < shorter and one[first] == other[first]:
        first += 1
    last = 0
    while last < shorter - first and one[-1 - last] == other[-1 - last]:
        last += 1
    return one[first : len(one) - last], other[first : len(other) - last]


def _alike(term: str, vocabulary: Terms, most: int) -> Iterator[tuple[str, int]]:
    """What may be within `most` edits: cut into parts, one more than edits, some part has been left whole."""
    for changed in (term[:at] + term[at + 1] + term[at] + term[at + 2 :] for at in range(len(term) - 1)):
        if count := vocabulary.count(changed):
            yield changed, count  # the two that changed places may lie on both sides of a cut
    step = -(-len(term) // (most + 1))
    parts = [term[at : at + step] for at in range(0, len(term), step)]
    yield from vocabulary.beginning(parts[0])
    yield from vocabulary.ending(parts[-1])
    for part in parts[1:-1]:
        yield from vocabulary.holding(part)


def _has_parts(term: str) -> bool:
    """Chinese, Japanese, Korean and Thai words are pairs of characters already."""
    return not _UNSPACED.search(term)


def _most_frequent(found: Mapping[str, tuple[float, int]]) -> dict[str, float]:
    best = sorted(found.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))[:_MOST]
    return {term: weight for term, (weight, _) in best}
