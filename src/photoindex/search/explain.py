"""Why each hit is where it is: the lists that hold it, and the words and the line of text it was met by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from photoindex.pure.fold import document, tokens
from photoindex.records import DocumentParts, Reason
from photoindex.search.lists import Asked, RankedList
from photoindex.search.words import Answer
from photoindex.store.library import Library


def reasons(
    library: Library, asked: Asked, lists: Mapping[str, RankedList], photo_ids: Sequence[int]
) -> dict[int, tuple[Reason, ...]]:
    """The reasons of each of the photos, in the order of the lists."""
    typed = {term: word for text in asked.texts for word in text.split() for term in tokens(word)}
    texts = library.queries.document_parts(photo_ids) if "text" in lists else {}
    found: dict[int, list[Reason]] = {photo_id: [] for photo_id in photo_ids}
    for name, ranked in lists.items():
        for place, answer in enumerate(ranked.answers.answers, 1):
            if answer.photo_id in found:
                found[answer.photo_id].append(_reason(name, place, answer, typed, texts.get(answer.photo_id)))
    return {photo_id: tuple(reasons) for photo_id, reasons in found.items()}


def _reason(name: str, place: int, answer: Answer, typed: Mapping[str, str], parts: DocumentParts | None) -> Reason:
    source: Literal["text", "tags", "vector"] = "text" if name == "text" else "tags" if name == "tags" else "vector"
    if answer.met is None:
        return Reason(source, place, answer.score, kept=answer.kept, why=answer.why)
    met = answer.met.met
    return Reason(
        source,
        place,
        answer.score,
        words=tuple(dict.fromkeys(typed.get(word.term, word.term).strip("\"'.,;:!?()[]") for word in met)),
        where=answer.met.where,
        spelled=tuple(dict.fromkeys(word.spelling for word in met if word.spelling != word.term)),
        line=_line(parts, {word.spelling for word in met if word.field == "ocr"}) if parts else None,
        kept=answer.kept,
        why=answer.why,
    )


def _line(parts: DocumentParts, spellings: set[str]) -> str | None:
    """The line of text in the picture that holds most of the words."""
    held = [(len(spellings & set(document(line).split())), line) for line in parts.ocr]
    most, line = max(held, key=lambda item: item[0], default=(0, ""))
    return line if most else None
