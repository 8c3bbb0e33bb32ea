"""What a file says of itself, as photographers write it. JSON has the raw values."""

from __future__ import annotations

from photoindex.records import DateCandidate, Metadata

_SOURCES = {"file_time": "the time of the file", "filename": "the file's name", "gps": "GPS"}


def metadata_facts(data: Metadata) -> list[tuple[str, str]]:
    """Name and text of each fact that there is, for a table."""
    facts = [
        ("format", data.format + (f", {data.frames} frames" if data.frames > 1 else "")),
        ("picture", f"{data.width:,} x {data.height:,} pixels ({data.width * data.height / 1e6:.1f} megapixels)"),
        ("orientation", str(data.orientation) if data.orientation != 1 else ""),
        ("taken", taken(data)),
        ("camera", camera(data.camera_make, data.camera_model)),
        ("lens", data.lens or ""),
        ("exposure", ", ".join(exposure(data))),
        ("position", position(data)),
        ("rating", "rejected" if data.rating == -1 else "" if data.rating is None else f"{data.rating} of 5"),
        ("title", data.title or ""),
        ("description", data.description or ""),
        ("keywords", ", ".join(data.keywords)),
        *(("warning", warning) for warning in data.warnings),
        *(("date found", date(candidate)) for candidate in data.dates if len(data.dates) > 1),
    ]
    return [(name, text) for name, text in facts if text]


def taken(data: Metadata) -> str:
    if data.taken_at is None:
        return ""
    return date(DateCandidate(data.taken_source or "", data.taken_at, data.offset_minutes))


def date(candidate: DateCandidate) -> str:
    """The wall clock where it was taken, its distance from UTC where that is known, and who says so."""
    clock = f"{candidate.taken_at:%Y-%m-%d %H:%M:%S}{_offset(candidate.offset_minutes)}"
    source = _SOURCES.get(candidate.source, candidate.source.upper().replace("EXIF_", "EXIF ").replace("_", " "))
    for word in ("ORIGINAL", "DIGITIZED", "MODIFIED"):
        source = source.replace(word, word.lower())
    return f"{clock}  (from {source})" if source else clock


def _offset(minutes: int | None) -> str:
    if minutes is None:
        return ""
    return f" {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def camera(make: str | None, model: str | None) -> str:
    """Maker and model; the maker once where the model begins with it."""
    if not make or not model:
        return model or make or ""
    return model if model.casefold().startswith(make.split()[0].casefold()) else f"{make} {model}"


def exposure(data: Metadata) -> list[str]:
    """Such as 1/250 s, f/2.8, ISO 200, 35 mm: those that are known."""
    found = [] if data.exposure_s is None else [shutter(data.exposure_s)]
    found += [] if data.f_number is None else [f"f/{data.f_number:.3g}"]
    found += [] if data.iso is None else [f"ISO {data.iso}"]
    return found + ([] if data.focal_mm is None else [f"{data.focal_mm:.4g} mm"])


def shutter(seconds: float) -> str:
    """A time of exposure as on a camera's dial: whole parts of a second below a third of one, else seconds."""
    if 0 < seconds < 0.3:
        return f"1/{round(1 / seconds)} s"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


def position(data: Metadata) -> str:
    if data.latitude is None or data.longitude is None:
        return ""
    height = f", {data.altitude_m:.0f} m above the sea" if data.altitude_m is not None else ""
    return f"{data.latitude:.5f}, {data.longitude:.5f}{height}"
