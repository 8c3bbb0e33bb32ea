"""Where a photo was taken, and when by the satellites' clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from photoindex.media.dates import ImpossibleDate, make_date
from photoindex.media.exif import number
from photoindex.media.text import clean
from photoindex.records import DateCandidate

Place = dict[str, float]


def place_of(gps: Mapping[int, Any], warnings: list[str]) -> Place:
    """latitude and longitude (degrees) and altitude_m, as fields of Metadata; what cannot be is left out."""
    latitude = _degrees(gps.get(2), clean(gps.get(1)))
    longitude = _degrees(gps.get(4), clean(gps.get(3)))
    if 2 not in gps and 4 not in gps:
        return {}
    place = checked_place(latitude, longitude, warnings)
    altitude = number(gps.get(6))
    if altitude is not None and abs(altitude) < 100_000:
        below = gps.get(5) in (1, b"\x01", "1")
        place["altitude_m"] = -altitude if below else altitude
    return place


def checked_place(latitude: float | None, longitude: float | None, warnings: list[str]) -> Place:
    """Refuse what lies off the globe, and exactly 0, 0: receivers without a fix write that."""
    if latitude is None or longitude is None:
        warnings.append("GPS position cannot be read")
    elif abs(latitude) > 90 or abs(longitude) > 180:
        warnings.append(f"GPS position {latitude:g}, {longitude:g} lies off the globe")
    elif latitude == 0 and longitude == 0:
        warnings.append("GPS position 0, 0 means that there was no fix")
    else:
        return {"latitude": latitude, "longitude": longitude}
    return {}


def _degrees(value: Any, reference: str | None) -> float | None:
    """Degrees, minutes, seconds (fewer or decimal ones too); south and west are negative."""
    parts = value if isinstance(value, tuple | list) else (value,)
    numbers = [number(part) for part in parts[:3]]
    while len(numbers) > 1 and numbers[-1] is None:  # seconds of 0/0 are common and mean none
        numbers.pop()
    if any(part is None for part in numbers):
        return None
    degrees = sum((part or 0.0) / math.pow(60, power) for power, part in enumerate(numbers))
    return -degrees if (reference or "").upper()[:1] in ("S", "W") else degrees


def gps_date(gps: Mapping[int, Any], now: datetime, warnings: list[str]) -> DateCandidate | None:
    """GPSDateStamp and GPSTimeStamp together, UTC; a date without a time is too coarse to say a local day."""
    day, time = clean(gps.get(29)), gps.get(7)
    if not day or not isinstance(time, tuple | list) or len(time) != 3:
        return None
    parts = [number(part) for part in time]
    try:
        year, month, date = (int(part) for part in day.replace("-", ":").split(":"))
        hour, minute, second = (int(part) for part in parts if part is not None)
        return DateCandidate("gps", make_date((year, month, date, hour, minute, second), None, day, now), 0)
    except ImpossibleDate as error:
        warnings.append(f"gps: {error}")
    except ValueError:
        warnings.append(f"gps: unreadable date {day[:40]!r}")
    return None
