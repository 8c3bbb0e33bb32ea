"""A query as tokens with their places. Nothing here knows which fields there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from photoindex.errors import QueryInvalid
from photoindex.pure.query.tree import WEIGHT, Span

Kind = Literal["word", "phrase", "field", "(", ")", "not", "and", "or", "+", "-"]
_OPERATORS: dict[str, Kind] = {"AND": "and", "OR": "or", "NOT": "not"}
_OPENING, _CLOSING = '"“”„', '"“”'
_ESCAPED = frozenset('\\"“”„')
_WORD = re.compile(rf"[^\s(){_OPENING}]+")
_FIELD = re.compile(r"[A-Za-z]\w*:", re.ASCII)
MAX_LENGTH = 4_000


@dataclass(frozen=True, slots=True)
class Token:
    """`text`: the word, what stands inside quotes, or a field's value. `name`: of the field.

    `weight`: the number of 0.5*rain and 0.5:rain, whose `text` is rain. `raw`: as typed, `at` its place.
    """

    kind: Kind
    text: str
    raw: str
    at: Span
    name: str = ""
    quoted: bool = False
    weight: str | None = None

    @property
    def starred(self) -> bool:
        return self.weight is not None and self.raw.startswith(f"{self.weight}*")


def tokenize(query: str) -> list[Token]:
    """Raises QueryInvalid for quotes that are not closed and for queries beyond MAX_LENGTH characters."""
    if len(query) > MAX_LENGTH:
        raise QueryInvalid(f"The query is longer than {MAX_LENGTH} characters.", query, (MAX_LENGTH, len(query)))
    return list(_Lexer(query).tokens())


class _Lexer:
    def __init__(self, query: str) -> None:
        self.query, self.at = query, 0

    def tokens(self) -> Iterator[Token]:
        while self.at < len(self.query):
            if self.query[self.at].isspace():
                self.at += 1
            else:
                yield self._sign(self.at) or self._weighted(self.at) or self._item(self.at)

    def _sign(self, start: int) -> Token | None:
        char, after = self.query[start], self.query[start + 1 : start + 2]
        ends = not after or after.isspace()
        if char in "()":
            return self._take(char, start)  # type: ignore[arg-type]
        if char == "-":
            return self._take("-" if ends else "not", start)
        return self._take("+", start) if char == "+" and (ends or after in f"(){_OPENING}") else None

    def _take(self, kind: Kind, start: int) -> Token:
        self.at = start + 1
        return Token(kind, self.query[start], self.query[start], (start, start + 1))

    def _weighted(self, start: int) -> Token | None:
        """The item behind a weight; None where the digits are part of a word."""
        found = WEIGHT.match(self.query, start)
        if found is None or self.query[found.end()] in "()+-":
            return None
        self.at = found.end()
        item = self._item(start, found[1])
        if item.kind == "word" or (item.starred and item.kind in ("phrase", "field")):
            return item
        self.at = start
        return None

    def _item(self, start: int, weight: str | None = None) -> Token:
        if self.query[self.at] in _OPENING:
            return self._token("phrase", self._quoted(), start, "", True, weight)
        word = _WORD.match(self.query, self.at)[0]  # type: ignore[index]
        self.at += len(word)
        field = _FIELD.match(word)
        if field is None:
            return self._token(_OPERATORS.get(word, "word"), word, start, "", False, weight)
        name, value = field[0][:-1], word[field.end() :]
        quoted = not value and self.query[self.at : self.at + 1] in tuple(_OPENING)
        return self._token("field", self._quoted() if quoted else value, start, name, quoted, weight)

    def _token(self, kind: Kind, text: str, start: int, name: str, quoted: bool, weight: str | None) -> Token:
        return Token(kind, text, self.query[start : self.at], (start, self.at), name, quoted, weight)

    def _quoted(self) -> str:
        """The text up to the closing quote; a backslash before a quote or a backslash takes its meaning away."""
        start = self.at
        chars: list[str] = []
        self.at += 1
        while self.at < len(self.query):
            char = self.query[self.at]
            self.at += 1
            if char in _CLOSING:
                return "".join(chars)
            if char == "\\" and self.query[self.at : self.at + 1] in _ESCAPED:
                char = self.query[self.at]
                self.at += 1
            chars.append(char)
        raise QueryInvalid("These quotes are never closed.", self.query, (start, len(self.query)))
