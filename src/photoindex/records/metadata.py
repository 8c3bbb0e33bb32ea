"""What a file tells about its photo."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DateCandidate:
    """One claim about when a photo was taken.

    `source` is one of exif_original, exif_digitized, exif_modified, gps, xmp, iptc, filename, file_time.
    `taken_at` is the local wall clock without a zone; `offset_minutes` east of UTC, where known.
    """

    source: str
    taken_at: datetime
    offset_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the file says of itself. Sizes are of the upright picture, in pixels."""

    format: str
    width: int
    height: int
    orientation: int = 1
    frames: int = 1
    taken_at: datetime | None = None
    offset_minutes: int | None = None
    taken_source: str | None = None
    dates: tuple[DateCandidate, ...] = ()
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    iso: int | None = None
    f_number: float | None = None
    exposure_s: float | None = None
    focal_mm: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    rating: int | None = None
    title: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """The populated place nearest to a photo's GPS position, in English.

    `metropolis` is a big city around it that people would rather name; `country_code` is ISO 3166-1 alpha-2.
    """

    city: str
    metropolis: str | None
    region: str | None
    country: str
    country_code: str
