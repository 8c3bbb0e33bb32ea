"""Search, in three steps: what is asked, ranked lists for it from the stores, hits out of the lists."""

from photoindex.search.options import WEIGHTS, Mode, SearchOptions
from photoindex.search.picking import pick
from photoindex.search.run import chosen, find, search, similar

__all__ = ["WEIGHTS", "Mode", "SearchOptions", "chosen", "find", "pick", "search", "similar"]
