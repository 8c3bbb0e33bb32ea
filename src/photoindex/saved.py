"""Collections: photos kept together by hand, by their content, or smart: a query that stays true.

Every function takes a library that is open for writing, unless it says otherwise, and photos by their SHA-256. Names
mean the same in any case; one that no collection has raises UsageError, which says what was meant.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import timedelta
from typing import Any

from photoindex.errors import UsageError
from photoindex.pure.collection_names import checked, key_of, known_as, unknown
from photoindex.pure.query import NOTHING, Node, fields_of, parse, split
from photoindex.pure.query.tree import And, Field, Not, Or, Text
from photoindex.records import PhotoCollection
from photoindex.store.catalog import now
from photoindex.store.library import Library

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


def create(library: Library, name: str, query: str | Node | None = None) -> str:
    """Make a collection: smart, with a query, or empty. Returns its name. Raises QueryInvalid, UsageError."""
    name = checked(name)
    there = known_as(name, library.collections.queries())
    if there is not None:
        raise UsageError(f"There is a collection {there!r} already: choose another name, or delete that one first.")
    saved = None if query is None else _checked_query(query)
    library.collections.replace({name: PhotoCollection(name, saved, now())})
    return name


def add(library: Library, name: str, photos: Iterable[str]) -> int:
    """Put photos into a collection made by hand. Returns how many of them were not in it."""
    collection, photos = _by_hand(library, name), list(photos)
    larger = _confirmed(_with(collection, photos), collection.photos.keys() & set(photos))
    library.collections.replace({collection.name: larger})
    return len(larger.photos) - len(collection.photos)


def remove(library: Library, name: str, photos: Iterable[str]) -> int:
    """Take photos out of a collection made by hand. Returns how many of them were in it."""
    collection = _by_hand(library, name)
    smaller = _without(collection, photos)
    library.collections.replace({collection.name: smaller})
    return len(collection.photos) - len(smaller.photos)


def merge(library: Library, name: str, others: Mapping[str, Sequence[str]], drop: bool = False) -> int:
    """Put the photos of other collections, given by name, into one made by hand, which is made where it is new.

    `drop` then forgets those others. Returns how many photos were not in it.
    """
    known = library.collections.read()
    there = known_as(name, known)
    collection = _by_hand(library, there) if there else PhotoCollection(checked(name), None, now())
    larger = _with(collection, (sha256 for photos in others.values() for sha256 in photos))
    dropped = [meant(library, other) for other in others] if drop else []
    if collection.name in dropped:
        raise UsageError(f"{collection.name!r} cannot be merged into itself.")
    library.collections.replace({**dict.fromkeys(dropped), collection.name: larger})
    return len(larger.photos) - len(collection.photos)


def split_off(library: Library, name: str, photos: Iterable[str], into: str) -> int:
    """Move those of the photos that are in a collection made by hand to a new one. Returns how many there were."""
    collection = _by_hand(library, name)
    new = checked(into)
    there = known_as(new, library.collections.queries())
    if there is not None:
        raise UsageError(f"There is a collection {there!r} already: `photoindex collections merge` puts them together.")
    moved = {sha256: collection.photos[sha256] for sha256 in photos if sha256 in collection.photos}
    if not moved:
        raise UsageError(f"None of these photos is in {collection.name!r}: nothing was changed.")
    rest = _without(collection, moved)
    library.collections.replace({collection.name: rest, new: PhotoCollection(new, None, now(), moved)})
    return len(moved)


def rename(library: Library, name: str, new: str) -> list[str]:
    """Call a collection something else, in smart collections that ask for it, too: their names are returned."""
    name, new = meant(library, name), checked(new)
    known = library.collections.read()
    there = known_as(new, known)
    if there not in (None, name):
        raise UsageError(f"There is a collection {there!r} already: `photoindex collections merge` puts them together.")
    using = used_by(library, name)
    changes: dict[str, PhotoCollection | None] = {name: None}
    for other in {*using, name}:
        query = known[other].query
        told = query if query is None or other not in using else str(_renamed(parse(query), name, new))
        changes[new if other == name else other] = replace(
            known[other], name=new if other == name else other, query=told
        )
    library.collections.replace(changes)
    return using


def delete(library: Library, names: Iterable[str]) -> None:
    """Forget collections. Photos and files are untouched."""
    library.collections.replace(dict.fromkeys(meant(library, name) for name in names))


# -- what reads only


def meant(library: Library, name: str) -> str:
    """The collection that `name` means, as its name is written. The library may be open for reading."""
    names = library.collections.queries()
    known = known_as(name, names)
    if known is None:
        raise UsageError(unknown(name, names))
    return known


def used_by(library: Library, name: str) -> list[str]:
    """The smart collections whose query asks for this one. The library may be open for reading."""
    queries = library.collections.queries()
    return [other for other, query in queries.items() if query is not None and _asks_for(parse(query), name)]


def photos_of(library: Library, name: str, evaluate: Callable[[str], Iterable[int]]) -> list[str]:
    """The photos of a collection; `evaluate` finds those of a query. The library may be open for reading."""
    collection = library.collections.read()[meant(library, name)]
    if collection.query is None:
        return list(collection.photos)
    return library.collections.shas(list(evaluate(collection.query)))


def shas_named(library: Library, names: Sequence[str]) -> list[str]:
    """The photos that people name by paths or the first characters of a SHA-256. The library may be open for reading.

    Raises PhotoNotFound, PhotoAmbiguous.
    """
    paths = {name: os.path.abspath(os.path.expanduser(name)) for name in names}
    at = library.collections.shas_at(set(paths.values()))
    return [at.get(paths[name]) or library.queries.find(name)[1] for name in names]


# -- out and in


def exported(library: Library, names: Iterable[str] = ()) -> dict[str, Any]:
    """Collections, all of them where none is named, as docs/json.md describes. The library may be open for reading."""
    known = library.collections.read()
    wanted = [meant(library, name) for name in names] or list(known)
    rows = [{"name": name, "query": known[name].query, "photos": list(known[name].photos)} for name in wanted]
    return {"format": FORMAT, "collections": rows}


def imported(library: Library, data: Any) -> dict[str, int]:
    """Take in what `exported` gave, all or nothing. Returns how many photos each collection has more than before.

    Photos are added to a collection of that name made by hand; a smart one must not be there with another query.
    Photos that this library has not seen are kept, and appear once they are scanned. Raises UsageError, QueryInvalid.
    """
    known = library.collections.read()
    changes: dict[str, PhotoCollection] = {}
    for name, query, photos in _read_rows(data):
        there = known_as(name, [*known, *changes])
        before = changes.get(there or "") or known.get(there or "")
        if before is not None and before.query != query:
            raise UsageError(f"There is another collection {there!r} already: rename that one, then import again.")
        changes[there or name] = _with(before or PhotoCollection(name, query, now()), photos)
    library.collections.replace(changes)
    return {name: len(c.photos) - len(known[name].photos if name in known else ()) for name, c in changes.items()}


def _read_rows(data: Any) -> list[tuple[str, str | None, list[str]]]:
    rows = data.get("collections") if isinstance(data, dict) and data.get("format") == FORMAT else None
    if not isinstance(rows, list):
        raise UsageError(f"This is no file of collections (an object with `format` {FORMAT} and `collections`).")
    return [_read_row(row) for row in rows]


def _read_row(row: Any) -> tuple[str, str | None, list[str]]:
    match row:
        case {"name": str(name), "query": None, "photos": list(photos)}:
            wrong = [photo for photo in photos if not (isinstance(photo, str) and _SHA256.fullmatch(photo))]
            if wrong:
                raise UsageError(f"In {name!r}: a photo is 64 characters of 0-9a-f, its SHA-256, not {wrong[0]!r}.")
            return checked(name), None, photos
        case {"name": str(name), "query": str(query), "photos": []}:
            return checked(name), _checked_query(query), []
    raise UsageError(f"A collection is an object with `name`, and `query` or `photos`, not {str(row)[:200]}.")


# -- parts


def _checked_query(query: str | Node) -> str:
    """A query as it is kept: one that says of each photo whether it belongs."""
    tree = parse(query) if isinstance(query, str) else query
    if tree == NOTHING:
        raise UsageError("A smart collection needs a query, such as tag:dog.")
    if split(tree).terms:
        raise UsageError(
            "Pictures and sums of meanings rank photos and leave none out, so they make no smart collection."
            " Add what they find by hand: `photoindex collections add NAME --query QUERY --limit 50`."
        )
    return str(tree)


def _by_hand(library: Library, name: str) -> PhotoCollection:
    collection = library.collections.read()[meant(library, name)]
    if collection.query is not None:
        raise UsageError(f"{collection.name!r} is smart: its photos are those that {collection.query} finds.")
    return collection


def _with(collection: PhotoCollection, photos: Iterable[str]) -> PhotoCollection:
    return replace(collection, photos={**dict.fromkeys(photos, now()), **collection.photos})


def _confirmed(collection: PhotoCollection, again: Set[str]) -> PhotoCollection:
    """With photos that were in it and are put in again as the user's own from now on.

    One that took the place of a duplicate has the time of that duplicate, and `undo` takes it out again only while it
    has exactly that: so the time moves by the least there is.
    """
    least = timedelta(microseconds=1)
    return replace(collection, photos={s: at + least if s in again else at for s, at in collection.photos.items()})


def _without(collection: PhotoCollection, photos: Iterable[str]) -> PhotoCollection:
    gone = set(photos)
    return replace(collection, photos={sha256: at for sha256, at in collection.photos.items() if sha256 not in gone})


def _is_for(field: Field, name: str) -> bool:
    return field.name == "in" and isinstance(field.value, Text) and key_of(field.value.text) == key_of(name)


def _asks_for(query: Node, name: str) -> bool:
    return any(_is_for(field, name) for field in fields_of(query))


def _renamed(node: Node, name: str, new: str) -> Node:
    """The query with in:NEW for in:NAME."""
    match node:
        case Field() if _is_for(node, name):
            return replace(node, value=Text(new))
        case Not(part):
            return replace(node, part=_renamed(part, name, new))
        case And(parts) | Or(parts):
            return replace(node, parts=tuple(_renamed(part, name, new) for part in parts))
        case _:
            return node
