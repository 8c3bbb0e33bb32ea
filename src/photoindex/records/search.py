"""A question's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from photoindex.records.rows import PhotoRow


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a hit is in the result: the list it came from, its rank (from 1) and score there, the words met.

    `spelled` are the words as the photo has them, where that is not as they were asked for; `line` is the line of
    text in the picture that holds most of them. `kept` is false where the list cut the photo, and `why` says why it
    was kept or cut.
    """

    source: Literal["text", "tags", "vector"]
    rank: int
    score: float
    words: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    spelled: tuple[str, ...] = ()
    line: str | None = None
    kept: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo in a result. `match`: how well it answers, 0 to 1, or None where no words were asked; `kept` is false
    for what is no good match and only shown because everything was asked for."""

    rank: int
    score: float
    photo: PhotoRow
    reasons: tuple[Reason, ...] = ()
    match: float | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a search: the photos to show, how many are a good match in all (`more` where there are even more
    than were counted), and how many were near but cut."""

    hits: tuple[Hit, ...]
    total: int
    more: bool = False
    cut: int = 0


@dataclass(frozen=True, slots=True)
class PhotoCollection:
    """A collection. `query`: of a smart one, which has no `photos` of its own; None of one made by hand. `photos`: when
    (UTC) each was added, by SHA-256; the library need not have seen them yet."""

    name: str
    query: str | None
    made_at: datetime
    photos: Mapping[str, datetime] = field(default_factory=dict)
