"""Merging a user's words into a library that may have others: nothing it has is lost unless that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from photoindex.keeping.words import Merged, Threshold, Words, read_words
from photoindex.models.words import read_categories
from photoindex.pure.collection_names import known_as
from photoindex.records import Decision, PhotoCollection
from photoindex.store.library import Library

KEPT, TAKEN = "the library's is kept", "the file's is taken"


def merge_words(library: Library, words: Words, force: bool = False) -> tuple[Merged, ...]:
    """Bring words into a library that is open for writing. Done again it changes nothing.

    Where both have one and they differ, the library's holds, and of two decisions the later one; with `force` that of
    `words` does. Photos that the library has not seen are spoken of from their first scan on.
    """
    mine = read_words(library)
    return tuple(
        found
        for found in (
            _collections(library, mine.collections, words.collections, force),
            _decisions(library, mine.decisions, words.decisions, force),
            _thresholds(library, mine.thresholds, words.thresholds, force),
            _categories(library, mine.categories, words.categories or {}, force),
            _settings(library, mine.settings, words.settings, force),
        )
        if found != Merged(found.kind)
    )


def _collections(
    library: Library, mine: Mapping[str, PhotoCollection], given: Mapping[str, PhotoCollection], force: bool
) -> Merged:
    """Photos are added to a collection made by hand. A name with two meanings is a conflict."""
    changes: dict[str, PhotoCollection] = {}
    new, same, conflicts = 0, 0, []
    for name, theirs in given.items():
        known = known_as(name, mine)
        had = mine[known] if known else None
        if had is None:
            changes[name] = theirs
            new += 1
        elif had.query == theirs.query:
            both = replace(had, photos={**theirs.photos, **had.photos})
            added = len(both.photos) - len(had.photos)
            new, same = new + bool(added), same + (not added)
            changes |= {had.name: both} if added else {}
        else:
            conflicts.append(f"{had.name}: {_meaning(had)} here, {_meaning(theirs)} in the file; {_what(force)}")
            changes |= {had.name: replace(theirs, name=had.name)} if force else {}
    if changes:
        library.collections.replace(changes)
    return Merged("collections", new, same, tuple(conflicts))


def _meaning(collection: PhotoCollection) -> str:
    return "by hand" if collection.query is None else f"what {collection.query} finds"


def _what(taken: bool) -> str:
    return TAKEN if taken else KEPT


def _decisions(library: Library, mine: tuple[Decision, ...], given: tuple[Decision, ...], force: bool) -> Merged:
    known = {decision.id: decision for decision in mine}
    given = tuple({d.id: d for d in sorted(given, key=lambda d: d.decided_at)}.values())  # of one id the latest
    new = [d for d in given if d.id not in known]
    other = [d for d in given if d.id in known and _said(d) != _said(known[d.id])]
    taken = [d for d in other if force or d.decided_at > known[d.id].decided_at]
    if new or taken:
        library.decisions.put([*new, *taken])
    conflicts = [
        f"group {d.id}: {known[d.id].kind} here, {d.kind} in the file; {_what(d in taken)}"
        + ("" if force else ", which is later" if d in taken else "")
        for d in other
    ]
    return Merged("decisions", len(new), len(given) - len(new) - len(other), tuple(conflicts))


def _said(decision: Decision) -> tuple[str, str | None, Mapping[str, int]]:
    return decision.kind, decision.keeper, decision.photos


def _thresholds(
    library: Library, mine: Mapping[Threshold, float], given: Mapping[Threshold, float], force: bool
) -> Merged:
    new = {key: value for key, value in given.items() if key not in mine}
    other = {key: value for key, value in given.items() if key in mine and not _near(mine[key], value)}
    for model in {model for model, _ in (*new, *(other if force else ()))}:
        chosen = {**given, **mine, **new, **(other if force else {})}
        library.tag_scores.set_choices(model, {tag: value for (of, tag), value in chosen.items() if of == model})
    conflicts = [
        f"{tag or 'all tags'} of {model}: {mine[model, tag]:g} here, {value:g} in the file; {_what(force)}"
        for (model, tag), value in other.items()
    ]
    return Merged("tag thresholds", len(new), len(given) - len(new) - len(other), tuple(conflicts))


def _near(one: float, other: float) -> bool:
    return abs(one - other) < 1e-6  # the catalog keeps 32 bits of it


def _categories(
    library: Library, mine: Mapping[str, tuple[str, ...]] | None, given: Mapping[str, tuple[str, ...]], force: bool
) -> Merged:
    """A category that is as photoindex brings it is nobody's word, and gives way. A library without any takes all."""
    had, brought = mine or {}, read_categories()
    new = [
        name
        for name in given
        if name not in had or (set(had[name]) != set(given[name]) and _is_brought(name, had, brought))
    ]
    other = [name for name in given if name not in new and set(had[name]) != set(given[name])]
    taken = {name: given[name] for name in (*new, *(other if force else ()))}
    if taken:
        library.catalog.set_categories({**had, **taken})
        library.catalog.set_setting("categories", "set")
    conflicts = [f"{name}: other tags here than in the file; {_what(force)}" for name in other]
    return Merged("categories", len(new), len(given) - len(new) - len(other), tuple(conflicts))


def _is_brought(name: str, had: Mapping[str, tuple[str, ...]], brought: Mapping[str, tuple[str, ...]]) -> bool:
    return set(had[name]) == set(brought.get(name, ()))


def _settings(library: Library, mine: Mapping[str, str], given: Mapping[str, str], force: bool) -> Merged:
    new = {key: value for key, value in given.items() if key not in mine}
    other = {key: value for key, value in given.items() if key in mine and mine[key] != value}
    taken = {**new, **(other if force else {})}
    if taken:
        library.catalog.set_settings(taken)
    conflicts = [f"{key}: {mine[key]} here, {value} in the file; {_what(force)}" for key, value in other.items()]
    return Merged("models chosen", len(new), len(given) - len(new) - len(other), tuple(conflicts))


def counted(merged: Merged) -> Iterator[str]:
    """In words how many were new, the same, and in conflict, without what is none."""
    for count, word in ((merged.new, "new"), (merged.same, "the same"), (len(merged.conflicts), "different")):
        if count:
            yield f"{count:,} {word}"
