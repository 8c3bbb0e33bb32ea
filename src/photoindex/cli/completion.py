"""What a shell completes inside a query: fields, and the values that the library has for them.

A shell asks at every press of TAB and shows whatever is written, so errors end in no proposals, never in a message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from photoindex.cli.lean import short_command
from photoindex.config import Settings, read_settings

if TYPE_CHECKING:
    from photoindex.models.registry import Registry

_PIECE = re.compile(
    r'(?P<head>(?:.*?[\s(])??)(?P<sign>-?)(?:(?P<field>[a-z]+):)?(?P<value>"[^"]*|[^\s()":]*)', re.DOTALL
)
_FACTS = {"tag": ["tag"], "category": ["category"], "camera": ["camera"], "lens": ["lens"]}
_FACTS |= {"place": ["city", "metropolis", "region", "country"], "in": ["collection"]}


class _Whole(str):
    """Typer drops what does not begin with the word as the shell cut it; bash takes what it is given."""

    __slots__ = ()

    def startswith(self, *_: object) -> bool:
        return True


def complete_query(ctx: typer.Context, incomplete: str) -> list[str]:
    """What the last word of a query may become."""
    return _quietly(lambda: _query(_settings(ctx), incomplete))


def complete_value(field: str) -> Callable[[typer.Context, str], list[str]]:
    """The completion of an option that takes a value of a field."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        return _quietly(lambda: [_Whole(value) for value in _values(_settings(ctx), field, incomplete)])

    return complete


def complete_profile(ctx: typer.Context, incomplete: str) -> list[str]:
    return _quietly(lambda: [name for name in _registry(ctx).profiles if name.startswith(incomplete)])


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    return _quietly(lambda: [name for name in _registry(ctx).models if name.startswith(incomplete)])


def _quietly(find: Callable[[], list[str]]) -> list[str]:
    short_command()
    try:
        return find()
    except Exception:  # noqa: BLE001 - a message would be written into the line that is being typed
        return []


def _settings(ctx: typer.Context) -> Settings:
    library = ctx.params.get("library") or ctx.find_root().params.get("library")
    return read_settings(library, models=ctx.params.get("models"))


def _registry(ctx: typer.Context) -> Registry:
    from photoindex.cli.options import registry_of

    return registry_of(_settings(ctx))


def _query(settings: Settings, incomplete: str) -> list[str]:
    cut = _cut_by_bash()
    typed = incomplete if cut is None else cut + incomplete.removeprefix(":")
    piece = _PIECE.fullmatch(typed)
    if piece is None:
        return []
    before = piece["head"] + piece["sign"]
    if piece["field"] is None:
        return [before + text for text in _fields(settings, piece["value"])] if piece["value"][:1] != '"' else []
    values = _values(settings, piece["field"], piece["value"])
    if cut is not None:
        return [_Whole(value) for value in values]
    return [f"{before}{piece['field']}:{value}" for value in values]


def _cut_by_bash() -> str | None:
    """The field that is being completed where bash has cut tag:do into the words tag, : and do; None elsewhere."""
    if os.environ.get("_PHOTOINDEX_COMPLETE") != "complete_bash":
        return None
    words, at = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
    colon = at if words[at : at + 1] == [":"] else at - 1
    return f"{words[colon - 1]}:" if colon > 0 and words[colon] == ":" else None


def _fields(settings: Settings, start: str) -> list[str]:
    """Fields that begin so. A single one comes with its values, or an example: shells end a single proposal by a
    space, which must not stand after the colon."""
    from photoindex.pure.query.fields import FIELDS

    names = [name for name in FIELDS if name.startswith(start)]
    found = [f"{name}:" for name in names]
    if len(names) != 1:
        return found
    values = _values(settings, names[0], "") or [FIELDS[names[0]].example.lstrip("<>=")]
    return found + [f"{names[0]}:{value}" for value in values]


def _values(settings: Settings, field: str, start: str) -> list[str]:
    """Values of the field that begin so, as they can be typed: in one word, or in quotes where those were begun."""
    from photoindex.pure.fold import fold

    quoted = start.startswith('"')
    asked = fold(start.removeprefix('"'))
    found = {_written(name, quoted, exact=field == "in"): name for name in _known(settings, field)}
    return sorted({_as_typed(text, start) for text, name in found.items() if text and fold(name).startswith(asked)})


def _as_typed(text: str, start: str) -> str:
    """In the case and with the accents of what was typed: shells drop what does not begin with it, and searching does
    not mind."""
    from photoindex.pure.fold import fold

    plain = "-".join(fold(text).split())
    same = [form for form in (text, plain) if form[: len(start)].casefold() == start.casefold()]
    return start + same[0][len(start) :] if same else text


def _written(name: str, quoted: bool, exact: bool) -> str:
    """A name that a shell and the query language read as one word; empty where there is no such form."""
    if not name.isprintable() or '"' in name:
        return ""
    if quoted:
        return f'"{name}"'
    if re.fullmatch(r"\w[\w.+-]*", name):
        return name
    # Names are compared by their words, so that a hyphen is as good as a space. Only collections go by the letter.
    return "" if exact else "-".join(re.findall(r"\w+", name))


def _known(settings: Settings, field: str) -> Iterable[str]:
    from photoindex.pure.query.fields import FIELDS, MONTHS
    from photoindex.store.connection import CatalogFile
    from photoindex.store.filters import finding

    if field == "month":
        return MONTHS
    if field not in FIELDS or FIELDS[field].choices:
        return FIELDS[field].choices if field in FIELDS else ()
    if field not in _FACTS:
        return ()
    # `Library` would do the same, but what it is made of takes longer to load than all of this.
    with finding(CatalogFile(settings.library / "catalog.duckdb", writable=False)) as finder:
        return {value for fact in _FACTS[field] for value in finder.values(fact)}
