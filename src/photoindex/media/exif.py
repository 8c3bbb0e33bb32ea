"""EXIF directories as plain numbers and words. Nothing that a file holds here raises: it becomes a warning."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from PIL import Image

from photoindex.media.dates import ImpossibleDate, parse_date, parse_offset
from photoindex.media.decode import Opened
from photoindex.media.raw import RawPicture, canon_directories
from photoindex.media.text import clean, unique, utf16
from photoindex.records import DateCandidate

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
# What cameras write into ImageDescription by themselves: it describes no picture.
_FILLER_BEGINS = ("olympus digital camera", "sony dsc", "dcim\\", "samsung", "exif_jpeg_picture", "konica minolta")
_FILLERS = ("minolta digital camera", "digital camera", "default", "dav", "hdr", "rhdr", "jpeg", "untitled", "dig")
_DATES = (  # source, tags of date, sub-second and offset
    ("exif_original", 0x9003, 0x9291, 0x9011),
    ("exif_digitized", 0x9004, 0x9292, 0x9012),
    ("exif_modified", 0x0132, 0x9290, 0x9010),
)


@dataclass(frozen=True, slots=True)
class Exif:
    """The main, Exif and GPS directories, tag number to value as Pillow reads it."""

    main: Mapping[int, Any] = field(default_factory=dict)
    details: Mapping[int, Any] = field(default_factory=dict)
    gps: Mapping[int, Any] = field(default_factory=dict)


def read_exif(opened: Opened, data: bytes, warnings: list[str]) -> Exif:
    """All directories that can be read; a damaged one is left out with a warning."""
    if isinstance(opened, RawPicture) and (blocks := canon_directories(data)):
        return Exif(*(_attempt(functools.partial(_plain, block), warnings) for block in blocks))
    exif = _attempt_exif(opened.exif, warnings)
    if exif is None:
        return Exif()
    return Exif(
        _attempt(lambda: _values(exif), warnings),
        _attempt(lambda: _values(exif.get_ifd(_EXIF_IFD)), warnings),
        _attempt(lambda: _values(exif.get_ifd(_GPS_IFD)), warnings),
    )


def _attempt_exif(read: Callable[[], Image.Exif], warnings: list[str]) -> Image.Exif | None:
    try:
        return read()
    except Exception as error:  # noqa: BLE001 Pillow's EXIF reader raises anything on damaged directories
        warnings.append(f"damaged EXIF: {_short(error)}")
        return None


def _attempt(read: Callable[[], Mapping[int, Any]], warnings: list[str]) -> Mapping[int, Any]:
    try:
        return read()
    except Exception as error:  # noqa: BLE001 Pillow's EXIF reader raises anything on damaged directories
        warnings.append(f"damaged EXIF: {_short(error)}")
        return {}


def _short(error: Exception) -> str:
    return clean(str(error)[:120]) or type(error).__name__


def _values(directory: Mapping[int, Any]) -> dict[int, Any]:
    """Values are decoded on access, so one broken value costs only itself."""
    found = {}
    for tag in list(directory):
        try:
            found[tag] = directory[tag]
        except Exception:  # noqa: BLE001, S112 a value that lies outside the block is no value
            continue
    return found


def _plain(block: bytes) -> Mapping[int, Any]:
    exif = Image.Exif()
    if block:
        exif.load(block)
    return _values(exif)


def number(value: Any) -> float | None:
    """A finite number out of a rational, a number, its text (`28/10` too), or the first of several."""
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    try:
        if isinstance(value, str) and "/" in value:
            over, under = value.split("/", 1)
            value = float(over) / float(under)
        result = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def positive(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and found > 0 else None


def camera_facts(exif: Exif) -> dict[str, Any]:
    """Make, model, lens, ISO, f-number, exposure (seconds) and focal length (mm), as fields of Metadata."""
    details = exif.details
    iso = positive(details.get(0x8827)) or positive(exif.main.get(0x8827))
    return {
        "camera_make": clean(exif.main.get(0x010F)),
        "camera_model": clean(exif.main.get(0x0110)),
        "lens": clean(details.get(0xA434)),
        "iso": round(iso) if iso and iso < 1e7 else None,
        "f_number": positive(details.get(0x829D)) or _from_apex(details.get(0x9202), 0.5),
        "exposure_s": positive(details.get(0x829A)) or _from_apex(details.get(0x9201), -1.0),
        "focal_mm": positive(details.get(0x920A)),
    }


def _from_apex(value: Any, power: float) -> float | None:
    """The logarithmic scale of older cameras: aperture = 2 ** (value / 2), time = 2 ** -value."""
    found = number(value)
    return round(math.pow(2, found * power), 6) if found is not None and abs(found) < 40 else None


def words(exif: Exif) -> dict[str, Any]:
    """Title, description, keywords and rating, as fields of Metadata."""
    described = clean(exif.main.get(0x010E))
    low = (described or "").lower()
    if low.startswith(_FILLER_BEGINS) or low in _FILLERS:
        described = None
    rating = number(exif.main.get(0x4746))
    return {
        "title": utf16(exif.main.get(0x9C9B)),
        "description": described or utf16(exif.main.get(0x9C9C)) or _comment(exif.details.get(0x9286)),
        "keywords": unique(word.strip() for word in (utf16(exif.main.get(0x9C9E)) or "").split(";")),
        "rating": round(rating) if rating is not None and 0 <= rating <= 5 else None,
    }


def _comment(value: Any) -> str | None:
    """UserComment: eight bytes name the character set. Cameras fill it with blanks or binary; only text is taken."""
    if not isinstance(value, bytes):
        return clean(value)
    head, body = value[:8], value[8:]
    if head.startswith(b"UNICODE"):
        return clean(body.decode("utf-16-be" if body[:1] == b"\0" else "utf-16-le", "replace"))
    return clean(body) if head.startswith(b"ASCII") else None


def exif_dates(exif: Exif, now: datetime, warnings: list[str]) -> list[DateCandidate]:
    """The dates of the three EXIF tags and of GPS, with their offsets."""
    found = []
    for source, tag, subsecond, offset in _DATES:
        text = clean(exif.details.get(tag) or exif.main.get(tag))
        parsed = checked_date(text, source, now, warnings)
        if parsed is None:
            continue
        date, zone = parsed
        fraction = clean(exif.details.get(subsecond)) or ""
        if fraction.isdigit():
            date = date.replace(microsecond=int(fraction[:6].ljust(6, "0")))
        given = parse_offset(clean(exif.details.get(offset)))
        found.append(DateCandidate(source, date, given if given is not None else zone))
    return found


def checked_date(
    text: str | None, source: str, now: datetime, warnings: list[str]
) -> tuple[datetime, int | None] | None:
    """parse_date, with an impossible date turned into a warning."""
    try:
        return parse_date(text or "", now)
    except ImpossibleDate as error:
        warnings.append(f"{source}: {error}")
        return None
