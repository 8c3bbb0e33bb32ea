"""Queries as they come from a shell: words, options, and words that begin with a minus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from photoindex.errors import UsageError

if TYPE_CHECKING:
    from photoindex.pure.query import Node


class QueryCommand(TyperCommand):
    """A command whose words may begin with a minus: -tag:dog is a part of the query, no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What follows -- is left as it is. A space before a word keeps it from being read as an option."""
        end = args.index("--") if "--" in args else len(args)
        known = {name for param in self.params for name in param.opts}
        return super().parse_args(
            ctx, [f" {arg}" if at < end and _excludes(arg, known) else arg for at, arg in enumerate(args)]
        )

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """A word that begins with a minus may become an option or a part of the query."""
        found: list[Any] = super().shell_complete(ctx, incomplete)
        if not _excludes(incomplete, set()):
            return found
        words = next(param for param in self.params if param.name == "words")
        return found + words.shell_complete(ctx, incomplete)


def _excludes(arg: str, options: set[str]) -> bool:
    return arg.startswith("-") and arg not in options and arg[1:2] not in ("", "-")


def query_of(
    words: Sequence[str],
    options: Mapping[str, str | Sequence[str] | None],
    like: Sequence[str] = (),
    add: Sequence[str] = (),
    subtract: Sequence[str] = (),
) -> Node:
    """The tree of what was typed: words, options named like fields, and terms of a sum.

    Raises QueryInvalid for the words, UsageError for an option.
    """
    from photoindex.pure.query import combine, parse, parse_term
    from photoindex.pure.query.tree import Field, Term
    from photoindex.pure.query.values import ValueWrong, parse_value

    filters = []
    for name, given in options.items():
        for value in [given] if isinstance(given, str) else given or ():
            try:
                filters.append(Field(name, parse_value(name, value.strip(), quoted=True)))
            except ValueWrong as wrong:
                raise UsageError(f"--{name}: {wrong}") from None
    terms = [Term(like=picture) for picture in like]
    terms += [parse_term(text) for text in add] + [parse_term(text, minus=True) for text in subtract]
    return combine(parse(" ".join(words)), filters, terms)
