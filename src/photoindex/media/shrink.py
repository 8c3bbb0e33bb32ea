"""Averaging whole blocks of pixels, strip by strip, so that a picture of 200 megapixels fits beside its copy."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from photoindex.media.colour import to_plain

_STRIP_PIXELS = 8_000_000


def block_factor(size: tuple[int, int], short_side: int | None) -> int:
    """How many pixels of each side may become one while the short side stays at least `short_side`; at least 1."""
    return max(1, min(size) // short_side) if short_side else 1


def shrink(image: Image.Image, short_side: int | None) -> Image.Image:
    """A plain picture (see to_plain) whose short side is at least `short_side`, as JPEG's draft mode gives it."""
    factor = block_factor(image.size, short_side)
    if factor == 1:
        return to_plain(image)
    if image.mode == "F" or image.mode.startswith("I"):  # their brightness is set by the whole picture
        return to_plain(image).reduce(factor)
    return shrink_strips(image.size, lambda top, bottom: image.crop((0, top, image.width, bottom)), factor)


def shrink_strips(size: tuple[int, int], rows: Callable[[int, int], Image.Image], factor: int) -> Image.Image:
    """The same from a function that gives the rows from `top` to `bottom` (exclusive)."""
    width, height = size
    step = max(1, _STRIP_PIXELS // width // factor) * factor
    strips = (to_plain(rows(top, min(height, top + step))).reduce(factor) for top in range(0, height, step))
    first = next(strips)
    whole = Image.new(first.mode, (first.width, -(-height // factor)))
    whole.paste(first, (0, 0))
    for index, strip in enumerate(strips, start=1):
        whole.paste(strip, (0, index * (step // factor)))
    return whole
