"""From the filters of a query to conditions that the store can ask: words are folded, names are looked up."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import assert_never, cast

import numpy as np

from photoindex.conditions import All, Among, Any, Between, Condition, Known, No, OneOf, Within
from photoindex.errors import QueryInvalid
from photoindex.pure.collection_names import key_of
from photoindex.pure.fold import document, fold, tokens
from photoindex.pure.query.fields import FORMATS, did_you_mean, nearest
from photoindex.pure.query.tree import And, Dates, Field, Near, Node, Not, Number, Or, Phrase, Sum, Text, Word, quote
from photoindex.pure.query.values import bounds, interval
from photoindex.pure.screenshots import SCREENS, is_screenshot_name
from photoindex.pure.words import FIELD_END
from photoindex.search.naming import path_test
from photoindex.store.filters import Finder
from photoindex.store.library import Library
from photoindex.store.vectors import DOCUMENTS

# PDQ bits up to which `is:duplicate` counts a photo as a near copy: by the hash alone, at once and for any number of
# photos. `photoindex dupes` looks at the pictures too, which takes time, and so finds more and is surer.
NEAR_BITS = 8
_NAMES_SHOWN = 8
_PLACES = ("city", "metropolis", "region", "country")


class Filtering:
    """Makes conditions of the filters of one query. `typed` is the query, for the places in errors."""

    def __init__(
        self,
        library: Library,
        finder: Finder,
        typed: str,
        warn: Callable[[str], None],
        collections: Mapping[str, Collection[int]] | None = None,
    ) -> None:
        """`collections`: the photos of those that the query names, by `key_of` the name; see `search.collected`."""
        self._library, self._finder, self._typed, self._warn = library, finder, typed, warn
        self._collections = collections or {}

    def condition(self, node: Node) -> Condition:
        """Raises QueryInvalid for what this library cannot answer."""
        match node:
            case And(parts):
                return All(tuple(map(self.condition, parts)))
            case Or(parts):
                return Any(tuple(map(self.condition, parts)))
            case Not(part):
                return No(self.condition(part))
            case Word(text) | Phrase(text):
                return Among(self._holding(tokens(text), in_order=isinstance(node, Phrase)))
            case Field():
                return self._field(node)
            case Sum():
                raise QueryInvalid("A sum cannot filter.", str(node), (0, len(str(node))))
        assert_never(node)

    def _field(self, field: Field) -> Condition:
        match field.value:
            case Number():
                return _between(field.name, field.value)
            case Dates():
                first, last = interval(field.name, field.value)
                return Between("taken_at", first, last, open_high=True)
            case Near(latitude, longitude, km):
                return Within(float(latitude), float(longitude), float(km))
            case Text(text, glob):
                return self._text(field, text, glob)
        assert_never(field.value)

    def _text(self, field: Field, text: str, glob: bool) -> Condition:
        match field.name:
            case "format":
                return OneOf("format", FORMATS[text])
            case "has":
                return Any((Known("faces"), self._tagged_in("people"))) if text == "people" else Known(text)
            case "is":
                return self._is(text)
            case "tag" | "category" | "camera" | "lens" | "place":
                return self._named(field, text)
            case "text":
                return Among(self._holding(tokens(text), in_order=True, first_field=True))
            case "caption":
                return Among(_with_words(self._finder.texts("caption"), tokens(text)))
            case "path" | "name":
                fits = path_test(text, glob, whole=field.name == "path")
                return Among({photo_id for photo_id, path in self._finder.paths() if fits(path)})
            case "in" if key_of(text) in self._collections:
                return Among(self._collections[key_of(text)])
        what = "people" if field.name == "person" else "collections"
        raise wrong_field(f"There are no {what} in this library yet, so {field} fits no photo.", field, self._typed)

    def _is(self, what: str) -> Condition:
        if what == "duplicate":
            return Any((Known("copied"), Among(self._near_copies())))
        if what == "screenshot":
            return self._screenshot()
        return Known(what)

    def _screenshot(self) -> Condition:
        no_camera = No(Known("exposed"))
        named = {i for i, path in self._finder.paths(no_camera) if is_screenshot_name(os.path.basename(path))}
        sizes = tuple(f"{short}x{long}" for short, long in SCREENS)
        return All((no_camera, Any((Among(named), All((OneOf("format", ("PNG",)), OneOf("pixels", sizes)))))))

    def _near_copies(self) -> set[int]:
        from photoindex.pure.grouping import near_groups  # few searches ask, and each would load it

        rows = self._library.queries.hashes()
        kinds = ([row.pdq for row in rows], [row.pdq_own for row in rows])
        bits = [np.frombuffer(b"".join(kind), np.uint8).reshape(-1, 32) for kind in kinds]
        groups = near_groups(bits, [row.quality for row in rows], NEAR_BITS)
        return {rows[at].photo_id for group in groups for at in group.members}

    # -- words in the text of photos

    def _holding(self, words: Sequence[str], *, in_order: bool, first_field: bool = False) -> list[int]:
        """Photos whose text holds all the words; one after the other, or in the first field (what was read in the
        picture) only, where that is asked."""
        vectors = self._library.vectors
        verify = first_field or (in_order and len(words) > 1)
        limit = max(1, vectors.count(DOCUMENTS))
        found = vectors.holding([[word] for word in words], limit, every=True, texts=None if verify else 0)
        if not verify:
            return [photo_id for photo_id, _, _ in found]
        return [photo_id for photo_id, _, text in found if _holds(text, words, in_order, first_field)]

    # -- names that the library knows

    def _named(self, field: Field, text: str) -> Condition:
        condition, known = {
            "tag": self._tag,
            "category": self._category,
            "camera": self._camera,
            "lens": self._camera,
            "place": self._place,
        }[field.name](text, field.name)
        if known is not None:
            self._warn(self._unknown(field, text, known))
        return condition

    def _tag(self, text: str, _: str) -> tuple[Condition, list[str] | None]:
        known = self._finder.values("tag")
        found = _alike(text, known)
        return OneOf("tag", tuple(found)), None if found else known

    def _category(self, text: str, _: str) -> tuple[Condition, list[str] | None]:
        known = self._finder.values("category")
        return self._tagged_in(text), None if _alike(text, known) else known

    def _tagged_in(self, category: str) -> Condition:
        members = self._finder.tags_in(_alike(category, self._finder.values("category")))
        wanted = {tag.casefold() for tag in members}
        return OneOf("tag", tuple(tag for tag in self._finder.values("tag") if tag.casefold() in wanted))

    def _camera(self, text: str, fact: str) -> tuple[Condition, list[str] | None]:
        known = self._finder.values(fact)
        found = [name for name in known if fold(text) in fold(name)]
        return OneOf(fact, tuple(found)), None if found else known

    def _place(self, text: str, _: str) -> tuple[Condition, list[str] | None]:
        asked = f" {fold(text)} "
        known = {fact: self._finder.values(fact) for fact in _PLACES}
        met = {fact: tuple(name for name in names if asked in f" {fold(name)} ") for fact, names in known.items()}
        parts = [OneOf(fact, names) for fact, names in met.items() if names]
        if len(text) == 2 and text.isascii():
            codes = [code for code in self._finder.values("country_code") if code.casefold() == text.casefold()]
            parts += [OneOf("country_code", tuple(codes))] if codes else []
        everything = [name for names in known.values() for name in names]
        return Any(tuple(parts)), None if parts else everything

    def _unknown(self, field: Field, text: str, known: Iterable[str]) -> str:
        names = sorted({_without_repeat(name) for name in known})
        if not names:
            return f"{field} fits no photo: no {field.name} of any photo is known in this library."
        meant = did_you_mean(f"{field.name}:{_written(name)}" for name in _nearest_names(text, names))
        listed = f" There are: {', '.join(names)}." if not meant and len(names) <= _NAMES_SHOWN else ""
        return f"{field} fits no photo in this library.{meant}{listed}"


def wrong_field(message: str, field: Field, typed: str) -> QueryInvalid:
    """An error about a field of the query `typed`, or of one that was not typed."""
    if typed[slice(*field.at)]:
        return QueryInvalid(message, typed, field.at)
    return QueryInvalid(message, str(field), (0, len(str(field))))


def _between(name: str, value: Number) -> Condition:
    low, high, open_low, open_high = bounds(value)
    if name == "month" and value.operator == ".." and cast(float, low) > cast(float, high):
        return Any((Between(name, low), Between(name, None, high)))
    return Between(name, low, high, open_low, open_high)


def _holds(text: str, words: Sequence[str], in_order: bool, first_field: bool) -> bool:
    fields = text.split(FIELD_END)
    joined = f" {' '.join(words)} "
    asked = fields[:1] if first_field else fields
    return any(joined in f" {field} " if in_order else set(words) <= set(field.split()) for field in asked)


def _with_words(texts: Iterable[tuple[int, str]], words: Sequence[str]) -> list[int]:
    joined = f" {' '.join(words)} "
    return [photo_id for photo_id, text in texts if joined in f" {document(text)} "]


def _alike(text: str, names: Iterable[str]) -> list[str]:
    """The names that are the same words, in whatever case, accents and number."""
    asked = tokens(text) or [""]
    return [name for name in names if _may_be(name, asked) and tokens(name) == asked]


def _may_be(name: str, asked: Sequence[str]) -> bool:
    """Folding takes time, and there may be thousands of names; an ASCII letter or digit folds to itself."""
    first = name[:1].lower()
    return not (first.isascii() and first.isalnum()) or first == asked[0][:1]


def _nearest_names(text: str, names: Sequence[str]) -> list[str]:
    """Names that are like the text, or have a word that is."""
    whole = nearest(text, names, 2)
    if whole:
        return whole
    words = {word: name for name in reversed(names) for word in fold(name).split()}
    return list(dict.fromkeys(words[word] for word in nearest(fold(text), words, 2)))


def _without_repeat(name: str) -> str:
    """A camera as people call it: NIKON D90 for NIKON CORPORATION NIKON D90."""
    first, *rest = name.split() or [""]
    again = [place for place, word in enumerate(rest) if word.casefold() == first.casefold()]
    return " ".join(rest[again[-1] :]) if again else name


def _written(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else quote(name)
