"""Photos by chance."""

from __future__ import annotations

import random
from pathlib import Path

from photoindex.conditions import Chosen
from photoindex.models.registry import Registry
from photoindex.pure.query import Node, combine, parse
from photoindex.pure.query.tree import Field, Not, Text
from photoindex.records import Found
from photoindex.search.naming import fields_fitted
from photoindex.search.options import SearchOptions
from photoindex.search.ranking import listed
from photoindex.search.run import chosen
from photoindex.store.library import Library


def pick(
    library: Library,
    query: str | Node,
    registry: Registry,
    models_dir: Path,
    options: SearchOptions,
    count: int,
    seed: int | None = None,
) -> Found:
    """`count` of the photos that `query` finds and whose files are there, each as likely; `total` says of how many.

    The same `seed` on the same photos gives the same ones. Raises QueryInvalid, and UsageError for sums of meanings.
    """
    there = Not(Field("is", Text("missing")))
    tree = combine(parse(query) if isinstance(query, str) else query, [there])
    ids = sorted(chosen(library, tree, registry, models_dir, options))
    drawn = random.Random(seed).sample(ids, min(count, len(ids)))  # noqa: S311 - nobody's secret
    return listed(library, Chosen(drawn), SearchOptions(limit=0), fields_fitted(tree))
