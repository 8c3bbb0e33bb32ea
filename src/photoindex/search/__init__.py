"""Search, in three steps: what is asked, ranked lists for it from the stores, hits out of the lists."""

from photoindex.search.options import Mode, SearchOptions
from photoindex.search.run import search

__all__ = ["Mode", "SearchOptions", "search"]
