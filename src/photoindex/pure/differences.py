"""What tells a copy from the one that is kept, in words."""

from __future__ import annotations

from photoindex.records import DupeFacts


def differences(kept: DupeFacts, other: DupeFacts) -> tuple[str, ...]:
    """Of another content: format, pixels, frames, bytes, date, camera, metadata, sharpness; nothing of equal bytes."""
    if kept.sha256 == other.sha256:
        return ()
    found = []
    if kept.format != other.format:
        found.append(f"{other.format or 'unknown format'}, not {kept.format or 'unknown'}")
    same_size = (kept.width, kept.height) == (other.width, other.height)
    if not same_size:
        found.append(f"{other.width}x{other.height}, not {kept.width}x{kept.height}")
    if kept.frames != other.frames:
        found.append(f"{other.frames} {'frame' if other.frames == 1 else 'frames'}, not {kept.frames}")
    elif kept.frames > 1 and kept.format not in ("MPO", "PSD"):
        found.append(f"only the first of {kept.frames} frames was compared")
    if not 0.95 < other.size / max(kept.size, 1) < 1.05:
        found.append(f"{100 * other.size / max(kept.size, 1):.0f} % of the bytes")
    found += _metadata(kept, other)
    if same_size and kept.sharpness and other.sharpness and not 0.8 < other.sharpness / kept.sharpness < 1.25:
        found.append("less sharp" if other.sharpness < kept.sharpness else "sharper")
    return tuple(found)


def _metadata(kept: DupeFacts, other: DupeFacts) -> list[str]:
    found = []
    if kept.camera != other.camera:
        found.append(f"camera {other.camera}" if other.camera else "no camera")
    if kept.taken_source not in (None, "file_time") and other.taken_source in (None, "file_time"):
        found.append("no date of its own")
    elif kept.taken_at and other.taken_at and kept.taken_at != other.taken_at and other.taken_source != "file_time":
        found.append(f"date {other.taken_at:%Y-%m-%d %H:%M:%S}")
    if kept.described != other.described:
        found.append("less metadata" if other.described < kept.described else "more metadata")
    return found
