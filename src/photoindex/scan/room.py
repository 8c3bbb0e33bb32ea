"""The memory that one picture may take in a decode worker, and taking turns at large ones."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from photoindex.media.decode import check_pixels
from photoindex.media.formats import RAW_FORMATS
from photoindex.media.source import MAX_BYTES, MAX_PIXELS, Limits, SourcePicture
from photoindex.media.unreadable import Unreadable
from photoindex.pure.memory_plan import USUAL_PIXELS
from photoindex.pure.sizes import show_size
from photoindex.records import FoundFile, MemoryPlan, Problem

# Bytes a pixel while a picture is decoded, turned and made plain; measured, most formats take less.
PIXEL = 8
_HEAVY = {"WEBP": 2, "AVIF": 2, "JXL": 2}  # of that, twice as much
_PROGRESSIVE = b"\xff\xc2"
# Of a JPEG whose pixels come row by row only those of the reduced size are held.
_ROW_BY_ROW = 8


@dataclass(frozen=True, slots=True)
class Room:
    """`most`: bytes that a picture may take; above `usual` only one worker at a time has one, which holds `turns`.

    `budget`: what the whole scan may take, in words.
    """

    most: int
    usual: int
    turns: str
    budget: str

    @classmethod
    def of(cls, plan: MemoryPlan, turns: str) -> Room:
        spare = max(0, plan.budget - plan.bytes)  # only one worker at a time has a large picture, so it may take all
        return cls(plan.max_pixels * PIXEL + spare, USUAL_PIXELS * PIXEL, turns, show_size(plan.budget))

    @property
    def limits(self) -> Limits:
        """Pixels and bytes of a file grow with the memory; `refuse` says where they are too many for it."""
        return Limits(max(MAX_PIXELS, self.most // PIXEL), max(MAX_BYTES, self.most))

    def alone(self) -> Room:
        """The same for the only worker there is: it may take all that one picture may."""
        return replace(self, usual=self.most)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Inside, more than `usual` may be taken; waits until no other worker does. May be nested."""
        from filelock import FileLock

        with FileLock(self.turns, is_singleton=True):  # let go by the system when a worker dies
            yield

    def refuse_file(self, file: FoundFile) -> Problem | None:
        """Why a file is too large to be read at all; None where it is not."""
        return None if file.size <= self.most else self._problem(f"The file has {file.size / 1e6:,.0f} MB", file.size)

    def refuse(self, source: SourcePicture) -> Problem | None:
        """Why an opened picture is too large to be decoded; None where it is not."""
        try:
            check_pixels(source.width, source.height, max(len(source.data), _least_of_raw(source)), sys.maxsize)
        except Unreadable as bomb:  # says more than that memory is short
            return bomb.problem
        needed = decoding_bytes(source)
        pixels = f"The picture has {source.width * source.height / 1e6:,.0f} megapixels"
        return None if needed <= self.most else self._problem(pixels, needed)

    def exhausted(self) -> Problem:
        """That decoding took more than the picture should, and than it may."""
        return Problem(
            "over_memory",
            f"Decoding it takes more memory than the {show_size(self.most)} that one picture may have ({self.budget}"
            " for the whole scan). If the file is not damaged, allow more with --max-memory, and scan again with"
            " --retry-failed.",
        )

    def _problem(self, what: str, needed: int) -> Problem:
        more = show_size(needed - self.most)
        return Problem(
            "over_memory",
            f"{what}, more than a scan may take ({self.budget} in all). If the file is not damaged, allow about"
            f" {more} more with --max-memory, and scan again with --retry-failed.",
        )


def _least_of_raw(source: SourcePicture) -> int:
    """A raw file may hold its pixels in ways that a ratio does not judge."""
    return source.width * source.height if source.format in RAW_FORMATS else 0


def decoding_bytes(source: SourcePicture) -> int:
    """What a picture takes at most while it is decoded, its file included."""
    pixel = PIXEL * _HEAVY.get(source.format, 1)
    if source.format in ("JPEG", "MPO") and _PROGRESSIVE not in source.data:
        pixel //= _ROW_BY_ROW
    return source.width * source.height * pixel + len(source.data)
