"""The user's own words: what was decided, collected and set, which no scan can bring back. Keyed by content.

As JSON they are readable and may be edited; docs/json.md describes them. Files of queries for `eval` are not among
them: those lie where the user put them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import photoindex
from photoindex.dupes.deciding import decision_object, read_decision
from photoindex.errors import LibraryCorrupt, UsageError
from photoindex.keeping.reading import array, at_time, number, object_of, shas, text
from photoindex.models.registry import TASKS
from photoindex.pure.collection_names import checked
from photoindex.pure.query import parse
from photoindex.records import Decision, PhotoCollection
from photoindex.scan.chosen import CHOICE, PROFILE
from photoindex.store.library import Library

FORMAT = "photoindex user data 1"
_SETTINGS = (PROFILE, *(CHOICE.format(task) for task in TASKS))
Threshold = tuple[str, str | None]  # a model and a tag, or None for all tags


@dataclass(frozen=True, slots=True)
class Words:
    """`folders`: those that were scanned; `settings`: the profile and models that were chosen; `categories`: None where
    they were never set; `paths`: where the photos lay that are spoken of, by SHA-256, for people to read."""

    folders: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] | None = None
    thresholds: Mapping[Threshold, float] = field(default_factory=dict)
    collections: Mapping[str, PhotoCollection] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def photos(self) -> set[str]:
        """The SHA-256 of every photo that something is said of."""
        collected = {sha256 for collection in self.collections.values() for sha256 in collection.photos}
        return collected | {sha256 for decision in self.decisions for sha256 in decision.photos}

    def about(self, photos: Collection[str]) -> Words:
        """Only what is said of these photos."""
        collections = {
            name: replace(c, photos={sha256: at for sha256, at in c.photos.items() if sha256 in photos})
            for name, c in self.collections.items()
            if c.query is None
        }
        return Words(
            self.folders,
            collections={name: c for name, c in collections.items() if c.photos},
            decisions=tuple(d for d in self.decisions if not d.photos.keys().isdisjoint(photos)),
            paths={sha256: paths for sha256, paths in self.paths.items() if sha256 in photos},
        )


def read_words(library: Library) -> Words:
    """What the user said in this library, which may be open for reading.

    Nothing but words is read, so that they can be had from a catalog of which other parts are damaged; where the photos
    lay is left out then.
    """
    settings = library.catalog.settings()
    choices = {(model, tag): value for model, tag, value in library.tag_scores.all_choices()}
    words = Words(
        folders=library.queries.roots(),
        settings={key: settings[key] for key in _SETTINGS if key in settings},
        categories=library.queries.categories() if "categories" in settings else None,
        thresholds=choices,
        collections=library.collections.read(),
        decisions=tuple(library.decisions.read()),
    )
    try:
        return replace(words, paths=library.collections.paths(words.photos()))
    except LibraryCorrupt:
        return words


def words_object(words: Words, library: str) -> dict[str, Any]:
    """As JSON values, which `parse_words` reads."""
    return {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "photoindex": photoindex.__version__,
        "library": library,
        "folders": list(words.folders),
        "settings": dict(words.settings),
        "categories": None if words.categories is None else {name: list(t) for name, t in words.categories.items()},
        "tag_thresholds": [{"model": m, "tag": tag, "at_least": value} for (m, tag), value in words.thresholds.items()],
        "collections": [_collection_object(collection) for collection in words.collections.values()],
        "decisions": [decision_object(decision) for decision in words.decisions],
        "paths": {sha256: list(paths) for sha256, paths in sorted(words.paths.items())},
    }


def _collection_object(collection: PhotoCollection) -> dict[str, Any]:
    return {
        "name": collection.name,
        "query": collection.query,
        "made_at": collection.made_at.isoformat(),
        "photos": {sha256: at.isoformat() for sha256, at in collection.photos.items()},
    }


def parse_words(value: Any) -> Words:
    """What `words_object` made, checked in every part. Raises UsageError, which says where, and QueryInvalid."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UsageError(f'This is no user data of photoindex: it should say "format": "{FORMAT}".')
    collections = [_collection(row, f"collections[{at}]") for at, row in enumerate(array(value, "collections"))]
    decisions = [read_decision(row, f"decisions[{at}]") for at, row in enumerate(array(value, "decisions"))]
    categories = value.get("categories")
    return Words(
        folders=tuple(text(path, "folders") for path in array(value, "folders")),
        settings=_settings(object_of(value.get("settings"), "settings")),
        categories=None if categories is None else _categories(object_of(categories, "categories")),
        thresholds=dict(_threshold(row, f"tag_thresholds[{at}]") for at, row in _numbered(value, "tag_thresholds")),
        collections={collection.name: collection for collection in collections},
        decisions=tuple(decisions),
        paths={
            sha256: tuple(text(path, "paths") for path in paths)
            for sha256, paths in shas(object_of(value.get("paths"), "paths"), "paths").items()
            if isinstance(paths, list)
        },
    )


def _numbered(value: Mapping[str, Any], name: str) -> Iterable[tuple[int, Any]]:
    return enumerate(array(value, name))


def _settings(given: Mapping[str, Any]) -> dict[str, str]:
    odd = [key for key in given if key not in _SETTINGS]
    if odd:
        raise UsageError(f"settings: {odd[0]!r} is none that can be restored. There are: {', '.join(_SETTINGS)}.")
    return {key: text(value, f"settings.{key}") for key, value in given.items()}


def _categories(given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(text(tag, f"categories.{name}") for tag in array(given, name, "categories.")) for name in given}


def _threshold(row: Any, where: str) -> tuple[Threshold, float]:
    given = object_of(row, where)
    tag = given.get("tag")
    key = text(given.get("model"), f"{where}.model"), None if tag is None else text(tag, f"{where}.tag")
    return key, number(given.get("at_least"), f"{where}.at_least")


def _collection(row: Any, where: str) -> PhotoCollection:
    given = object_of(row, where)
    name, query = checked(text(given.get("name"), f"{where}.name")), given.get("query")
    photos = shas(object_of(given.get("photos"), f"{where}.photos"), f"{where}.photos")
    if query is not None:
        parse(text(query, f"{where}.query"))
    if query is not None and photos:
        raise UsageError(f"{where}: a collection with a query has no photos of its own.")
    added = {sha256: at_time(at, f"{where}.photos.{sha256}") for sha256, at in photos.items()}
    return PhotoCollection(name, query, at_time(given.get("made_at"), f"{where}.made_at"), added)


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of one kind of words that were merged into a library: how many were `new`, how many it had just
    the `same`, and in words which differ and what holds now."""

    kind: str
    new: int = 0
    same: int = 0
    conflicts: tuple[str, ...] = ()
