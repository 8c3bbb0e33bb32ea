"""When a video was taken and how long it runs, from the header of an MP4 or QuickTime file: nothing is decoded.

ISO/IEC 14496-12, 8.2.2: the box `moov` holds `mvhd` with seconds since 1904 (UTC), a time scale and a duration.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO

_EPOCH = datetime(1904, 1, 1)
_MOST_BOXES = 1000


@dataclass(frozen=True, slots=True)
class Movie:
    """`taken_at` is UTC without a zone; None where the file does not say."""

    taken_at: datetime | None
    seconds: float


def read_movie(path: str) -> Movie | None:
    """None where the file cannot be read or is no such video."""
    try:
        with open(path, "rb") as stream:
            end = os.fstat(stream.fileno()).st_size
            moov = _find(stream, b"moov", 0, end)
            header = _find(stream, b"mvhd", *moov) if moov else None
            return _parse(stream, header[0]) if header else None
    except (OSError, struct.error, OverflowError, ZeroDivisionError):
        return None


def _find(stream: BinaryIO, wanted: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the content of the first box of this kind begins and ends."""
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return None
        stream.seek(start)
        size, kind = struct.unpack(">I4s", stream.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", stream.read(8))[0], 16
        size = size or end - start
        if kind == wanted:
            return start + head, min(end, start + size)
        if size < head:
            return None
        start += size
    return None


def _parse(stream: BinaryIO, at: int) -> Movie:
    stream.seek(at)
    wide = stream.read(4)[0] == 1
    created, _, scale, duration = struct.unpack(">QQIQ" if wide else ">IIII", stream.read(28 if wide else 16))
    return Movie(_EPOCH + timedelta(seconds=created) if created else None, duration / scale)
