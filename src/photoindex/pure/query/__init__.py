"""The query language: `parse` gives the tree of a query, `split` what of it ranks and what of it filters."""

from photoindex.pure.query.parser import parse, parse_term
from photoindex.pure.query.plan import Plan, split

__all__ = ["Plan", "parse", "parse_term", "split"]
