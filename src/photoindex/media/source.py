"""One picture file inside a decode worker: its bytes read once, what it is, and its pixels when asked for."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from photoindex.media.decode import Opened, open_with_pillow
from photoindex.media.formats import RAW_FORMATS, sniff
from photoindex.media.raw import may_be_raw, open_with_libraw
from photoindex.media.unreadable import NOT_OF_DECODERS, Unreadable, of_decoder_error
from photoindex.records import FoundFile

MAX_PIXELS = 200_000_000
MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """`pixels` bounds what is decoded into memory (a JPEG counts at the reduced size it is decoded at), `bytes` what is
    read of a file."""

    pixels: int = MAX_PIXELS
    bytes: int = MAX_BYTES


USUAL_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Need:
    """`short_side`: pixels that the short side must have for the most demanding step; None: no pixels at all."""

    short_side: int | None


class SourcePicture:
    """An opened picture: what the picture steps work on. Lives in one worker and is not passed on.

    `data` the file's bytes, `sha256` of them in hex, `format` upper-case (JPEG, PNG, HEIF, DNG, ...),
    `width` and `height` of the upright picture at full size in pixels, `orientation` as EXIF says (1 to 8).
    """

    def __init__(self, file: FoundFile, data: bytes, sha256: str, opened: Opened, need: Need, limits: Limits) -> None:
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
        self._limits = limits
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
        return self.opened.pixels(self.need.short_side, self._limits.pixels)


def open_source(file: FoundFile, need: Need, limits: Limits = USUAL_LIMITS) -> SourcePicture:
    """Read a file and the header of its picture; the content decides what it is, not the name.

    Raises Unreadable for what is no picture or has no sound header; damage further in shows at `image`.
    """
    data = read_bytes(file, limits.bytes)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        opened = _open(data, os.path.splitext(file.path)[1].lower(), limits.pixels)
    except Unreadable as failure:
        failure.sha256 = sha256
        raise
    except NOT_OF_DECODERS:
        raise
    except BaseException as error:
        broken = of_decoder_error(error)
        broken.sha256 = sha256
        raise broken from error
    return SourcePicture(file, data, sha256, opened, need, limits)


def read_bytes(file: FoundFile, most: int = MAX_BYTES) -> bytes:
    """All bytes of a file, provided that it is still what the walk met. Raises Unreadable."""
    try:
        if file.size > most:
            raise Unreadable("too_large", f"The file is {file.size / 1e9:.1f} GB, the limit is {most / 1e9:.1f}")
        with open_file(file.path) as stream:
            data = stream.read(file.size + 1)  # one that grows is read no further
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


def open_file(path: str) -> BinaryIO:
    """An ordinary file for reading. Raises OSError, and Unreadable for anything else: opening a pipe would wait."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening some devices already does something
        raise Unreadable("not_a_file", "a folder, a device or a pipe")
    stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise Unreadable("not_a_file", "a folder, a device or a pipe")
    return stream


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


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
