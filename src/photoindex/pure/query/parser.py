"""From what was typed to the tree of `tree`.

    query := and ("OR" and)*
    and   := item (("AND")? item)*
    item  := ("-" | "NOT")* (word | phrase | field | "(" query ")")
    sum   := term (("+" | "-") term)*        only outside parentheses; + and - stand alone between spaces
    term  := (number "*")? (words | picture)

Fields and groups may stand anywhere among the terms of a sum; they are no part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NoReturn

from photoindex.errors import QueryInvalid
from photoindex.pure.fold import fold
from photoindex.pure.query.fields import FIELDS, FORMATS, did_you_mean, nearest
from photoindex.pure.query.lexer import Token, tokenize
from photoindex.pure.query.tree import NOTHING, And, Field, Node, Not, Phrase, Span, Sum, Term, Word, both, either
from photoindex.pure.query.values import ValueWrong, parse_value

_DEEPEST = 40
_OPERANDS = {"word", "phrase", "field", "(", "not"}
_PATH_STARTS = ("./", "../", "/", "~/")

Item = Node | Token  # a Token here is a sign, a term with a weight or a picture: what only a sum can hold


def parse(query: str) -> Node:
    """The tree of a query; `NOTHING` for an empty one. Raises QueryInvalid, and nothing else."""
    return _Parser(query).parse()


def parse_term(text: str, minus: bool = False) -> Term:
    """A term as an option gives it: words, a path to a picture, with a weight before it (0.5:rain) or without.

    Raises QueryInvalid.
    """
    weight = next(iter(tokenize(text)), None)
    if weight is not None and weight.weight is not None:
        return _term([Word(text[len(weight.weight) + 1 :].strip())], Decimal(weight.weight), minus, (0, len(text)))
    if not text.strip():
        raise QueryInvalid("There is nothing here to add or subtract.", text, (0, len(text)))
    return _term([Word(text.strip())], Decimal(1), minus, (0, len(text)))


def is_picture_name(word: str) -> bool:
    stem, dot, suffix = word.rpartition(".")
    return bool(stem and dot) and suffix.lower() in FORMATS


class _Parser:
    def __init__(self, query: str) -> None:
        self.query = query
        self.tokens = tokenize(query)
        self.at = 0

    def parse(self) -> Node:
        if not self.tokens:
            return NOTHING
        first = self.items(0)
        if self.at == len(self.tokens):
            return _SumBuilder(self.wrong).build(first) if any(map(_summed, first)) else self.joined(first)
        node = self.alternatives(first, 0)
        if self.at < len(self.tokens):
            raise self.wrong(
                "This parenthesis closes nothing. Put the words in quotes to search for it.", self.tokens[self.at]
            )
        return node

    def alternatives(self, first: list[Item], depth: int) -> Node:
        """The OR level, its first part being read already."""
        parts = [self.joined(first)]
        while self.peek() == "or":
            self.at += 1
            parts.append(self.joined(self.items(depth)))
        return either(*parts)

    def joined(self, items: list[Item]) -> Node:
        return both(*(self.plain(item) for item in items))

    def plain(self, item: Item) -> Node:
        """What is no sum: a word such as 0.5:rain is a word, signs and pictures have no place."""
        if not isinstance(item, Token):
            return item
        if item.kind == "word" and not item.starred and not _is_path(item):
            return Word(item.raw, item.at)
        what = "A sign" if item.kind in "+-" else "A weight" if item.starred else "A picture"
        raise self.wrong(
            f"{what} belongs to a sum, outside of parentheses, OR and NOT. Put it in quotes if it is text.", item
        )

    def items(self, depth: int) -> list[Item]:
        """What stands together up to OR, a closing parenthesis or the end."""
        found: list[Item] = []
        while self.peek() not in ("or", ")", ""):
            token = self.tokens[self.at]
            if token.kind == "and":
                self.between(bool(found))
            elif token.kind in "+-":
                found.append(token)
                self.at += 1
            else:
                found.append(self.item(depth))
        if not found:
            self.missing()
        return found

    def between(self, has_left: bool) -> None:
        token = self.tokens[self.at]
        self.at += 1
        if not has_left or self.peek() not in _OPERANDS:
            raise self.wrong(
                f"{token.raw} stands between two parts. Write it in lower case to search for the word.", token
            )

    def item(self, depth: int) -> Item:
        first, negated = self.tokens[self.at], False
        while self.peek() == "not":
            negated = not negated
            self.at += 1
        if self.peek() not in _OPERANDS:
            hint = " Write it in lower case to search for the word." if first.raw == "NOT" else ""
            raise self.wrong(f"Nothing follows {first.raw!r} that could be excluded.{hint}", first)
        atom = self.atom(depth)
        if first.kind != "not":
            return atom
        part = self.plain(atom)
        if isinstance(part, Word | Phrase):
            self.need_word(part.text, part.at)
        return _negated(part, first.at) if negated else part

    def atom(self, depth: int) -> Item:
        token = self.tokens[self.at]
        self.at += 1
        match token.kind:
            case "(":
                return self.group(token, depth + 1)
            case "phrase":
                self.need_word(token.text, token.at)
                return token if token.weight else Phrase(token.text, token.at)
            case "field":
                return self.field(token)
        return token if token.weight or _is_path(token) else Word(token.text, token.at)

    def group(self, opening: Token, depth: int) -> Node:
        if depth > _DEEPEST:
            raise self.wrong(f"Parentheses may stand in each other {_DEEPEST} deep.", opening)
        node = self.alternatives(self.items(depth), depth)
        if self.peek() != ")":
            raise self.wrong("This parenthesis is never closed.", opening)
        self.at += 1
        return node

    def field(self, token: Token) -> Item:
        name = token.name.lower()
        if name not in FIELDS:
            return self.no_field(token)
        if token.weight is not None and name != "like":
            raise self.wrong("A weight belongs to words and pictures; this is a filter.", token)
        if not token.text:
            raise self.wrong(f"{name}: needs a value, such as {name}:{FIELDS[name].example} (without a space).", token)
        if name == "like":
            return token
        try:
            return Field(name, parse_value(name, token.text, token.quoted), token.at)
        except ValueWrong as wrong:
            raise QueryInvalid(str(wrong), self.query, token.at) from None

    def no_field(self, token: Token) -> Node:
        """A web address is a word, and so is one with a colon behind it, unless it is like a field's name."""
        meant = did_you_mean(f"{near}:" for near in nearest(token.name, FIELDS, 2))
        is_word = token.text.startswith("//") or (not token.text and not meant)
        if token.weight is None and not token.quoted and is_word:
            return Word(token.raw, token.at)
        ask = "" if meant else f" There are: {', '.join(FIELDS)}."
        raise self.wrong(
            f"There is no field {token.name!r}.{meant}{ask} Put it in quotes to search for it as text.", token
        )

    def need_word(self, text: str, at: Span) -> None:
        if not fold(text):
            raise QueryInvalid("There is no letter or digit here to look for.", self.query, at)

    def missing(self) -> NoReturn:
        token = self.tokens[min(self.at, len(self.tokens) - 1)]
        if token.kind == ")":
            raise self.wrong("Nothing stands before this parenthesis.", token)
        last = self.tokens[self.at - 1] if self.at and token.kind != "or" else token
        hint = " Write it in lower case to search for the word." if last.kind == "or" else ""
        raise self.wrong(f"{last.raw!r} needs something on both sides.{hint}", last)

    def peek(self) -> str:
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def wrong(self, message: str, token: Token) -> QueryInvalid:
        return QueryInvalid(message, self.query, token.at)


class _SumBuilder:
    """Gathers the words between the signs into terms; what is neither word nor picture is put aside as a filter."""

    def __init__(self, wrong: Callable[[str, Token], QueryInvalid]) -> None:
        self.wrong = wrong
        self.terms: list[Term] = []
        self.filters: list[Node] = []
        self.run: list[Word | Phrase] = []
        self.weight: str | None = None
        self.pictures: list[Term] = []
        self.sign: Token | None = None
        self.taken = False  # whether a picture has taken the sign

    def build(self, items: list[Item]) -> Node:
        for item in items:
            if isinstance(item, And):
                for part in item.parts:
                    self.add(part)
            else:
                self.add(item)
        self.flush()
        if len(self.terms) == 1 and self.terms[0].is_plain:
            return both(*self.terms[0].words, *self.filters)
        return both(Sum(tuple(self.terms)), *self.filters)

    def add(self, item: Item) -> None:
        if isinstance(item, Word | Phrase):
            self.add_word(item)
        elif not isinstance(item, Token):
            self.filters.append(item)
        elif item.kind in "+-":
            self.flush()
            self.sign = item
        elif item.kind == "field" or _is_path(item):
            self.add_picture(item)
        else:
            self.add_weighted(item)

    def add_word(self, word: Word | Phrase) -> None:
        if self.taken:
            raise self.wrong("Put + or - between the picture and these words.", _at(word))
        self.run.append(word)

    def add_weighted(self, token: Token) -> None:
        if self.run and token.starred:
            raise self.wrong("A weight stands before a whole term: put + or - before it.", token)
        if self.run:
            self.add_word(Word(token.raw, token.at))
        else:
            self.weight = token.weight
            self.add_word(Phrase(token.text, token.at) if token.kind == "phrase" else Word(token.text, token.at))

    def add_picture(self, token: Token) -> None:
        minus = self.sign is not None and self.sign.kind == "-" and not self.run
        term = Term((), token.text, Decimal(token.weight or 1), minus, token.at)
        if self.sign is None or self.run:
            self.pictures.append(Term((), term.like, term.weight, False, term.at))
        elif self.taken:
            raise self.wrong("Put + or - before this picture.", token)
        else:
            self.taken = True
            self.terms.append(term)

    def flush(self) -> None:
        """End of a term."""
        if self.sign is not None and not self.run and not self.taken:
            raise self.wrong(f"Nothing follows this {self.sign.raw!r}.", self.sign)
        if self.run:
            minus = self.sign is not None and self.sign.kind == "-"
            self.terms.append(_term(self.run, Decimal(self.weight or 1), minus, self.run[0].at))
        self.terms += self.pictures
        self.run, self.pictures, self.weight, self.sign, self.taken = [], [], None, None, False


def _term(run: list[Word | Phrase], weight: Decimal, minus: bool, at: Span) -> Term:
    """A single word that is the name of a picture means the picture."""
    if len(run) == 1 and isinstance(run[0], Word) and is_picture_name(run[0].text):
        return Term((), run[0].text, weight, minus, at)
    return Term(tuple(run), None, weight, minus, at)


def _summed(item: Item) -> bool:
    """Whether this makes a query a sum."""
    return isinstance(item, Token) and (item.kind in ("+", "-", "field") or item.starred or _is_path(item))


def _is_path(token: Token) -> bool:
    return token.kind == "word" and token.text.startswith(_PATH_STARTS) and is_picture_name(token.text)


def _negated(node: Node, at: Span) -> Node:
    return node.part if isinstance(node, Not) else Not(node, at)


def _at(node: Word | Phrase) -> Token:
    return Token("word", node.text, node.text, node.at)
