"""When a photo was taken: reading dates as they are written in EXIF, XMP, IPTC and file names, and choosing one.

The choice, best first: EXIF DateTimeOriginal; the date in XMP (the sidecar's before the file's own); EXIF
DateTimeDigitized; IPTC; GPS (UTC, so the local day may differ); the file name; EXIF DateTime, which editors
overwrite; the file's modification time, which copying overwrites.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from photoindex.records import DateCandidate

PRIORITY = ("exif_original", "xmp", "exif_digitized", "iptc", "gps", "filename", "exif_modified", "file_time")
_FIRST_PHOTO = 1826
_WRITTEN = re.compile(
    r"\s*(\d{4})[:/.-]?(\d{2})[:/.-]?(\d{2})"
    r"(?:[T ]+(\d{1,2}):?(\d{2})(?::?(\d{2})(?:[.,](\d+))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?"
)
_PIXEL = re.compile(r"PXL_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(\d{3})?")
_EPOCH = re.compile(r"(?:FB_IMG_|mmexport|received_|Image_)(1\d{12})(?!\d)")
_NAMED = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)"
    r"(?:(?:[ T_-]+|[ _-]at[ _-])(\d{1,2})[-_.:h]?(\d\d)[-_.:m]?(\d\d)(?:[-_.]?(\d{3}))?"
    r"(?!\d)(?:\s*([AaPp])\.?[Mm])?|(?!\d))"
)


class ImpossibleDate(ValueError):
    """A date that no photo can have; its text is a warning for the user."""


def parse_date(text: str, now: datetime) -> tuple[datetime, int | None] | None:
    """A written date: wall clock and minutes east of UTC, where given. None where the field was left blank.

    Takes EXIF's `2023:05:01 12:34:56`, ISO 8601 in full or down to the day, and a fraction of the second.
    Raises ImpossibleDate.
    """
    if not text.strip(" :\0"):
        return None
    found = _WRITTEN.match(text)
    if found is None:
        raise ImpossibleDate(f"unreadable date {text[:40]!r}")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    numbers = [int(part or 0) for part in (year, month, day, hour, minute, second)]
    return make_date(numbers, fraction, text, now), parse_offset(zone)


def make_date(numbers: Sequence[int], fraction: str | None, text: str, now: datetime) -> datetime:
    """A naive datetime from year to second, checked against common sense. Raises ImpossibleDate."""
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        year, month, day, hour, minute, second = numbers
        date = datetime(year, month, day, hour, minute, second, micros)
    except ValueError:
        raise ImpossibleDate(f"impossible date {text[:40]!r}") from None
    if date.year < _FIRST_PHOTO:
        raise ImpossibleDate(f"date {text[:40]!r} is before photography")
    if date > now + timedelta(days=1):
        raise ImpossibleDate(f"date {text[:40]!r} lies in the future")
    return date


def parse_offset(zone: str | None) -> int | None:
    """`+02:00`, `-0530` or `Z` as minutes east of UTC; None for anything else."""
    if zone is not None and zone.strip(" \0") == "Z":
        return 0
    found = re.fullmatch(r"([+-])(\d{2}):?(\d{2})", (zone or "").strip(" \0"))
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    return None if minutes > 14 * 60 else minutes * (-1 if found[1] == "-" else 1)


def date_in_name(name: str, now: datetime) -> DateCandidate | None:
    """The date that a camera, phone or messenger put into a file name, if any; a day alone means midnight.

    Pixel phones write UTC, and so do names that hold milliseconds since 1970; others the local wall clock.
    """
    try:
        if found := _PIXEL.search(name):
            return DateCandidate("filename", _of_groups(found.groups()[:6], found[7], name, now), 0)
        if found := _EPOCH.search(name):
            date = datetime.fromtimestamp(int(found[1]) / 1000, UTC).replace(tzinfo=None)
            return DateCandidate("filename", date, 0) if date < now else None
        return _wall_clock_in_name(name, now)
    except ImpossibleDate:
        return None


def _wall_clock_in_name(name: str, now: datetime) -> DateCandidate | None:
    found = _NAMED.search(name)
    if found is None:
        return None
    year, _, month, day, hour, minute, second, millis, half = found.groups()
    if half:
        hour = str(int(hour) % 12 + (12 if half in "pP" else 0))
    return DateCandidate("filename", _of_groups((year, month, day, hour, minute, second), millis, name, now))


def _of_groups(groups: Sequence[str | None], millis: str | None, name: str, now: datetime) -> datetime:
    return make_date([int(group or 0) for group in groups], millis, name, now)


def date_of_file(mtime_ns: int) -> DateCandidate | None:
    """The file's modification time on this machine's clock."""
    try:
        local = datetime.fromtimestamp(mtime_ns / 1e9).astimezone()
    except (OverflowError, ValueError, OSError):
        return None
    offset = local.utcoffset() or timedelta()
    return DateCandidate("file_time", local.replace(tzinfo=None), int(offset.total_seconds() // 60))


def best_date(candidates: Sequence[DateCandidate]) -> DateCandidate | None:
    """The most trustworthy candidate (see the module's priority); the first of equals."""
    return min(candidates, key=lambda candidate: PRIORITY.index(candidate.source), default=None)
