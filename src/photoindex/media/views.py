"""The prepared views of a picture: the resizing that belongs to a model, done in the decode worker."""

from __future__ import annotations

import numpy as np
from PIL import Image

from photoindex.records import Uint8Image, View

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
# Beyond this the picture scaled as a whole would take up to gigabytes of which only the centre square is kept.
_LONGEST_RATIO = 16


def short_side_for(view: View) -> int:
    """How many pixels the short side of a decoded picture needs for `view` to be as good as from all pixels.

    Twice the size for models: embeddings from a draft decode of at least that size agree with those from a
    full decode to a cosine of 0.99998. `fit` bounds the longest side, so its size is enough for any aspect.
    """
    return view.size if view.mode == "fit" else 2 * view.size


def prepare_view(image: Image.Image, view: View) -> Uint8Image:
    """The picture as `view` asks: uint8 of shape (height, width, 3), RGB, writable and contiguous.

    `crop` and `squash` equal torchvision's Resize (antialiased, on PIL) and CenterCrop bit for bit, which is
    what OpenCLIP runs; only a picture more than 16 times as long as wide differs, by rounding.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    if view.mode == "fit":
        prepared = _resize(rgb, fit_size(rgb.size, view.size), view)
    elif view.mode == "squash":
        prepared = _resize(rgb, (view.size, view.size), view)
    else:
        prepared = _crop(rgb, view)
    return np.array(prepared, dtype=np.uint8)


def fit_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(width, height) with the longest side at most `longest`, aspect kept, never enlarged, never zero."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resize(image: Image.Image, size: tuple[int, int], view: View) -> Image.Image:
    return image if image.size == size else image.resize(size, _FILTERS[view.interpolation])


def _crop(image: Image.Image, view: View) -> Image.Image:
    width, height = image.size
    short, long = min(width, height), max(width, height)
    scaled = int(view.size * long / short)
    if long > _LONGEST_RATIO * short:
        return _crop_first(image, view, scaled)
    resized = _resize(image, (view.size, scaled) if width <= height else (scaled, view.size), view)
    left = round((resized.width - view.size) / 2.0)
    top = round((resized.height - view.size) / 2.0)
    return resized.crop((left, top, left + view.size, top + view.size))


def _crop_first(image: Image.Image, view: View, scaled: int) -> Image.Image:
    """Scale only the part of a very long picture that the centre square shows."""
    long = max(image.size)
    start = round((scaled - view.size) / 2.0) * long / scaled
    stop = min(float(long), start + view.size * long / scaled)
    tall = image.height == long
    box = (0.0, start, float(image.width), stop) if tall else (start, 0.0, stop, float(image.height))
    return image.resize((view.size, view.size), _FILTERS[view.interpolation], box=box)
