"""The query language: `parse` gives the tree of a query, `split` what of it ranks and what of it filters."""

from photoindex.pure.query.parser import parse, parse_term
from photoindex.pure.query.plan import Plan, combine, split
from photoindex.pure.query.tree import NOTHING, Node, fields_of

__all__ = ["NOTHING", "Node", "Plan", "combine", "fields_of", "parse", "parse_term", "split"]
