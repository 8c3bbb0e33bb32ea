"""The photos of the collections that a query names with in:NAME; smart ones are searched for on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from photoindex.pure.collection_names import key_of, known_as, unknown
from photoindex.pure.query import Node, fields_of
from photoindex.pure.query.tree import Field, Text
from photoindex.search.filtering import wrong_field
from photoindex.store.library import Library

Within = tuple[str, ...]
Evaluate = Callable[[str, Within], Collection[int]]


def collected(library: Library, where: Node, typed: str, within: Within, evaluate: Evaluate) -> dict[str, list[int]]:
    """Photo ids of every collection that `where` names, by `key_of` its name.

    `within`: the smart collections whose queries led here; `evaluate` searches with the query of another one. Raises
    QueryInvalid for a collection that does not exist, and for smart ones that ask for each other in a circle.
    """
    asked = [field for field in fields_of(where) if field.name == "in"]
    if not asked:
        return {}
    queries = library.collections.queries()
    found: dict[str, list[int]] = {}
    for field in asked:
        name = _meant(field, queries, typed, within)
        query = queries[name]
        if key_of(name) not in found:
            ids = library.collections.photo_ids(name) if query is None else evaluate(query, (*within, name))
            found[key_of(name)] = list(ids)
    return found


def _meant(field: Field, queries: Iterable[str], typed: str, within: Within) -> str:
    assert isinstance(field.value, Text)
    name = known_as(field.value.text, queries)
    place = f" (in the query of the smart collection {within[-1]!r})" if within else ""
    if name is None:
        raise wrong_field(unknown(field.value.text, queries) + place, field, typed)
    if name in within:
        circle = " > ".join((*within[within.index(name) :], name))
        raise wrong_field(f"These smart collections ask for each other in a circle: {circle}.", field, typed)
    return name
