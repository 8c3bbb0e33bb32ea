"""All that a picture file and its sidecars say, gathered into one record.

Where several say different things: a sidecar wins for rating, keywords, description and title, being what the
user wrote last; then the file's own XMP, IPTC and EXIF. For camera and place EXIF comes first, then XMP. Of sidecars
beside several files of the same bytes the one that was changed last wins.
"""

from __future__ import annotations

import os
import warnings as python_warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any

from photoindex.media.dates import best_date, date_in_name, date_of_file
from photoindex.media.exif import Exif, camera_facts, checked_date, exif_dates, read_exif, words
from photoindex.media.gps import checked_place, gps_date, place_of
from photoindex.media.iptc import iptc_date_text, iptc_words
from photoindex.media.source import SourcePicture
from photoindex.media.text import unique
from photoindex.media.xmp import Xmp, first, parse_xmp, xmp_camera, xmp_degrees, xmp_words
from photoindex.records import DateCandidate, Metadata

_LARGEST_SIDECAR = 16 << 20
_MOST_KEYWORDS = 1_000
_XMP_DATES = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate", "exif:DateTimeDigitized")


def gather(source: SourcePicture, now: datetime | None = None) -> Metadata:
    """Read everything but the pixels. Damage becomes `warnings`; nothing in a file makes this fail.

    `now` (local, naive) is what dates in the future are measured by.
    """
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # Pillow tells of odd tags there; what matters is in our own
        return _gather(source, now or datetime.now())


def _gather(source: SourcePicture, now: datetime) -> Metadata:
    warnings: list[str] = []
    exif = read_exif(source.opened, source.data, warnings)
    iptc = _iptc(source, warnings)
    sidecars = [_sidecar(path, warnings) for path in source.file.sidecars]
    packets = [*sidecars, parse_xmp(_packet(source, warnings), warnings)]
    dates = _dates(source, exif, packets, iptc, now, warnings)
    best = best_date(dates)
    return Metadata(
        format=source.format,
        width=source.width,
        height=source.height,
        orientation=source.orientation,
        frames=source.frames,
        taken_at=best.taken_at if best else None,
        offset_minutes=best.offset_minutes if best else None,
        taken_source=best.source if best else None,
        dates=tuple(dates),
        **_merge([camera_facts(exif), *map(xmp_camera, packets)]),
        **_place(exif, packets, warnings),
        **_words(exif, packets, iptc, warnings),
        warnings=unique(warnings),
    )


def _merge(claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """For each field the first claim that says something."""
    fields = dict.fromkeys(name for claim in claims for name in claim)
    return {name: next((claim[name] for claim in claims if claim.get(name) is not None), None) for name in fields}


def _words(
    exif: Exif, packets: Sequence[Xmp], iptc: Mapping[tuple[int, int], Any], warnings: list[str]
) -> dict[str, Any]:
    *sidecars, own = map(xmp_words, packets)
    inside = [own, iptc_words(iptc), words(exif)]
    merged = _merge([*sidecars, *inside])
    written = next((sidecar["keywords"] for sidecar in sidecars if sidecar["keywords"]), None)
    keywords = written or unique(word for claim in inside for word in claim["keywords"])
    if len(keywords) > _MOST_KEYWORDS:
        warnings.append(f"of {len(keywords):,} keywords the first {_MOST_KEYWORDS:,} are taken")
    merged["keywords"] = keywords[:_MOST_KEYWORDS]
    return merged


def _place(exif: Exif, packets: Sequence[Xmp], warnings: list[str]) -> dict[str, Any]:
    place = place_of(exif.gps, warnings)
    for xmp in packets:
        if "latitude" in place or not first(xmp, "exif:GPSLatitude"):
            continue
        north, east = (xmp_degrees(first(xmp, f"exif:GPS{axis}")) for axis in ("Latitude", "Longitude"))
        place = checked_place(north, east, warnings) | place
    return dict(place)


def _dates(
    source: SourcePicture,
    exif: Exif,
    packets: Sequence[Xmp],
    iptc: Mapping[tuple[int, int], Any],
    now: datetime,
    warnings: list[str],
) -> list[DateCandidate]:
    found = exif_dates(exif, now, warnings)
    texts = [("xmp", first(xmp, name)) for xmp in packets for name in _XMP_DATES]
    for kind, text in [*texts, ("iptc", iptc_date_text(iptc))]:
        parsed = checked_date(text, kind, now, warnings)
        found += [DateCandidate(kind, *parsed)] if parsed else []
    name = PurePath(source.file.path).name
    others = (gps_date(exif.gps, now, warnings), date_in_name(name, now), date_of_file(source.file.mtime_ns))
    return list(dict.fromkeys([*found, *(date for date in others if date)]))


def _iptc(source: SourcePicture, warnings: list[str]) -> Mapping[tuple[int, int], Any]:
    try:
        return source.opened.iptc()
    except Exception:  # noqa: BLE001 Pillow's IPTC reader raises anything on damaged blocks
        warnings.append("damaged IPTC")
        return {}


def _packet(source: SourcePicture, warnings: list[str]) -> bytes:
    try:
        return source.opened.xmp() or b""
    except Exception:  # noqa: BLE001 as above
        warnings.append("damaged XMP")
        return b""


def _sidecar(path: str, warnings: list[str]) -> Xmp:
    name = f"sidecar {PurePath(path).name}"
    try:
        if os.stat(path).st_size > _LARGEST_SIDECAR:
            warnings.append(f"{name} is too large to be read")
            return {}
        with open(path, "rb") as stream:
            return parse_xmp(stream.read(_LARGEST_SIDECAR), warnings, name)
    except OSError as error:
        warnings.append(f"{name} cannot be read: {error.strerror}")
        return {}
