"""What `photoindex dupes` must not take for copies, and what it keeps of those that lost something: drawn pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ImageEnhance

from conftest import Shell
from test_alignment import chat, labelled
from test_dupes import detailed, names


@pytest.mark.parametrize("bubbles", [False, True], ids=["white", "dark with bubbles"])
def test_screens_of_one_layout_with_other_words_are_no_duplicates(run: Shell, tmp_path: Path, bubbles: bool) -> None:
    """All 18 lines differ; one screen was sent on by a messenger."""
    (tmp_path / "photos").mkdir()
    pages = [chat(text, dark=bubbles, bubbles=bubbles) for text in (0, 1, 2)]
    for text, page in enumerate(pages):
        page.save(tmp_path / "photos" / f"{text}.png")
    pages[0].resize((720, 1280)).save(tmp_path / "photos" / "0 sent on.jpg", quality=80)
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--format", "json").json
    assert sorted(names(group)) == ["0 sent on.jpg", "0.png"]
    (planned,) = run("dupes", "plan", "--tier", "re-encoded", "--tier", "edited").json["groups"]
    assert [Path(file["path"]).name for file in planned["go"]] == ["0 sent on.jpg"]


def test_a_photo_with_words_laid_over_it_is_still_a_copy_of_it(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    picture = detailed(2)
    picture.save(tmp_path / "photos" / "plain.png")
    labelled(picture, "IT RAINED", 40).save(tmp_path / "photos" / "with words.jpg", quality=90)
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--format", "json").json
    assert [group["tier"], *(link["differs"] for link in group["links"])] == ["edited", ["something in it differs"]]


def test_lossless_pictures_of_which_some_pixels_differ_are_no_mere_copies(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    picture = detailed(1)
    picture.save(tmp_path / "photos" / "a.png")
    picture.save(tmp_path / "photos" / "the same.bmp")
    other = picture.copy()
    other.putpixel((400, 300), (1, 2, 3))
    other.save(tmp_path / "photos" / "other.png")
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--format", "json").json
    assert {Path(m["path"]).name: m["tier"] for m in group["members"][1:]} | {names(group)[0]: ""} == {
        "a.png": "",
        "the same.bmp": "same-pixels",
        "other.png": "edited",
    }
    assert ["some pixels differ"] in [link["differs"] for link in group["links"]]
    assert [g["tier"] for g in run("dupes", "--without", "edited", "--format", "json").json] == ["same-pixels"]


def test_what_lost_its_lights_is_not_kept_for_having_more_bytes(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    picture = ImageEnhance.Contrast(detailed(4)).enhance(1.2)
    picture.save(tmp_path / "photos" / "as it was.jpg", quality=80)
    ImageEnhance.Brightness(picture).enhance(1.35).save(tmp_path / "photos" / "a.png")
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--format", "json").json
    assert names(group)[0] == "as it was.jpg"
    assert "it still has tones that others have lost" in group["reason"]
    (group,) = run("dupes", "--keep", "bytes", "--format", "json").json
    assert names(group)[0] == "a.png"
