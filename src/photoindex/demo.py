"""The pictures of `photoindex demo`: real photos that ship inside installed packages, and a few drawn here."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_PHOTOS = (
    ("skimage", "data", "astronaut chelsea clock_motion coffee coins horse logo moon motorcycle_left page", ".png"),
    ("skimage", "data", "hubble_deep_field retina rocket", ".jpg"),
    ("insightface", "data/images", "t1", ".jpg"),
)
_RECEIPT = (
    "PIZZERIA BELLA NAPOLI",
    "Via Roma 12",
    "",
    "1 Pizza Margherita     9.50",
    "1 Pizza Diavola       11.00",
    "2 Espresso             4.40",
    "",
    "TOTAL EUR             24.90",
    "Receipt 0417  12.05.2024",
    "Grazie e arrivederci",
)
_SCREEN = ("Settings", "Network and internet", "Connected devices", "Battery 84 %", "Storage 61 GB free", "About phone")
_SIGN = ("PRIVATE ROAD", "NO PARKING", "AT ANY TIME")


def make_photos(folder: Path) -> int:
    """Fill `folder` with the demo's pictures and copies of some of them. Returns how many files there are."""
    folder.mkdir(parents=True)
    for package, inside, names, suffix in _PHOTOS:
        spec = importlib.util.find_spec(package)
        base = Path(spec.origin or "").parent / inside if spec else Path()
        for path in (base / f"{name}{suffix}" for name in names.split()):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
    _lines(_RECEIPT, (640, 820), "#f6f3ea", "#2b2b2b", 34).rotate(2, expand=True, fillcolor="#6b5a48").save(
        folder / "IMG_20240512_203145.jpg", quality=88
    )
    _lines(_SCREEN, (540, 960), "#101418", "#e8eaed", 40).save(folder / "Screenshot_20240601-091500.png")
    _lines(_SIGN, (900, 600), "#c1121f", "#ffffff", 96).save(folder / "sign.jpg", quality=90)
    _copies(folder)
    return sum(1 for _ in folder.rglob("*.*"))


def _lines(lines: tuple[str, ...], size: tuple[int, int], paper: str, ink: str, height: int) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(height)
    for number, line in enumerate(lines):
        draw.text((height, height + number * height * 2), line, ink, font)
    return picture


def _copies(folder: Path) -> None:
    """What libraries collect: the same bytes twice, a smaller copy from a messenger, one saved again."""
    from PIL import Image

    copies = folder / "copies"
    copies.mkdir()
    shutil.copyfile(folder / "coffee.png", copies / "coffee (1).png")
    for name, width, quality in (("astronaut.png", 320, 80), ("rocket.jpg", 427, 60), ("chelsea.png", 451, 40)):
        with Image.open(folder / name) as picture:
            height = round(picture.height * width / picture.width)
            small = picture.convert("RGB").resize((width, height))
            small.save(copies / f"{Path(name).stem}-copy.jpg", quality=quality)
