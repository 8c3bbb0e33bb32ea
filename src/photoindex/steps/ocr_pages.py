"""Drawn pages on which engines that read text are timed and compared: a scene, a sign, a screenshot and a receipt."""

from __future__ import annotations

import functools

import numpy as np

from photoindex.records import Uint8Image

_SIGN = ("HARBOUR", "MARKET 1897")
_SCREEN = ("Settings and privacy", "Notifications are on", "Version 26.4 (build 1031)")
_RECEIPT = (
    "PIZZERIA VESUVIO", "12 Station Road", "Table 7   19:42", "Margherita 8.50", "Quattro stagioni 11.20",
    "Mineral water 2.00", "Espresso 2.40", "Tiramisu 5.60", "Subtotal 29.70", "Service 10% 2.97", "Total 32.67 EUR",
    "Thank you and goodbye",
)  # fmt: skip


@functools.cache
def sample_pages() -> tuple[Uint8Image, ...]:
    """Four pictures as the `work` view gives them (see steps.work_view): uint8 (height, width, 3), RGB.

    Of what a library holds, roughly: most photos show no text, some a few large words, few a page of it. The receipt
    is small enough in its picture to call for a closer look.
    """
    return (
        _scene((1280, 960)),
        _page((960, 1280), _SIGN, letters=110, paper=(32, 66, 120), ink=(240, 240, 232)),
        _page((1280, 720), _SCREEN, letters=40, paper=(250, 250, 250), ink=(20, 20, 24)),
        _page((800, 1280), _RECEIPT, letters=26, paper=(236, 233, 224), ink=(40, 38, 36)),
    )


def _scene(size: tuple[int, int]) -> Uint8Image:
    """Hills under a sky, soft and without a letter."""
    width, height = size
    down, right = np.mgrid[0:height, 0:width] / max(size)
    hill = 0.45 + 0.08 * np.sin(7 * right) + 0.03 * np.sin(23 * right + 1)
    sky = np.stack([120 + 80 * down, 160 + 60 * down, 235 - 30 * down], axis=-1)
    land = np.stack([60 + 40 * right, 110 - 30 * down, 50 + 20 * right], axis=-1)
    mixed = np.where((down > hill)[..., None], land, sky)
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def _page(
    size: tuple[int, int], lines: tuple[str, ...], letters: int, paper: tuple[int, int, int], ink: tuple[int, int, int]
) -> Uint8Image:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", size, paper)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(letters)
    for row, line in enumerate(lines):
        pen.text((size[0] // 12, size[1] // 12 + row * letters * 2), line, fill=ink, font=font)
    return np.asarray(image, np.uint8)
