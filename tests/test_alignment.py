"""What laying one small picture on another tells: what was put in, what is only worse, and which has lost tones."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

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
    assert [re.sub(r"\d+ %", "a part", said) for said in edits(seen)] == [
        re.sub(r"\d+ %", "a part", said) for said in edits(back)
    ]
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


LAID = {
    "cropped by 6 %": lambda p: p.crop((48, 36, 752, 564)),
    "cropped on two sides": lambda p: p.crop((0, 120, 640, 600)),
    "white frame": lambda p: ImageOps.expand(p, 64, "white"),
    "black frame": lambda p: ImageOps.expand(p, 64, "black"),
    "turned by 3 degrees": lambda p: p.rotate(3, resample=Image.Resampling.BICUBIC),
}
TONED = {
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.5),
    "more contrast": lambda p: ImageEnhance.Contrast(p).enhance(1.8),
    "more colour": lambda p: ImageEnhance.Color(p).enhance(1.5),
}


@pytest.mark.parametrize("change", [*LAID.values(), *TONED.values()], ids=[*LAID, *TONED])
@pytest.mark.parametrize("text", ["12", "98"])
def test_beside_another_edit_something_differs_only_where_it_does(
    change: Callable[[Image.Image], Image.Image], text: str
) -> None:
    picture = ImageEnhance.Contrast(detailed(1)).enhance(1.2)
    said = edits(compared(labelled(picture, "12"), change(labelled(picture, text))))
    assert said[1:] == ((DIFFERS,) if text == "98" else ())


@pytest.mark.parametrize("change", [*LAID.values()], ids=[*LAID])
def test_what_lies_beside_a_part_does_not_hide_that_a_faint_picture_is_the_same(
    change: Callable[[Image.Image], Image.Image],
) -> None:
    fog = Image.blend(detailed(1), Image.new("RGB", (800, 600), "white"), 0.6)
    (said,) = edits(compared(labelled(fog, "12"), change(labelled(fog, "12"))))
    assert said != DIFFERS


@pytest.mark.parametrize("enhance", [ImageEnhance.Brightness, ImageEnhance.Contrast])
def test_which_of_two_has_lost_its_lights_is_told(enhance: Callable[[Image.Image], ImageEnhance.Brightness]) -> None:
    picture = ImageEnhance.Contrast(detailed(4)).enhance(1.2)
    assert compared(picture, enhance(picture).enhance(1.35)).clipped == "b"


def test_what_was_made_darker_after_it_was_clipped_has_not_kept_more() -> None:
    clipped = ImageEnhance.Brightness(detailed(4)).enhance(2.0)
    assert compared(clipped, ImageEnhance.Brightness(clipped).enhance(0.8)).clipped == ""
    assert compared(detailed(4), saved(detailed(4), 30)).clipped == ""


WORDS = [
    "house",
    "train",
    "lunch",
    "paper",
    "never",
    "garden",
    "seven",
    "coffee",
    "agreed",
    "station",
    "later",
    "photo",
]


def chat(text: int, changed: int = 18, size: int = 34, dark: bool = False, bubbles: bool = False) -> Image.Image:
    """A telephone's screen of 18 lines of which the first so many have the text of this number."""
    page = Image.new("RGB", (1080, 1920), "#141418" if dark else "white")
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, 1080, 120), fill="#1e5aa0")
    pen.text((40, 40), "Contact name", font=ImageFont.load_default(44), fill="white")
    for n in range(18):
        rng = np.random.default_rng([n, text if n < changed else 0])
        top, left = 150 + n * 95, 240 if bubbles and n % 3 == 1 else 40
        if bubbles:
            pen.rounded_rectangle((left, top, left + 800, top + 78), 18, fill="#3c3c46" if dark else "#e1ebf5")
        line = " ".join(rng.choice(WORDS, 5))
        pen.text((left + 20, top + 18), line, font=ImageFont.load_default(size), fill="#e1e1e1" if dark else "#191919")
    return page


def invoice(numbers: int) -> Image.Image:
    page = Image.new("RGB", (1240, 1754), "white")
    pen, rng = ImageDraw.Draw(page), np.random.default_rng(numbers)
    pen.text((80, 60), "INVOICE", font=ImageFont.load_default(60), fill="black")
    for n in range(26):
        top = 200 + n * 56
        pen.line((80, top, 1160, top), fill="#5a5a5a", width=2)
        cells = [" ".join(WORDS[n % 9 : n % 9 + 3]), *(f"{value / 100:.2f}" for value in rng.integers(1e4, 1e6, 3))]
        for left, cell in zip((90, 640, 820, 1000), cells, strict=True):
            pen.text((left, top + 12), cell, font=ImageFont.load_default(30), fill="black")
    return page


@pytest.mark.parametrize("changed", [3, 9, 15, 18])
def test_screens_of_one_layout_with_other_words_differ_however_many_they_are(changed: int) -> None:
    assert edits(compared(chat(0), chat(1, changed))) == (DIFFERS,)


@pytest.mark.parametrize(("dark", "bubbles"), [(True, False), (False, True), (True, True)])
def test_so_do_dark_screens_and_speech_bubbles(dark: bool, bubbles: bool) -> None:
    one, other = (chat(text, dark=dark, bubbles=bubbles) for text in (0, 1))
    assert edits(compared(one, other)) == (DIFFERS,)
    assert DIFFERS in edits(compared(one, saved(other, 60)))


def test_so_does_a_table_with_every_number_another() -> None:
    assert edits(compared(invoice(1), invoice(2))) == (DIFFERS,)


def test_so_does_a_page_full_of_other_text() -> None:
    pages = []
    for text in (1, 2):
        page, rng = Image.new("RGB", (1080, 1920), "white"), np.random.default_rng(text)
        for top in range(20, 1920, 72):
            line = " ".join(rng.choice(WORDS, 9))
            ImageDraw.Draw(page).text((20, top), line, font=ImageFont.load_default(50), fill="#191919")
        pages.append(page)
    seen = look(*(small(page) for page in pages))
    assert DIFFERS in edits(seen) or not is_same_picture(seen)


@pytest.mark.parametrize(
    "worse",
    [lambda p: saved(p, 20), lambda p: saved(p.resize((p.width // 3, p.height // 3)), 40), lambda p: p.quantize(64)],
    ids=["strong compression", "a messenger's", "64 colours"],
)
def test_a_worse_copy_of_a_screen_or_table_differs_in_nothing(worse: Callable[[Image.Image], Image.Image]) -> None:
    for page in (chat(0), chat(0, dark=True, bubbles=True), invoice(1)):
        assert DIFFERS not in edits(compared(page, worse(page).convert("RGB")))
