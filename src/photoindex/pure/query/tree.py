"""What a query says, as a small tree of frozen records. `str()` of a tree is a query that parses to the same tree.

`at` is where the part stands in what was typed, as (first, last + 1) character; it is left out of comparisons.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Span = tuple[int, int]
Operator = Literal["=", "<", "<=", ">", ">=", ".."]
NOWHERE: Span = (0, 0)
WEIGHT = re.compile(r"(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(?:\*|:(?!\d))(?=\S)")
_BARE = re.compile(r"[\w.,/@&+#'=%-]+")


@dataclass(frozen=True, slots=True)
class Text:
    """The value of a field of words. `glob`: its * and ? stand for any characters."""

    text: str
    glob: bool = False

    def __str__(self) -> str:
        return self.text if self.glob or _BARE.fullmatch(self.text) else quote(self.text)


@dataclass(frozen=True, slots=True)
class Number:
    """A comparison with a number, or with two for "..", both inclusive."""

    operator: Operator
    low: Decimal
    high: Decimal | None = None

    def __str__(self) -> str:
        if self.operator == "..":
            return f"{self.low:f}..{self.high:f}"
        return f"{self.operator.removeprefix('=')}{self.low:f}"


@dataclass(frozen=True, slots=True)
class Dates:
    """A comparison with a year, month, day or moment, written like 2023, 2023-05, 2023-05-01 or 2023-05-01T14:30."""

    operator: Operator
    low: str
    high: str | None = None

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" if self.operator == ".." else f"{self.operator.removeprefix('=')}{self.low}"


@dataclass(frozen=True, slots=True)
class Near:
    """Within `km` of a position in degrees north and east."""

    latitude: Decimal
    longitude: Decimal
    km: Decimal

    def __str__(self) -> str:
        return f"{self.latitude:f},{self.longitude:f}~{self.km:f}km"


Value = Text | Number | Dates | Near


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    at: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    at: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return quote(self.text)


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    value: Value
    at: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"


@dataclass(frozen=True, slots=True)
class Not:
    part: Node
    at: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"-({self.part})" if isinstance(self.part, And | Or) else f"-{self.part}"


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " OR ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a sum of meanings: words, or a picture (`like`: a path or the beginning of a SHA-256)."""

    words: tuple[Word | Phrase, ...] = ()
    like: str | None = None
    weight: Decimal = Decimal(1)
    minus: bool = False
    at: Span = field(default=NOWHERE, compare=False)

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def is_plain(self) -> bool:
        """Whether a sum of this alone says no more than its words."""
        return self.like is None and not self.minus and self.weight == 1 and not WEIGHT.match(str(self.words[0]))

    def __str__(self) -> str:
        what = " ".join(map(str, self.words)) if self.like is None else f"like:{Text(self.like)}"
        return f"{self.weight:f}*{what}" if self.weight != 1 or WEIGHT.match(what) else what


@dataclass(frozen=True, slots=True)
class Sum:
    """Texts and pictures added and subtracted by meaning."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        rest = "".join(f" {'-' if term.minus else '+'} {term}" for term in self.terms[1:])
        return f"{'- ' if self.terms[0].minus else ''}{self.terms[0]}{rest}"


Node = Word | Phrase | Field | Not | And | Or | Sum
NOTHING = And(())


def both(*nodes: Node) -> Node:
    """All of them at once, without And inside And."""
    parts = tuple(part for node in nodes for part in (node.parts if isinstance(node, And) else (node,)))
    return parts[0] if len(parts) == 1 else And(parts)


def either(*nodes: Node) -> Node:
    """Any of them, without Or inside Or."""
    parts = tuple(part for node in nodes for part in (node.parts if isinstance(node, Or) else (node,)))
    return parts[0] if len(parts) == 1 else Or(parts)


def fields_of(node: Node) -> list[Field]:
    """Every field in a query, also those that exclude."""
    if isinstance(node, And | Or):
        return [field for part in node.parts for field in fields_of(part)]
    return fields_of(node.part) if isinstance(node, Not) else [node] if isinstance(node, Field) else []


def quote(text: str) -> str:
    return '"' + re.sub(r'(["“”„\\])', r"\\\1", text) + '"'
