"""Search: full text and vectors each give a ranked list, reciprocal rank fusion makes one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from photoindex.errors import NoVectors, PhotoindexError
from photoindex.models.install import locate
from photoindex.models.registry import DEFAULT_PROFILE, Registry
from photoindex.pure.fold import matched_words, tokens
from photoindex.pure.fusion import reciprocal_rank_fusion
from photoindex.records import DocumentParts, Filters, Hit, Reason
from photoindex.store.library import Library
from photoindex.store.vectors import Scored, image_table

Mode = Literal["hybrid", "keyword", "semantic"]
RRF_K = 60
# How deep each list is taken into the fusion: a photo low in one may be first in the other.
_DEPTH_FACTOR, _MIN_DEPTH = 5, 200


@dataclass(frozen=True, slots=True)
class SearchOptions:
    mode: Mode = "hybrid"
    limit: int = 20
    filters: Filters = field(default_factory=Filters)
    explain: bool = False
    warn: Callable[[str], None] = lambda _: None


def search(library: Library, query: str, registry: Registry, models_dir: Path, options: SearchOptions) -> list[Hit]:
    """The photos that fit `query` best, best first.

    An empty query lists what passes the filters, newest first. In mode hybrid, a library without vectors is
    searched by text alone, and `options.warn` told so; in mode semantic that raises NoVectors.
    """
    among = library.queries.filtered(options.filters) if options.filters or not query.strip() else None
    if not query.strip():
        assert among is not None
        return _hits(library, [(photo_id, 0.0) for photo_id in among], {}, options.limit)
    lists = _ranked_lists(library, query, registry, models_dir, among, options)
    fused = reciprocal_rank_fusion({name: [i for i, _ in ranked] for name, ranked in lists.items()}, RRF_K)
    reasons = _reasons(library, query, lists, fused[: options.limit]) if options.explain else {}
    return _hits(library, fused, reasons, options.limit)


def _ranked_lists(
    library: Library,
    query: str,
    registry: Registry,
    models_dir: Path,
    among: Collection[int] | None,
    options: SearchOptions,
) -> dict[str, Scored]:
    depth = max(_MIN_DEPTH, _DEPTH_FACTOR * options.limit)
    with ThreadPoolExecutor(2) as pool:
        jobs = {}
        if options.mode != "keyword":
            jobs["vector"] = pool.submit(by_meaning, library, query, registry, models_dir, depth, among)
        if options.mode != "semantic":
            jobs["text"] = pool.submit(by_words, library, query, depth, among)
        lists = {}
        for name, job in jobs.items():
            try:
                lists[name] = job.result()
            except NoVectors as error:
                if options.mode == "semantic":
                    raise
                options.warn(f"{error} Searching the text only.")
    return lists


def by_words(library: Library, query: str, depth: int, among: Collection[int] | None) -> Scored:
    """Photos whose text holds the query's words: those with all of them first, then those with some."""
    words = " ".join(tokens(query))
    complete = library.vectors.matching(words, depth, every=True, among=among)
    if len(complete) >= depth or " " not in words:
        return complete
    have = {photo_id for photo_id, _ in complete}
    partial = library.vectors.matching(words, depth, every=False, among=among)
    return [*complete, *((i, score) for i, score in partial if i not in have)][:depth]


def by_meaning(
    library: Library, query: str, registry: Registry, models_dir: Path, depth: int, among: Collection[int] | None
) -> Scored:
    """Photos whose image vector is nearest to the query's text vector. Raises NoVectors with the reason."""
    from photoindex.steps.text_encoder import TextEncoder

    settings = library.catalog.settings()
    model = settings.get("embedding_model")
    if model is None or not library.vectors.has(image_table(model)):
        raise NoVectors(_how_to_get_vectors(registry, settings.get("profile", DEFAULT_PROFILE)))
    try:
        encoder = TextEncoder(locate(registry, registry.model(model), models_dir))
        vector = encoder.encode([query])[0]
    except PhotoindexError as error:
        raise NoVectors(f"the text model of {model} cannot be used. {error}") from error
    return library.vectors.nearest(image_table(model), vector, depth, among)


def _how_to_get_vectors(registry: Registry, profile: str) -> str:
    wanted = registry.profiles.get(profile, {}).get("embedding")
    if wanted is None:
        return f"the profile {profile!r} names no embedding model; scan again with another --profile."
    return f"run `photoindex models pull {wanted}`, then scan again."


def _reasons(
    library: Library,
    query: str,
    lists: Mapping[str, Scored],
    fused: Sequence[tuple[int, float]],
) -> dict[int, tuple[Reason, ...]]:
    wanted = [photo_id for photo_id, _ in fused]
    ranks = {name: {i: (rank, score) for rank, (i, score) in enumerate(ranked, 1)} for name, ranked in lists.items()}
    texts = library.queries.document_parts(wanted) if "text" in lists else {}
    return {
        photo_id: tuple(
            _reason(name, *found[photo_id], query, texts.get(photo_id))
            for name, found in ranks.items()
            if photo_id in found
        )
        for photo_id in wanted
    }


def _reason(name: str, rank: int, score: float, query: str, parts: DocumentParts | None) -> Reason:
    if name == "vector":
        return Reason("vector", rank, score)
    fields = (
        {"ocr": parts.ocr, "tags": parts.tags, "words": parts.words, "place": parts.place, "name": parts.names}
        if parts
        else {}
    )
    met = {field: matched_words(query, " ".join(texts)) for field, texts in fields.items()}
    words = tuple(dict.fromkeys(word for found in met.values() for word in found))
    return Reason("text", rank, score, words, tuple(field for field, found in met.items() if found))


def _hits(
    library: Library, ranked: Sequence[tuple[int, float]], reasons: Mapping[int, tuple[Reason, ...]], limit: int
) -> list[Hit]:
    """Rows for the best; ids that the catalog does not know (a scan is writing them) are dropped."""
    rows = library.queries.rows([photo_id for photo_id, _ in ranked[: max(limit * 2, _MIN_DEPTH)]])
    known = [(i, score) for i, score in ranked if i in rows][:limit]
    return [Hit(rank, score, rows[i], reasons.get(i, ())) for rank, (i, score) in enumerate(known, 1)]
