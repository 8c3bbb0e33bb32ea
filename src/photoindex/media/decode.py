"""Pictures that Pillow opens (with the HEIF and JPEG XL plugins), from bytes to upright sRGB of bounded size."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from PIL import Image, IptcImagePlugin, JpegImagePlugin, UnidentifiedImageError

from photoindex.media.colour import to_srgb
from photoindex.media.formats import Kind
from photoindex.media.jxl import boxes, jxl_size
from photoindex.media.png import png_metadata, without_bombs
from photoindex.media.shrink import block_factor, shrink, shrink_strips
from photoindex.media.unreadable import NOT_OF_DECODERS, Unreadable, of_decoder_error, too_many_pixels

# Pillow's own guard is a fixed figure checked at opening; ours depends on what would really be decoded.
Image.MAX_IMAGE_PIXELS = None

_BOMB_PIXELS = 64_000_000
_BOMB_PIXELS_PER_BYTE = 1000
_TRANSPOSED = (5, 6, 7, 8)
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_EIGHT_BITS = ("JPEG", "MPO", "GIF", "WEBP", "BMP")
_END_OF_JPEG = b"\xff\xd9"
# Less of a picture than this is none: its middle, which most searches go by, is missing.
_LEAST_SHOWN = 0.5


class Opened(Protocol):
    """An opened picture whose pixels need not have been decoded. Sizes are of the upright picture, in pixels.

    `shown`, known once it is decoded: None where all is there; else, of a file whose end is missing, the share of the
    rows that could be decoded, 0.5 to 1.
    """

    format: str
    width: int
    height: int
    orientation: int
    frames: int
    shown: float | None

    def pixels(self, short_side: int | None, max_pixels: int) -> Image.Image:
        """Upright sRGB, mode RGB, short side at least `short_side` (or all pixels there are). Raises Unreadable."""
        ...

    def is_all_shown(self) -> bool:
        """Whether all pixels, once decoded, are the whole picture: one frame, 8 bits a channel, nothing transparent."""
        ...

    def exif(self) -> Image.Exif:
        """The EXIF directories; empty where there are none. May raise nearly anything on damaged ones."""
        ...

    def iptc(self) -> Mapping[tuple[int, int], Any]: ...

    def xmp(self) -> bytes | None: ...


@functools.cache
def _register_plugins() -> None:
    import pillow_heif
    import pillow_jxl  # noqa: F401 importing it registers it

    pillow_heif.register_heif_opener()


def open_with_pillow(data: bytes, kind: Kind, max_pixels: int) -> PillowPicture:
    """Read the header of a picture that `sniff` knows. Raises Unreadable."""
    _register_plugins()
    if kind.format == "JXL" and (size := jxl_size(data)) is not None:
        check_pixels(*size, len(data), max_pixels)
    if kind.format == "WEBP" and len(data) < int.from_bytes(data[4:8], "little") + 8:
        raise Unreadable("truncated")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shown = without_bombs(data) if kind.format == "PNG" else data
            image = Image.open(io.BytesIO(shown), formats=[kind.format or ""])
            return PillowPicture(image, data)
    except UnidentifiedImageError as error:
        short = len(data) < 64 or kind.format in ("HEIF", "AVIF")
        raise Unreadable("truncated") if short else Unreadable("damaged", "its header makes no sense") from error
    except Exception as error:
        raise of_decoder_error(error) from error


def check_pixels(width: int, height: int, size: int, max_pixels: int) -> None:
    """Raise Unreadable where decoding would take too much memory, or far more than `size` bytes can honestly hold."""
    pixels = width * height
    if pixels > max_pixels:
        raise too_many_pixels(width, height, max_pixels)
    if pixels > _BOMB_PIXELS and pixels > size * _BOMB_PIXELS_PER_BYTE:
        sentence = f"The file has {size:,} bytes but claims {pixels / 1e6:,.0f} megapixels, as decompression bombs do"
        raise Unreadable("too_large", sentence)


class PillowPicture:
    """See Opened."""

    shown: float | None = None

    def __init__(self, image: Image.Image, data: bytes) -> None:
        self._image = image
        self._data = data
        self.format = image.format or ""
        if self.format == "PNG":
            image.info.update(png_metadata(data))
        self.frames = _frames(image)
        self.orientation, pending = _orientation(image)
        swap = pending in _TRANSPOSED and self.format != "TIFF"  # Pillow reports TIFF sizes upright already
        self.width, self.height = image.size[::-1] if swap else image.size

    def pixels(self, short_side: int | None, max_pixels: int) -> Image.Image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._decode(short_side, max_pixels)
        except NOT_OF_DECODERS:
            raise
        except BaseException as error:
            raise of_decoder_error(error) from error

    def is_all_shown(self) -> bool:
        image = self._image
        if self.frames > 1 or self._depth() != 8 or self.shown is not None:
            return False
        if not image.has_transparency_data:
            return True
        return image.convert("RGBA").getchannel("A").getextrema() == (255, 255)

    def _depth(self) -> int:
        """Bits a channel, 8 for fewer too; 0 where nothing tells. Pillow's mode does not: 16-bit RGB is read as 8."""
        if self.format in _EIGHT_BITS:
            return 8
        if self.format == "PNG":
            return max(8, self._data[24])  # of IHDR
        if self.format == "TIFF":
            return max(8, *(self._image.tag_v2.get(_BITS_PER_SAMPLE) or (1,)))  # type: ignore[attr-defined]
        return int(self._image.info.get("bit_depth") or 0)  # HEIF's

    def _decode(self, short_side: int | None, max_pixels: int) -> Image.Image:
        image = self._image
        if image.width < 1 or image.height < 1:
            raise Unreadable("damaged", "it claims to have no pixels")
        _reduce_in_decoder(image, short_side)
        held = (self.width, self.height) if image.info.get("progressive") else image.size
        check_pixels(*held, len(self._data), max_pixels)
        if self.format != "HEIF":
            image = self._loaded(short_side)  # only then does JPEG 2000 know its reduced size
        profile = image.info.get("icc_profile")
        plain = self._heif_pixels(short_side) if self.format == "HEIF" else shrink(image, short_side)
        return transpose(to_srgb(plain, profile), _orientation(image)[1])

    def _loaded(self, short_side: int | None) -> Image.Image:
        """The picture with its pixels; of a JPEG that was cut short, what is there."""
        try:
            self._image.load()
        except OSError as error:
            if self.format not in ("JPEG", "MPO") or "truncated" not in str(error):
                raise
            self._image, self.shown = _cut_jpeg(self._data, short_side)
        return self._image

    def _heif_pixels(self, short_side: int | None) -> Image.Image:
        """Straight from libheif's buffer: phones make 200 megapixels, of which a second copy is too much."""
        import pillow_heif

        file = pillow_heif.open_heif(io.BytesIO(self._data), convert_hdr_to_8bit=True)
        picture = file[file.primary_index]
        width, height = picture.size
        mode, stride, pixels = picture.mode, picture.stride, memoryview(picture.data)

        def rows(top: int, bottom: int) -> Image.Image:
            part = pixels[top * stride : bottom * stride]
            return Image.frombuffer(mode, (width, bottom - top), part, "raw", mode, stride, 1)  # type: ignore[arg-type]

        return shrink_strips((width, height), rows, block_factor((width, height), short_side))

    def exif(self) -> Image.Exif:
        if self.format == "PSD" and (block := _psd_resource(self._image, 1058)):
            exif = Image.Exif()
            exif.load(block)
            return exif
        return _getexif(self._image)

    def iptc(self) -> Mapping[tuple[int, int], Any]:
        return IptcImagePlugin.getiptcinfo(self._image) or {}  # type: ignore[arg-type]

    def xmp(self) -> bytes | None:
        if self.format == "PSD":
            return _psd_resource(self._image, 1060)
        if self.format == "JXL":
            return next((payload for kind, payload in boxes(self._data) if kind == b"xml "), None)
        packet = self._image.info.get("xmp")
        return packet.encode() if isinstance(packet, str) else packet


def transpose(image: Image.Image, orientation: int) -> Image.Image:
    """Turn and mirror as an EXIF orientation (1 to 8) asks for; any other value leaves the picture alone."""
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def _reduce_in_decoder(image: Image.Image, short_side: int | None) -> None:
    """Let JPEG and JPEG 2000 decode at a power of two of their size: several times faster than all pixels."""
    factor = block_factor(image.size, short_side)
    if factor == 1:
        return
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(None, (image.width // factor, image.height // factor))
    elif image.format == "JPEG2000":
        image.reduce = min(factor.bit_length() - 1, 3)  # type: ignore[method-assign, assignment]


def _cut_jpeg(data: bytes, short_side: int | None) -> tuple[Image.Image, float]:
    """The pixels of a JPEG whose end is missing, and the share of its rows that they fill. Raises Unreadable.

    The decoder takes an end mark for the end: rows that never came are gray, of a progressive picture detail is lost.
    """
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data + _END_OF_JPEG))
    _reduce_in_decoder(image, short_side)
    image.load()
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    blank = (pixels == pixels[-1, -1]).all(axis=(1, 2))
    missing = image.height if blank.all() else int(np.argmin(blank[::-1]))
    shown = 1 - missing / image.height
    if shown < _LEAST_SHOWN:
        raise Unreadable("truncated")
    return image, shown


def _frames(image: Image.Image) -> int:
    shown = image.tell()
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # noqa: BLE001 counting frames reads all of the file, and a later frame may be damaged
        return 1
    finally:
        image.seek(shown)


def _getexif(image: Image.Image) -> Image.Exif:
    """PNG's own getexif decodes all pixels first, a bomb's too; the base class reads what `png_metadata` found."""
    return Image.Image.getexif(image) if image.format == "PNG" else image.getexif()


def _orientation(image: Image.Image) -> tuple[int, int]:
    """What the file says (1 to 8), and what is still to be done to the decoded pixels.

    libheif and libjxl turn the pixels themselves (a JPEG packed into JPEG XL excepted), Pillow those of TIFF.
    """
    try:
        found = _getexif(image).get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 damaged EXIF must not cost the picture
        found = 1
    if image.format == "HEIF":
        found = image.info.get("original_orientation") or 1
    value = found if isinstance(found, int) and 1 <= found <= 8 else 1
    done = image.format in ("HEIF", "TIFF") or (image.format == "JXL" and not getattr(image, "jpeg", False))
    return value, 1 if done else value


def _psd_resource(image: Image.Image, number: int) -> bytes | None:
    resources = getattr(image, "resources", [])
    return next((bytes(block) for key, _, block in resources if key == number), None)
