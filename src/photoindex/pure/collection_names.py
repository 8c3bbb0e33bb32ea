"""The names of collections: two that differ only in case, or in how accents are encoded, are one name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from photoindex.errors import UsageError
from photoindex.pure.query.fields import did_you_mean, nearest
from photoindex.pure.query.tree import quote
from photoindex.pure.query.values import ValueWrong, parse_value

LONGEST = 100
_NAMES_SHOWN = 8


def key_of(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def known_as(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` means, as it was written when it was made."""
    return next((known for known in names if key_of(known) == key_of(name)), None)


def checked(name: str) -> str:
    """A name for a new collection, in NFC and without spaces around it. Raises UsageError."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name or not name.isprintable() or len(name) > LONGEST:
        raise UsageError(f"{name!r} is no name for a collection: give 1 to {LONGEST} characters that can be shown.")
    try:
        parse_value("in", name, quoted=True)
    except ValueWrong as wrong:
        raise UsageError(f"{name!r} is no name for a collection: {wrong}") from None
    return name


def unknown(text: str, names: Iterable[str]) -> str:
    """What to tell of a name that no collection has."""
    known = sorted(names)
    meant = did_you_mean(name if name.isalnum() else quote(name) for name in nearest(text, known, 2))
    listed = f" There are: {', '.join(known)}." if known and not meant and len(known) <= _NAMES_SHOWN else ""
    none = "" if known else " There are no collections in this library yet."
    return f"No collection is called {text!r}.{meant}{listed}{none}"
