"""One picture file inside a decode worker: its bytes read once, what it is, and its pixels when asked for."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from dataclasses import dataclass

from PIL import Image

from photoindex.media.decode import Opened, open_with_pillow
from photoindex.media.formats import RAW_FORMATS, sniff
from photoindex.media.raw import may_be_raw, open_with_libraw
from photoindex.media.unreadable import Unreadable
from photoindex.records import FoundFile

MAX_PIXELS = 200_000_000
MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Need:
    """`short_side`: pixels that the short side must have for the most demanding step; None: no pixels at all."""

    short_side: int | None


class SourcePicture:
    """An opened picture: what the picture steps work on. Lives in one worker and is not passed on.

    `data` the file's bytes, `sha256` of them in hex, `format` upper-case (JPEG, PNG, HEIF, DNG, ...),
    `width` and `height` of the upright picture at full size in pixels, `orientation` as EXIF says (1 to 8).
    """

    def __init__(self, file: FoundFile, data: bytes, sha256: str, opened: Opened, need: Need, max_pixels: int) -> None:
        self.file = file
        self.data = data
        self.sha256 = sha256
        self.opened = opened
        self.need = need
        self.format = opened.format
        self.width = opened.width
        self.height = opened.height
        self.orientation = opened.orientation
        self.frames = opened.frames
        self._max_pixels = max_pixels
        self._failure: Unreadable | None = None

    @property
    def image(self) -> Image.Image:
        """The upright picture in sRGB, mode RGB, of the size that `need` asks for at least; do not change it.

        Decoded at the first call. Raises Unreadable, the same at each call.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._decoded
        except Unreadable as failure:
            failure.sha256 = self.sha256
            self._failure = failure
            raise

    def at_least(self, short_side: int) -> Image.Image:
        """The picture halved (boxes of 2 x 2 averaged) as often as its short side stays at least `short_side`.

        Each halving is done once for all who ask. Resizing from twice the target and more differs by less than
        JPEG's own loss from resizing all pixels, in a fraction of the time. Raises Unreadable.
        """
        while min(self._halves[-1].size) >= 2 * short_side:
            self._halves.append(self._halves[-1].reduce(2))
        return next(half for half in reversed(self._halves) if min(half.size) >= short_side or half is self.image)

    @functools.cached_property
    def _halves(self) -> list[Image.Image]:
        return [self.image]

    @functools.cached_property
    def _decoded(self) -> Image.Image:
        return self.opened.pixels(self.need.short_side, self._max_pixels)


def open_source(file: FoundFile, need: Need, max_pixels: int = MAX_PIXELS) -> SourcePicture:
    """Read a file and the header of its picture; the content decides what it is, not the name.

    `max_pixels` bounds what is decoded into memory (a JPEG counts at the reduced size it is decoded at).
    Raises Unreadable for what is no picture or has no sound header; damage further in shows at `image`.
    """
    data = read_bytes(file)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        opened = _open(data, os.path.splitext(file.path)[1].lower(), max_pixels)
    except Unreadable as failure:
        failure.sha256 = sha256
        raise
    return SourcePicture(file, data, sha256, opened, need, max_pixels)


def read_bytes(file: FoundFile) -> bytes:
    """All bytes of a file, provided that it is still what the walk met. Raises Unreadable."""
    try:
        if not stat.S_ISREG(os.stat(file.path).st_mode):
            raise Unreadable("not_a_file", "a folder, a device or a pipe")
        if file.size > MAX_BYTES:
            raise Unreadable("too_large", f"The file is {file.size / 1e9:.1f} GB, the limit is {MAX_BYTES / 1e9:.1f}")
        with open(file.path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        after = os.stat(file.path)
    except FileNotFoundError as error:
        raise Unreadable("vanished") from error
    except PermissionError as error:
        raise Unreadable("permission") from error
    except OSError as error:
        raise Unreadable("io_error", error.strerror or error) from error
    if (after.st_size, after.st_mtime_ns) != (file.size, file.mtime_ns) or len(data) != file.size:
        raise Unreadable("changed_while_reading")
    return data


def _open(data: bytes, suffix: str, max_pixels: int) -> Opened:
    if not data:
        raise Unreadable("empty_file")
    kind = sniff(data)
    if kind.format is None:
        raise Unreadable("not_a_picture", kind.what)
    if may_be_raw(data, kind, suffix) and (raw := open_with_libraw(data, kind, suffix)):
        return raw
    if kind.format in RAW_FORMATS:
        raise Unreadable("unsupported", f"{kind.format} file", "the camera is unknown to LibRaw or the file is damaged")
    return open_with_pillow(data, kind, max_pixels)
