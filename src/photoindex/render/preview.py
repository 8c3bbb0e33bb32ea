"""Thumbnails on terminals that can show pictures: kitty's graphics protocol, or Sixel (iTerm2, WezTerm, foot, ...)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from photoindex.errors import UsageError
from photoindex.records import Hit
from photoindex.render.hits import match_cell, photo_cell, taken_cell
from photoindex.render.text import console, visible

_INSTEAD = "--open shows the photos in a browser, --sheet FILE.html writes them into a page."
_WIDE, _HIGH = 32, 10  # the most cells that a thumbnail takes

Picture = Callable[..., Any]


def picture_class() -> Picture:
    """What draws a picture on this terminal, after asking the terminal. Raises UsageError where it shows none."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise UsageError(f"--preview draws on a terminal, and this is none. {_INSTEAD}")
    if os.environ.get("TERM", "dumb") != "dumb":
        logging.getLogger("textual_image").setLevel(logging.ERROR)  # it would tell of guesses on stderr
        from textual_image import renderable

        if renderable.Image in (renderable.TGPImage, renderable.SixelImage):
            return renderable.Image
    raise UsageError(f"This terminal shows no pictures; kitty, iTerm2, WezTerm and foot do. {_INSTEAD}")


def print_previews(
    hits: Sequence[Hit], picture: Picture, thumbnail: Callable[[str], Path], explain: bool = False
) -> None:
    """Each photo's thumbnail with what the table says of it below."""
    target = console()
    for hit in hits:
        if hit.rank > 1:
            target.print()
        path = thumbnail(hit.photo.photo)
        target.print(_picture(picture, path) or "(no thumbnail)")
        target.print(photo_cell(hit, explain))
        facts = (f"#{hit.rank}", match_cell(hit), taken_cell(hit.photo), visible(hit.photo.camera or ""))
        target.print("  ".join(fact for fact in facts if fact), style="dim")


def _picture(picture: Picture, path: Path) -> Any:
    """The thumbnail as something to print; None where there is none, or none that can be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return None
    wide = image.width * _HIGH * 2 >= image.height * _WIDE  # a cell is about twice as high as wide
    return picture(image, width=_WIDE if wide else "auto", height="auto" if wide else _HIGH)
