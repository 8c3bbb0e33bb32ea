"""How the facts of each step become rows of its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from photoindex.records import Candidate, Face, Hashes, Metadata, Outcome, Place, Tag, TextLine


class FactTable(NamedTuple):
    name: str
    columns: tuple[str, ...]


_METADATA_COLUMNS = tuple(field.name for field in fields(Metadata))
_PLACE_COLUMNS = tuple(field.name for field in fields(Place))
_HASH_COLUMNS = tuple(field.name for field in fields(Hashes))

FACT_TABLES = {
    "metadata": FactTable("metadata", ("photo_id", *_METADATA_COLUMNS)),
    "place": FactTable("places", ("photo_id", *_PLACE_COLUMNS)),
    "hash": FactTable("hashes", ("photo_id", *_HASH_COLUMNS)),
    "ocr": FactTable("ocr_lines", ("photo_id", "line", "text", "confidence", "box")),
    "tags": FactTable("tag_scores", ("photo_id", "model", "tags", "scores", "standings")),
    "faces": FactTable("faces", ("photo_id", "face", "box", "landmarks", "score", "model")),
    "captions": FactTable("captions", ("photo_id", "caption", "model")),
}


def fact_rows(photo_id: int, outcome: Outcome) -> list[tuple[Any, ...]]:
    """The rows of a done outcome, in the order of its table's columns."""
    facts = outcome.facts
    match outcome.step:
        case "metadata":
            return [(photo_id, *_metadata_values(facts))]
        case "place":
            return [(photo_id, *(getattr(facts, name) for name in _PLACE_COLUMNS))] if facts else []
        case "hash":
            return [_hash_row(photo_id, facts)]
        case "ocr":
            return [_line_row(photo_id, n, line) for n, line in enumerate(facts)]
        case "tags":
            return [_score_row(photo_id, facts, outcome.model)]
        case "faces":
            return [_face_row(photo_id, n, face, outcome.model) for n, face in enumerate(facts)]
        case "captions":
            return [(photo_id, facts, outcome.model)] if facts else []
    raise KeyError(outcome.step)


def _metadata_values(facts: Metadata) -> list[Any]:
    values = {name: getattr(facts, name) for name in _METADATA_COLUMNS}
    values["dates"] = [asdict(date) for date in facts.dates]
    return [list(value) if isinstance(value, tuple) else value for value in values.values()]


def _hash_row(photo_id: int, facts: Hashes) -> tuple[Any, ...]:
    return photo_id, *(getattr(facts, name) for name in _HASH_COLUMNS)


def _line_row(photo_id: int, number: int, line: TextLine) -> tuple[Any, ...]:
    return photo_id, number, line.text, line.confidence, list(line.box)


def _score_row(photo_id: int, tags: Sequence[Tag], model: str | None) -> tuple[Any, ...]:
    standings = [tag.standing for tag in tags if isinstance(tag, Candidate) and tag.standing is not None]
    scores = [tag.score for tag in tags]
    return photo_id, model, [tag.name for tag in tags], scores, standings if len(standings) == len(tags) else None


def _face_row(photo_id: int, number: int, face: Face, model: str | None) -> tuple[Any, ...]:
    return photo_id, number, list(face.box), list(face.landmarks), face.score, model
