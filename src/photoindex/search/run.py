"""The search as its list of stages."""

from __future__ import annotations

from pathlib import Path

from photoindex.models.registry import Registry
from photoindex.records import Hit
from photoindex.search.lists import Asked, Models, ranked_lists
from photoindex.search.options import SearchOptions
from photoindex.search.ranking import hits, rank
from photoindex.store.library import Library


def search(library: Library, query: str, registry: Registry, models_dir: Path, options: SearchOptions) -> list[Hit]:
    """The photos that fit `query` best, best first.

    An empty query lists what passes the filters, newest first. In mode hybrid, a library without vectors is
    searched by text alone, and `options.warn` told so; in mode semantic that raises NoVectors.
    """
    among = library.queries.filtered(options.filters) if options.filters or not query.strip() else None
    if not query.strip():
        assert among is not None
        return hits(library, [(photo_id, 0.0) for photo_id in among], options.limit)
    asked = Asked((query,), among)
    lists = ranked_lists(library, asked, Models(library, registry, models_dir), options)
    return rank(library, asked, lists, options)
