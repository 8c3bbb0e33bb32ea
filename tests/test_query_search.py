"""Searching in the query language from a shell and from Python: filters, pictures and sums of meanings."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Shell, install_tiny_clip, shell
from photoindex.records import Metadata, Tag
from photoindex.search.meaning import unit
from test_search import lines, photo, save

KEYWORD = ("--mode", "keyword")


def found(run: Shell, *arguments: str) -> list[str]:
    return [Path(hit["path"]).name for hit in run("search", "--format", "json", *arguments).json]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Four photos. Tests only ask."""
    with pytest.MonkeyPatch.context() as patch:
        run = shell(tmp_path_factory.mktemp("album") / "home", patch)
        nikon = Metadata("JPEG", 40, 30, taken_at=datetime(2023, 5, 1), camera_make="NIKON", camera_model="NIKON D90")
        phone = Metadata("JPEG", 30, 40, taken_at=datetime(2022, 5, 1), camera_make="Apple", camera_model="iPhone 12")
        save(
            run,
            photo("dog.jpg", metadata=nikon, tags=(Tag("dog", 0.9), Tag("beach", 0.9))),
            photo("bill.jpg", metadata=phone, ocr=lines("RECEIPT of the beach bar")),
            photo("sea.jpg", metadata=phone, tags=(Tag("beach", 0.9), Tag("people", 0.9))),
            photo("sign.jpg", ocr=lines("NO PARKING"), tags=(Tag("street", 0.9),)),
        )
        yield run


# --- the shell ------------------------------------------------------------------------------------------------------


def test_of_several_files_of_a_photo_the_one_that_was_asked_for_is_shown(scanned: Shell, pictures: Path) -> None:
    copy, large = pictures / "2023" / "copy of large.jpg", pictures / "large.jpg"

    def shown(*query: str) -> list[str]:
        return scanned("search", *KEYWORD, "--format", "paths", *query).text.splitlines()

    assert shown("name:large*") == shown("large", "name:large*") == shown("-path:trip", "name:large*") == [str(large)]
    assert shown("large", "name:copy*") == shown("name:copy* OR name:nothing") == [str(copy)]
    assert set(shown("large")) & {str(copy), str(large)} == {str(copy)}  # the first by name
    assert scanned("random", "name:large*", "--format", "paths").text == f"{large}\n"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("beach",), {"dog.jpg", "sea.jpg", "bill.jpg"}),
        (("beach", "-people"), {"dog.jpg", "bill.jpg"}),
        (("beach", "-tag:people", "-tag:dog"), {"bill.jpg"}),
        (("-tag:dog", "beach"), {"sea.jpg", "bill.jpg"}),
        (("-tag:dog", "-0nothing", "beach"), {"sea.jpg", "bill.jpg"}),
        (("--", "beach", "-people"), {"dog.jpg", "bill.jpg"}),
        (("(tag:dog OR text:receipt) -camera:nikon beach",), {"bill.jpg"}),
        (("(tag:dog", "OR", "text:receipt)", "-camera:nikon", "beach"), {"bill.jpg"}),
        (('"no parking"',), {"sign.jpg"}),
        (('"parking no"',), set()),
        (("camera:iphone",), {"bill.jpg", "sea.jpg"}),
        (("camera:iphone", "--tag", "beach"), {"sea.jpg"}),
        (("--camera", "iphone", "is:portrait", "date:2022"), {"bill.jpg", "sea.jpg"}),
        (("receipt OR parking",), {"bill.jpg", "sign.jpg"}),
        (("--has", "text", "-receipt"), {"sign.jpg"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_language_filters_what_is_ranked(album: Shell, arguments: tuple[str, ...], names: set[str]) -> None:
    assert set(found(album, *KEYWORD, *arguments)) == names


def test_a_caption_that_a_model_wrote_is_searched_by_its_field(run: Shell) -> None:
    save(
        run,
        photo("a.jpg", captions="two dogs on a beach"),
        photo("b.jpg", metadata=Metadata("JPEG", 1, 1, title="A dog")),
    )
    assert set(found(run, "caption:dog")) == {"a.jpg", "b.jpg"}
    assert found(run, 'caption:"dogs on a beach"') == ["a.jpg"]
    assert found(run, "-caption:beach") == ["b.jpg"]


def test_a_query_of_filters_lists_newest_first_and_0_is_still_an_option(album: Shell) -> None:
    assert found(album, "has:date") == ["dog.jpg", "bill.jpg", "sea.jpg"] or found(album, "has:date")[0] == "dog.jpg"
    assert album("search", "-tag:beach", "-text:receipt", "-0").out == b"/p/sign.jpg\0"


def test_a_wrong_query_is_pointed_at(album: Shell) -> None:
    ran = album("search", "beach", "tga:dog", "x", code=2)
    first, second, third = ran.err.splitlines()
    assert "Did you mean tag:?" in first
    assert second[third.index("^") : third.rindex("^") + 1] == "tga:dog"
    assert ran.out == b""


def test_a_value_that_nothing_has_is_told_and_is_no_error(album: Shell) -> None:
    ran = album("search", "camera:nikn", "--format", "json")
    assert ran.json == []
    assert 'camera:nikn fits no photo in this library. Did you mean camera:"NIKON D90"?' in ran.err


@pytest.mark.parametrize("query", ["in:holiday", "beach -person:Anna"])
def test_collections_and_people_are_said_not_to_be_there(album: Shell, query: str) -> None:
    assert "in this library yet" in album("search", *query.split(), code=2).err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--camera", "!"), "--camera: camera: needs a letter"),
        (("--after", "soon"), "--after: 'soon' is no date"),
        (("--add", " "), "nothing here to add"),
        (("--mode", "keyword", "a + b"), "leave out --mode keyword"),
        (("a +",), "Nothing follows this '+'"),
    ],
)
def test_wrong_options_are_refused(album: Shell, arguments: tuple[str, ...], says: str) -> None:
    assert says in album("search", *arguments, code=2).err


def test_a_sum_needs_vectors_and_says_so(album: Shell) -> None:
    assert "it has no image vectors" in album("search", "beach + rain", code=23).err
    assert "it has no image vectors" in album("similar", "dog.jpg", code=23).err


def test_python_searches_as_its_documentation_says(album: Shell) -> None:
    import photoindex

    paragraphs = (photoindex.__doc__ or "").split("\n\n")
    example = textwrap.dedent("\n\n".join(text for text in paragraphs if text.startswith("    ")))
    script = example.replace("camera:pixel", "camera:nikon")
    assert script != example
    environment = {"PHOTOINDEX_HOME": str(album.home), "PATH": ""}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("/p/dog.jpg\n", 0), ran.stderr


# --- pictures and sums ------------------------------------------------------------------------------------------------

SCENES = [
    *("a red circle", "a blue circle", "a red car", "a blue car", "a green tree", "a pizza", "a boat on the sea"),
    *("a boat at night", "a house at night", "a house in a meadow", "a house in the snow", "a car in the snow"),
]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Drawn scenes with the vectors of the small OpenCLIP model; the names tell nothing."""
    pytest.importorskip("scenes", reason="scripts/scenes.py draws what the small model knows")
    from scenes import render_scene

    folder = tmp_path_factory.mktemp("scenes")
    (folder / "photos").mkdir()
    for n, words in enumerate(SCENES):
        render_scene(words, seed=n).save(folder / "photos" / f"{n:02}.png")
    with pytest.MonkeyPatch.context() as patch:
        run = shell(folder / "home", patch)
        install_tiny_clip(run)
        steps = ("--steps", "metadata,embedding,tags", "--profile", "tiny")
        report = run("scan", folder / "photos", *steps, "--format", "json").json
        assert report["steps"]["embedding"] == {"done": len(SCENES)}
        yield run


def picture(run: Shell, scene: str) -> str:
    return str(run.home.parent / "photos" / f"{SCENES.index(scene):02}.png")


def shown(run: Shell, *arguments: str) -> list[str]:
    return [SCENES[int(Path(hit["path"]).stem)] for hit in run(*arguments, "--format", "json").json]


def test_a_photo_of_the_library_is_most_like_itself_and_then_like_others_of_its_kind(scenes: Shell) -> None:
    hits = shown(scenes, "search", "--like", picture(scenes, "a red car"))
    assert hits[0] == "a red car"
    assert "car" in hits[1]


def test_a_picture_from_anywhere_finds_what_is_like_it(scenes: Shell, tmp_path: Path) -> None:
    from scenes import render_scene

    render_scene("a pizza", seed=99, size=(640, 480)).save(tmp_path / "dinner.jpg", quality=60)
    assert shown(scenes, "search", "--like", str(tmp_path / "dinner.jpg"))[0] == "a pizza"
    assert shown(scenes, "search", str(tmp_path / "dinner.jpg"))[0] == "a pizza"
    assert shown(scenes, "similar", str(tmp_path / "dinner.jpg"))[0] == "a pizza"


def test_a_picture_from_anywhere_is_encoded_as_a_scan_would(scenes: Shell, tmp_path: Path) -> None:
    """The copy, re-encoded without loss, is as near to the photo as the photo's saved vector to itself."""
    Image.open(picture(scenes, "a blue car")).save(tmp_path / "copy.bmp")
    [first, *_] = scenes("search", "--like", str(tmp_path / "copy.bmp"), "--explain", "--format", "json").json
    assert first["reasons"][0]["score"] == pytest.approx(1.0, abs=2e-3)


def test_a_photo_of_the_library_needs_no_model(scenes: Shell, tmp_path: Path) -> None:
    """A search like a known photo works with the weights gone, by path and by the beginning of the SHA-256."""
    blocks = (scenes.home / "models.toml").read_text()
    sha = scenes("search", "--like", picture(scenes, "a pizza"), "--limit", "1", "--format", "json").json[0]["photo"]
    try:
        (scenes.home / "models.toml").write_text(
            blocks.replace(json.dumps(_path_in(blocks)), json.dumps(str(tmp_path)))
        )
        assert shown(scenes, "search", f"like:{sha[:8]}")[0] == "a pizza"
        assert len(shown(scenes, "similar", picture(scenes, "a boat at night"))) == len(SCENES) - 1
        assert scenes("search", "pizza + night", code=23).out == b""
    finally:
        (scenes.home / "models.toml").write_text(blocks)


def _path_in(blocks: str) -> str:
    return next(line.split('"')[1] for line in blocks.splitlines() if line.startswith("path ="))


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("house + at night", "a house at night"),
        ("car + snow - blue - red", "a car in the snow"),
        ("0.2*boat + 2*pizza", "a pizza"),
        ("0.2:boat + 2:pizza", "a pizza"),
    ],
)
def test_meanings_are_added(scenes: Shell, query: str, first: str) -> None:
    assert shown(scenes, "search", query)[0] == first


@pytest.mark.parametrize(
    ("plain", "less", "scene"),
    [("house", "house - night", "a house at night"), ("circle", "circle - blue", "a blue circle")],
)
def test_meanings_are_subtracted(scenes: Shell, plain: str, less: str, scene: str) -> None:
    before = shown(scenes, "search", "--mode", "semantic", "--all", plain)
    after = shown(scenes, "search", less)
    assert after.index(scene) > before.index(scene)


def test_a_picture_minus_its_colour_plus_another(scenes: Shell) -> None:
    red = picture(scenes, "a red car")
    ranked = shown(scenes, "search", f"{red} + 2*blue - 2*red")
    assert ranked.index("a blue car") < ranked.index("a red car")
    by_options = ("--like", red, "--add", "2:blue", "--subtract", "2*red")
    assert shown(scenes, "search", *by_options) == ranked


def test_sums_are_combined_with_filters(scenes: Shell) -> None:
    assert set(shown(scenes, "search", "house + night tag:house")) <= {s for s in SCENES if "house" in s}
    assert "a red car" not in shown(scenes, "search", "red + car", "-name:02.png")
    assert shown(scenes, "search", "--like", picture(scenes, "a pizza"), "after:2099") == []


def test_similar_leaves_the_photo_itself_out_and_filters(scenes: Shell) -> None:
    boat = picture(scenes, "a boat on the sea")
    hits = scenes("similar", boat, "--limit", "3", "--format", "json").json
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    ranked = shown(scenes, "similar", boat)
    assert "a boat on the sea" not in ranked
    assert shown(scenes, "similar", boat, "--limit", "1") == ranked[:1]
    assert shown(scenes, "similar", boat, "-tag:boat") == [scene for scene in ranked if "boat" not in scene]
    assert len(shown(scenes, "similar", boat, "--limit", "0")) == len(SCENES) - 1


def test_alternatives_rank_by_the_better_of_them(scenes: Shell) -> None:
    first = shown(scenes, "search", "--mode", "semantic", "pizza OR tree", "--limit", "2")
    assert set(first) == {"a pizza", "a green tree"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--like", "nowhere.jpg"), 24, "No photo matches 'nowhere.jpg'"),
        (("like:zzzzzz",), 24, "No photo matches"),
        (("pizza - pizza",), 2, "cancel each other out"),
        (("--like", "."), 24, "a folder"),
        (("--like", __file__), 24, "not a picture"),
        (("--like", "a\0b.jpg"), 24, "No photo matches"),
    ],
)
def test_what_is_no_picture_is_said(scenes: Shell, arguments: tuple[str, ...], code: int, says: str) -> None:
    assert says in scenes("search", *arguments, code=code).err


def test_searching_by_picture_loads_no_torch(scenes: Shell, tmp_path: Path) -> None:
    Image.open(picture(scenes, "a pizza")).save(tmp_path / "a.jpg")
    script = "import atexit, sys\natexit.register(lambda: print([m for m in ('torch', 'lancedb') if m in sys.modules]))"
    process = scenes.start("search", "--like", tmp_path / "a.jpg", "--format", "paths", script=script)
    out, err = process.communicate()
    assert out.splitlines()[0].endswith(b"/05.png"), err.decode()
    assert out.splitlines()[-1] == b"[]"


def test_a_unit_vector_has_length_one() -> None:
    assert np.linalg.norm(unit(np.array([3.0, 4.0], np.float32))) == pytest.approx(1.0)
