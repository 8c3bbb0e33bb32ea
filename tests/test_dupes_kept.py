"""What `photoindex dupes` must not take for copies, and what it keeps of those that lost something: drawn pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ImageEnhance

from conftest import Shell
from test_alignment import chat
from test_dupes import detailed, names


@pytest.mark.parametrize("bubbles", [False, True], ids=["white", "dark with bubbles"])
def test_screens_of_one_layout_with_other_words_are_no_copies_of_each_other(
    run: Shell, tmp_path: Path, bubbles: bool
) -> None:
    """All 18 lines differ; one screen was sent on by a messenger."""
    (tmp_path / "photos").mkdir()
    pages = [chat(text, dark=bubbles, bubbles=bubbles) for text in (0, 1, 2)]
    for text, page in enumerate(pages):
        page.save(tmp_path / "photos" / f"{text}.png")
    pages[0].resize((720, 1280)).save(tmp_path / "photos" / "0 sent on.jpg", quality=80)
    run.scan(tmp_path / "photos")
    surest = ("--tier", "identical", "--tier", "same-pixels", "--tier", "re-encoded")
    (group,) = run("dupes", *surest, "--format", "json").json
    assert sorted(names(group)) == ["0 sent on.jpg", "0.png"]
    (planned,) = run("dupes", "plan", *surest).json["groups"]
    assert [Path(file["path"]).name for file in planned["go"]] == ["0 sent on.jpg"]
    for group in run("dupes", "--tier", "all", "--format", "json").json:
        for link in group["links"]:
            pair = {Path(group["members"][link[end]]["path"]).name[0] for end in "ab"}
            assert len(pair) == 1 or "something in it differs" in link["differs"] or link["tier"] == "similar"


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
