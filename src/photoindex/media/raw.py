"""Camera raw files through LibRaw: the embedded preview where it is large enough, else developed at half size."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image

from photoindex.media.colour import to_plain, to_srgb
from photoindex.media.decode import check_pixels, transpose
from photoindex.media.formats import RAW_FORMATS, RAW_SUFFIXES, Kind
from photoindex.media.jxl import boxes
from photoindex.media.shrink import shrink
from photoindex.media.unreadable import Unreadable

_ORIENTATION_OF_FLIP = {0: 1, 3: 3, 5: 8, 6: 6}
_SMALLEST_PREVIEW = 64
_DNG_VERSION, _SUB_IFDS = 0xC612, 0x014A


def may_be_raw(data: bytes, kind: Kind, suffix: str) -> bool:
    """Whether to ask LibRaw before Pillow, which would show only the tiny picture in front of a TIFF-like raw file."""
    if suffix in RAW_SUFFIXES or kind.format in RAW_FORMATS:
        return True
    return kind.format == "TIFF" and not {_DNG_VERSION, _SUB_IFDS}.isdisjoint(_first_directory(data))


def open_with_libraw(data: bytes, kind: Kind, suffix: str) -> RawPicture | None:
    """Read the header; None where LibRaw does not take it for a raw file. Raises Unreadable where it is damaged."""
    import rawpy

    try:
        with _memory_told(), rawpy.imread(io.BytesIO(data)) as raw:
            sizes = raw.sizes
    except (rawpy.LibRawFileUnsupportedError, rawpy.LibRawNotImplementedError):
        return None
    except rawpy.LibRawError as error:
        raise Unreadable("truncated") from error
    name = kind.format if kind.format in RAW_FORMATS else _name_of(data, suffix)
    return RawPicture(data, name, sizes)


class RawPicture:
    """See Opened. LibRaw is opened again for each use: after a failed development it gives no preview any more."""

    frames = 1
    shown: float | None = None

    def __init__(self, data: bytes, name: str, sizes: Any) -> None:
        self._data = data
        self.format = name
        self.orientation = _ORIENTATION_OF_FLIP.get(sizes.flip, 1)
        turned = self.orientation in (6, 8)
        self.width, self.height = (sizes.height, sizes.width) if turned else (sizes.width, sizes.height)

    def pixels(self, short_side: int | None, max_pixels: int) -> Image.Image:
        """As Opened says. A raw file that cannot be developed is shown by its preview, however small."""
        check_pixels(self.width, self.height, max(len(self._data), self.width * self.height), max_pixels)
        preview = self._preview()
        if preview is not None and short_side and min(preview.size) >= short_side:
            return shrink(preview, short_side)
        developed = self._develop(half=bool(short_side) and min(self.width, self.height) >= 2 * (short_side or 0))
        if developed is not None:
            return shrink(developed, short_side)
        if preview is None or min(preview.size) < _SMALLEST_PREVIEW:
            raise Unreadable("truncated")
        return preview

    def is_all_shown(self) -> bool:
        """Never: the sensor's own values have more bits, and how they are developed is a choice."""
        return False

    def _develop(self, half: bool) -> Image.Image | None:
        import rawpy

        try:
            with _quiet(), _memory_told(), rawpy.imread(io.BytesIO(self._data)) as raw:
                return Image.fromarray(raw.postprocess(half_size=half, use_camera_wb=True, output_bps=8))
        except rawpy.LibRawError:
            return None

    def _preview(self) -> Image.Image | None:
        """The largest embedded picture, upright."""
        import rawpy

        try:
            with _memory_told(), rawpy.imread(io.BytesIO(self._data)) as raw:
                thumb = raw.extract_thumb()
            if isinstance(thumb.data, bytes):
                return self._preview_from_jpeg(thumb.data) if thumb.data.startswith(b"\xff\xd8") else None
            return transpose(Image.fromarray(thumb.data), self.orientation)
        except (rawpy.LibRawError, OSError, SyntaxError, ValueError, struct.error):
            return None

    def _preview_from_jpeg(self, data: bytes) -> Image.Image:
        """Some cameras turn the preview, some tag it, most leave it as the sensor saw it: the shape tells."""
        image = Image.open(io.BytesIO(data), formats=["JPEG", "MPO"])
        own = image.getexif().get(0x0112)
        turned = transpose(to_srgb(to_plain(image), image.info.get("icc_profile")), own or self.orientation)
        upright_already = (image.width < image.height) == (self.width < self.height)
        if own is None and self.orientation in (6, 8) and upright_already:
            return to_srgb(to_plain(image), image.info.get("icc_profile"))
        return turned

    def exif(self) -> Image.Exif:
        exif = Image.Exif()
        block = _exif_block(self._data)
        if block:
            exif.load(block)
        return exif

    def iptc(self) -> Mapping[tuple[int, int], Any]:
        return {}

    def xmp(self) -> bytes | None:
        """The first XMP packet anywhere in the file: raw formats keep it in a dozen places."""
        start = self._data.find(b"<x:xmpmeta")
        stop = self._data.find(b"</x:xmpmeta>", start)
        return self._data[start : stop + 12] if 0 <= start < stop else None


@contextlib.contextmanager
def _memory_told() -> Iterator[None]:
    """LibRaw's want of memory is no damage: a scan reads the file again with more. Raises Unreadable."""
    import rawpy

    try:
        yield
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise Unreadable("over_memory") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """LibRaw prints about damaged data straight to file descriptor 2, into the middle of a progress display."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _name_of(data: bytes, suffix: str) -> str:
    if _DNG_VERSION in _first_directory(data):
        return "DNG"
    return suffix[1:].upper() if suffix in RAW_SUFFIXES else "RAW"


def _first_directory(data: bytes) -> set[int]:
    """The tags of the first directory of a TIFF-like file."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        return {struct.unpack_from(order + "H", data, start + 2 + 12 * i)[0] for i in range(count)}
    except struct.error:
        return set()


def _exif_block(data: bytes) -> bytes | None:
    """A TIFF block with the file's EXIF directories, wherever the maker keeps it."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return data
    if data[:3] in (b"IIU", b"IIR"):  # Panasonic and Olympus write their own number in TIFF's place
        return b"II*\0" + data[4:]
    if data[:3] == b"MMO":
        return b"MM\0*" + data[4:]
    if data.startswith(b"FUJIFILMCCD-RAW"):
        start, size = struct.unpack_from(">II", data, 84)
        data = data[start : start + size]
    if data.startswith(b"\xff\xd8"):
        block: bytes | None = Image.open(io.BytesIO(data), formats=["JPEG", "MPO"]).info.get("exif")
        return block
    return None


def canon_directories(data: bytes) -> list[bytes]:
    """The main, Exif and GPS directories of a CR3, each a TIFF block of its own; empty for other formats."""
    found: dict[bytes, bytes] = {}
    for kind, payload in boxes(data):
        for inner, content in boxes(payload) if kind == b"moov" else ():
            if inner == b"uuid":
                found.update(boxes(content[16:]))
    return [found.get(kind, b"") for kind in (b"CMT1", b"CMT2", b"CMT4")] if b"CMT1" in found else []
