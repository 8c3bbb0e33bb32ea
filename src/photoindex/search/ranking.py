"""One ranking out of the lists, and why each photo is where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from photoindex.pure.fold import matched_words
from photoindex.pure.fusion import reciprocal_rank_fusion
from photoindex.records import DocumentParts, Hit, Reason
from photoindex.search.lists import MIN_DEPTH, Asked, RankedList
from photoindex.search.options import SearchOptions
from photoindex.store.library import Library
from photoindex.store.vectors import Scored

RRF_K = 60


def rank(library: Library, asked: Asked, lists: Mapping[str, RankedList], options: SearchOptions) -> list[Hit]:
    """The hits of a search, best first, out of its ranked lists."""
    fused = reciprocal_rank_fusion({name: [i for i, _ in ranked.scored] for name, ranked in lists.items()}, RRF_K)
    reasons = _reasons(library, asked, lists, fused[: options.limit]) if options.explain else {}
    return hits(library, fused, options.limit, reasons)


def hits(
    library: Library, ranked: Scored, limit: int, reasons: Mapping[int, tuple[Reason, ...]] | None = None
) -> list[Hit]:
    """Rows for the best; ids that the catalog does not know (a scan is writing them) are dropped."""
    rows = library.queries.rows([photo_id for photo_id, _ in ranked[: max(limit * 2, MIN_DEPTH)]])
    known = [(i, score) for i, score in ranked if i in rows][:limit]
    return [Hit(place, score, rows[i], (reasons or {}).get(i, ())) for place, (i, score) in enumerate(known, 1)]


def _reasons(
    library: Library, asked: Asked, lists: Mapping[str, RankedList], fused: Sequence[tuple[int, float]]
) -> dict[int, tuple[Reason, ...]]:
    wanted = [photo_id for photo_id, _ in fused]
    ranks = {
        name: {i: (place, score) for place, (i, score) in enumerate(ranked.scored, 1)} for name, ranked in lists.items()
    }
    texts = library.queries.document_parts(wanted) if "text" in lists else {}
    words = " ".join(asked.texts)
    return {
        photo_id: tuple(
            _reason(name, *found[photo_id], words, texts.get(photo_id))
            for name, found in ranks.items()
            if photo_id in found
        )
        for photo_id in wanted
    }


def _reason(name: str, place: int, score: float, query: str, parts: DocumentParts | None) -> Reason:
    if name == "vector":
        return Reason("vector", place, score)
    fields = (
        {"ocr": parts.ocr, "tags": parts.tags, "words": parts.words, "place": parts.place, "name": parts.names}
        if parts
        else {}
    )
    met = {field: matched_words(query, " ".join(texts)) for field, texts in fields.items()}
    words = tuple(dict.fromkeys(word for found in met.values() for word in found))
    return Reason("text", place, score, words, tuple(field for field, found in met.items() if found))
