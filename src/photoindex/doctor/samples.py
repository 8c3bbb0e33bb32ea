"""Pictures to measure with: a user's own, or a set made the same way on every machine.

The set is derived from photos inside scikit-image (whose versions do not change them): enlarged to what a phone's
camera delivers, with the noise of a sensor, some with printed text; and a few smaller ones, as messengers and
screens make them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from photoindex.errors import UsageError
from photoindex.media.walk import WalkRules, walk
from photoindex.records import FoundFile, Problem

if TYPE_CHECKING:
    from PIL.Image import Image

# Raised when the set changes: figures of different sets must not be compared.
SET = 1
_LINES = (
    "Invoice 2024-0417 due 12.05.2024",
    "Total amount 1,249.50 EUR",
    "Meeting notes for Thursday",
    "EXIT ONLY",
    "Platform 9",
)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a picture is made: the part `box` (fractions) of the photo `source`, at `size`, with lines of text."""

    name: str
    source: str
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    text: bool = False


_PHONE, _MESSENGER, _SCREEN = (4000, 3000), (1600, 1200), (1080, 1920)
_RECIPES = (
    _Recipe("phone-1.jpg", "astronaut", (0.0, 0.0, 1.0, 1.0), _PHONE),
    _Recipe("phone-2.jpg", "chelsea", (0.1, 0.0, 0.9, 0.9), _PHONE),
    _Recipe("phone-3.jpg", "coffee", (0.0, 0.1, 1.0, 1.0), _PHONE, text=True),
    _Recipe("phone-4.jpg", "rocket", (0.2, 0.0, 1.0, 1.0), _PHONE),
    _Recipe("phone-5.jpg", "chelsea", (0.0, 0.2, 0.7, 1.0), _PHONE, text=True),
    _Recipe("phone-6.jpg", "coffee", (0.3, 0.0, 1.0, 0.8), _PHONE),
    _Recipe("messenger-1.jpg", "astronaut", (0.1, 0.0, 0.8, 0.7), _MESSENGER),
    _Recipe("screen-1.png", "rocket", (0.3, 0.0, 0.7, 1.0), _SCREEN, text=True),
)


def make_samples(folder: Path) -> list[FoundFile]:
    """Write the set of pictures into `folder`, and list it."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, recipe in enumerate(_RECIPES):
        picture = _render(recipe, seed)
        picture.save(folder / recipe.name, quality=90, compress_level=1)  # each format takes its own of the two
    return find_samples(folder, len(_RECIPES))


def find_samples(folder: Path, limit: int) -> list[FoundFile]:
    """At most `limit` pictures below `folder`, spread evenly over it. Raises UsageError where there are none."""
    if not folder.is_dir():
        raise UsageError(f"--photos: there is no folder {folder}.")
    problems: dict[str, Problem] = {}
    found = list(walk(str(folder.absolute()), WalkRules(), problems))
    if not found:
        raise UsageError(f"--photos: {folder} holds no pictures.")
    step = max(1, len(found) // limit)
    return found[::step][:limit]


def content_of(files: Sequence[FoundFile]) -> str:
    """Twelve hex digits that change when a byte of the pictures does: encoders differ between versions of Pillow."""
    total = hashlib.sha256()
    for file in sorted(files, key=lambda each: each.path):
        total.update(Path(file.path).read_bytes())
    return total.hexdigest()[:12]


def _render(recipe: _Recipe, seed: int) -> Image:
    from PIL import Image
    from skimage import data

    source = Image.fromarray(getattr(data, recipe.source)()).convert("RGB")
    left, top, right, bottom = recipe.box
    part = (left * source.width, top * source.height, right * source.width, bottom * source.height)
    picture = source.resize(recipe.size, Image.Resampling.BICUBIC, box=part)
    if recipe.size == _PHONE:
        picture = _with_noise(picture, np.random.default_rng(seed))
    if recipe.text:
        _print_lines(picture)
    return picture


def _with_noise(picture: Image, rng: np.random.Generator) -> Image:
    """Noise of the strength that makes the JPEG as large as a camera's; the same in all channels."""
    from PIL import Image

    pixels = np.asarray(picture, np.int16) + rng.integers(-6, 7, (picture.height, picture.width, 1), np.int16)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _print_lines(picture: Image) -> None:
    from PIL import ImageDraw, ImageFont

    draw, height = ImageDraw.Draw(picture), picture.width // 28
    font = ImageFont.load_default(height)
    for row, line in enumerate(_LINES):
        at = (picture.width // 20, picture.height // 10 + row * 2 * height)
        draw.text(at, line, "white", font, stroke_width=max(1, height // 24), stroke_fill="black")


def repeated(files: Sequence[FoundFile], count: int) -> Iterator[FoundFile]:
    """`count` files, the same again and again."""
    for number in range(count):
        yield files[number % len(files)]
