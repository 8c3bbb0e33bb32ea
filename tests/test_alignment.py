"""What laying one small picture on another tells: what was put in, what is only worse, and which has lost tones."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from photoindex.dupes.alignment import SmallPicture, look
from photoindex.pure.tiers import edits, is_same_picture
from photoindex.records import Look
from test_dupes import detailed

DIFFERS = "something in it differs"


def saved(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def small(picture: Image.Image) -> SmallPicture:
    thumbnail = picture.copy()
    thumbnail.thumbnail((400, 400))
    return SmallPicture(np.asarray(saved(thumbnail, 85)))


def labelled(picture: Image.Image, text: str, height: int = 40) -> Image.Image:
    labelled = picture.copy()
    ImageDraw.Draw(labelled).text((380, 270), text, font=ImageFont.load_default(height), fill="white")
    return labelled


def compared(a: Image.Image, b: Image.Image) -> Look:
    seen, back = look(small(a), small(b)), look(small(b), small(a))
    assert is_same_picture(seen)
    assert edits(seen) == edits(back)
    assert (seen.clipped, back.clipped) in (("", ""), ("a", "b"), ("b", "a"))
    return seen


@pytest.mark.parametrize(
    "worse",
    [
        lambda p: saved(p, 20),
        lambda p: saved(p.resize((320, 240)), 40),
        lambda p: p.resize((160, 120)),
        lambda p: p.resize((256, 256)),
        lambda p: p.filter(ImageFilter.GaussianBlur(2)),
        lambda p: p.quantize(256).convert("RGB"),
        lambda p: ImageEnhance.Sharpness(p).enhance(2),
    ],
    ids=["strong compression", "a messenger's", "small", "squeezed", "blurred", "256 colours", "sharpened"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_copy_that_is_only_worse_differs_in_nothing(worse: Callable[[Image.Image], Image.Image], seed: int) -> None:
    picture = labelled(detailed(seed), "12")
    assert DIFFERS not in edits(compared(picture, worse(picture)))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("one", "other"), [("1", "2"), ("", "7"), ("2024", "1987")])
def test_a_small_label_that_is_another_is_seen_also_in_a_worse_copy(seed: int, one: str, other: str) -> None:
    first, second = labelled(detailed(seed), one), labelled(detailed(seed), other)
    assert edits(compared(first, second)) == (DIFFERS,)
    assert DIFFERS in edits(compared(first, saved(second.resize((400, 300)), 50)))


def test_a_part_that_was_copied_over_another_is_seen() -> None:
    picture = detailed(3)
    patched = picture.copy()
    patched.paste(picture.crop((100, 100, 150, 150)), (500, 400))
    assert edits(compared(picture, patched)) == (DIFFERS,)


@pytest.mark.parametrize("enhance", [ImageEnhance.Brightness, ImageEnhance.Contrast])
def test_which_of_two_has_lost_its_lights_is_told(enhance: Callable[[Image.Image], ImageEnhance.Brightness]) -> None:
    picture = ImageEnhance.Contrast(detailed(4)).enhance(1.2)
    assert compared(picture, enhance(picture).enhance(1.35)).clipped == "b"


def test_what_was_made_darker_after_it_was_clipped_has_not_kept_more() -> None:
    clipped = ImageEnhance.Brightness(detailed(4)).enhance(2.0)
    assert compared(clipped, ImageEnhance.Brightness(clipped).enhance(0.8)).clipped == ""
    assert compared(detailed(4), saved(detailed(4), 30)).clipped == ""
