"""The search as its list of stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from photoindex.conditions import Chosen
from photoindex.errors import UsageError
from photoindex.models.registry import Registry
from photoindex.pure.query import Node, combine, parse
from photoindex.pure.query.tree import Term
from photoindex.records import Found, Hit
from photoindex.search.asking import Question, ask
from photoindex.search.collected import Within
from photoindex.search.lists import Asked, Models, ranked_lists
from photoindex.search.meaning import known_photo
from photoindex.search.naming import fields_fitted
from photoindex.search.options import Mode, SearchOptions
from photoindex.search.ranking import listed, rank
from photoindex.store.library import Library


def search(
    library: Library, query: str | Node, registry: Registry, models_dir: Path, options: SearchOptions
) -> list[Hit]:
    """The photos that fit `query` best, best first: the hits of `find`."""
    return list(find(library, query, registry, models_dir, options).hits)


def find(library: Library, query: str | Node, registry: Registry, models_dir: Path, options: SearchOptions) -> Found:
    """The photos that fit `query` best, best first, with how many good matches there are in all.

    `query` is in the query language of docs/query.md, or its tree. One without words and pictures lists what passes
    its filters, newest first. In mode hybrid, a library without vectors is searched by text alone, and `options.warn`
    told so; in mode semantic, and for sums of meanings, that raises NoVectors. Raises QueryInvalid.
    """
    question = _ask(library, query, registry, models_dir, options)
    return _answered(library, question, Models(library, registry, models_dir, options), options)


def chosen(
    library: Library,
    query: str | Node,
    registry: Registry,
    models_dir: Path,
    options: SearchOptions,
    within: Within = (),
) -> list[int]:
    """The ids of all photos that `query` finds, best first, or at most `options.limit` where that is not 0.

    A sum of meanings ranks every photo and leaves none out, so it needs a limit: raises UsageError. `within`: the
    smart collections whose queries led here.
    """
    question = _ask(library, query, registry, models_dir, options, within)
    if not question.ranks:
        return question.among.first(options.limit) if question.among else []
    if question.plan.terms and not options.limit:
        raise UsageError(
            "A sum of meanings, or a picture, ranks every photo: say how many of the best are meant, with --limit."
        )
    found = _answered(library, question, Models(library, registry, models_dir, options), options)
    return [hit.photo.photo_id for hit in found.hits]


def _ask(
    library: Library,
    query: str | Node,
    registry: Registry,
    models_dir: Path,
    options: SearchOptions,
    within: Within = (),
) -> Question:
    plain = SearchOptions(limit=0, runtime=options.runtime, warn=options.warn)

    def evaluate(saved: str, path: Within) -> list[int]:
        return chosen(library, saved, registry, models_dir, plain, path)

    return ask(library, query, options.warn, evaluate, within)


def _answered(library: Library, question: Question, models: Models, options: SearchOptions) -> Found:
    fits = fields_fitted(question.plan.where)
    if not question.ranks:
        return listed(library, question.among or Chosen(), options, fits)
    if question.plan.terms:
        options = replace(options, mode=_mode_of_sums(options))
    asked = Asked(question.plan.texts, question.among, question.plan.terms, fits)
    return rank(library, asked, ranked_lists(library, asked, models, options), options)


def similar(
    library: Library, photo: str, query: str | Node, registry: Registry, models_dir: Path, options: SearchOptions
) -> Found:
    """The photos most like one: a photo of the library (a path, or the beginning of its SHA-256) or any picture file.

    The photo itself is left out. `query` may filter, and its words and pictures are added. Raises PhotoNotFound.
    """
    tree = combine(parse(query) if isinstance(query, str) else query, (), [Term(like=photo)])
    itself = known_photo(library, photo)
    one_more = replace(options, limit=options.limit + 1 if options.limit else 0)
    found = find(library, tree, registry, models_dir, one_more)
    hits = [hit for hit in found.hits if hit.photo.photo_id != itself][: options.limit or None]
    total = found.total - any(hit.photo.photo_id == itself for hit in found.hits)
    return replace(found, hits=tuple(replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)), total=total)


def _mode_of_sums(options: SearchOptions) -> Mode:
    if options.mode == "keyword":
        raise UsageError("Pictures and sums are compared by meaning; leave out --mode keyword.")
    return "semantic"
