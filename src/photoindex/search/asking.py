"""What a query asks of this library: what ranks, and which photos pass its filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from photoindex.conditions import EVERYTHING, Chosen
from photoindex.pure.query import Node, Plan, parse, split
from photoindex.search.collected import Evaluate, Within, collected
from photoindex.search.filtering import Filtering
from photoindex.store.filters import finding
from photoindex.store.library import Library


@dataclass(frozen=True, slots=True)
class Question:
    """A query, read: `among` are the photos that pass its filters, newest first; None where it has none and ranks."""

    plan: Plan
    among: Chosen | None

    @property
    def ranks(self) -> bool:
        return bool(self.plan.texts or self.plan.terms)


def ask(
    library: Library, query: str | Node, warn: Callable[[str], None], evaluate: Evaluate, within: Within = ()
) -> Question:
    """Read a query and find what passes its filters. Raises QueryInvalid.

    Where it names collections, `evaluate` searches for the photos of smart ones; `within` are those that led here.
    """
    typed = query if isinstance(query, str) else ""
    plan = split(parse(query) if isinstance(query, str) else query)
    if plan.where is None and (plan.texts or plan.terms):
        return Question(plan, None)
    # Before the catalog is opened: a smart collection is a search of its own, whose threads open it, too.
    collections = collected(library, plan.where, typed, within, evaluate) if plan.where else {}
    with finding(library.catalog.file) as finder:
        filtering = Filtering(library, finder, typed, warn, collections)
        return Question(plan, finder.select(filtering.condition(plan.where) if plan.where else EVERYTHING))
