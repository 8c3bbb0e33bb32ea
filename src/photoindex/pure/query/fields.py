"""The fields of the query language: what kind of value each takes, and what is meant by a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "date", "moment", "near", "choice", "picture"]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """`example` is a value that can be typed; `choices` are all the values there are."""

    kind: Kind
    example: str
    choices: tuple[str, ...] = ()


# As LibRaw's formats are called; the test of the language compares this with what the decoder knows.
# fmt: off
RAW_FORMATS = (
    "3FR", "ARW", "CR2", "CR3", "CRW", "DCR", "DNG", "ERF", "FFF", "IIQ", "K25", "KDC", "MEF", "MOS", "MRW", "NEF",
    "NRW", "ORF", "PEF", "RAF", "RAW", "RW2", "RWL", "SR2", "SRF", "SRW", "X3F",
)
_FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "JXL", "MPO", "PNG", "PSD", "TIFF", "WEBP")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)
# fmt: on
FORMATS: dict[str, tuple[str, ...]] = {
    **{name.lower(): (name,) for name in (*_FORMATS, *RAW_FORMATS)},
    **{"jpg": ("JPEG",), "heic": ("HEIF",), "tif": ("TIFF",), "jp2": ("JPEG2000",), "raw": RAW_FORMATS},
}
HAS = ("faces", "text", "gps", "people", "tags", "date", "camera", "rating")
IS = ("duplicate", "missing", "failed", "screenshot", "portrait", "landscape", "square")
FIELDS: dict[str, FieldSpec] = {
    "tag": FieldSpec("text", "dog"),
    "category": FieldSpec("text", "food"),
    "person": FieldSpec("text", "Anna"),
    "camera": FieldSpec("text", "nikon"),
    "lens": FieldSpec("text", "50mm"),
    "date": FieldSpec("date", "2023-05..2023-08"),
    "after": FieldSpec("moment", "2023-05"),
    "before": FieldSpec("moment", "2023-05"),
    "year": FieldSpec("number", "2021..2023"),
    "month": FieldSpec("number", "may"),
    "place": FieldSpec("text", "paris"),
    "near": FieldSpec("near", "48.85,2.35~10km"),
    "iso": FieldSpec("number", ">1600"),
    "f": FieldSpec("number", "<2.8"),
    "mm": FieldSpec("number", "24..70"),
    "width": FieldSpec("number", ">4000"),
    "height": FieldSpec("number", ">3000"),
    "mp": FieldSpec("number", ">12"),
    "format": FieldSpec("choice", "raw", tuple(FORMATS)),
    "path": FieldSpec("text", "2023/trip"),
    "name": FieldSpec("text", "IMG_*"),
    "text": FieldSpec("text", "receipt"),
    "caption": FieldSpec("text", "harbour"),
    "has": FieldSpec("choice", "gps", HAS),
    "faces": FieldSpec("number", ">2"),
    "rating": FieldSpec("number", ">=4"),
    "orientation": FieldSpec("number", "6"),
    "is": FieldSpec("choice", "duplicate", IS),
    "in": FieldSpec("text", "holiday"),
    "like": FieldSpec("picture", "sunset.jpg"),
}
GLOB_FIELDS = frozenset({"path", "name"})


def nearest(word: str, known: Iterable[str], count: int = 1) -> list[str]:
    """The words most like `word`, as written in `known`; none where nothing is near."""
    spelt = {name.casefold(): name for name in known}
    return [spelt[found] for found in difflib.get_close_matches(word.casefold(), spelt, count, 0.6)]


def did_you_mean(suggestions: Iterable[str]) -> str:
    names = list(suggestions)
    return f" Did you mean {' or '.join(names)}?" if names else ""
