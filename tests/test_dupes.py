"""`photoindex dupes`, end to end on pictures that were copied, resized and recompressed."""

from __future__ import annotations

import csv
import io
import os
import shutil
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from conftest import Shell, draw, exif, shell
from photoindex.dupes.find import known_photos
from photoindex.dupes.options import DupeOptions
from photoindex.search.filtering import NEAR_BITS
from photoindex.store.library import Library

QUERY_DOCS = Path(__file__).parent.parent / "docs" / "query.md"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two originals with near copies of one and an exact copy of the other, and flat pictures that say nothing."""
    folder = tmp_path_factory.mktemp("dupes") / "photos"
    folder.mkdir()
    original = draw(1).resize((1200, 900))
    original.save(folder / "original.jpg", quality=97)
    original.save(folder / "recompressed.jpg", quality=60)
    original.resize((600, 450)).save(folder / "small.jpg", quality=85)
    draw(2).resize((800, 600)).save(folder / "other.jpg")
    shutil.copyfile(folder / "other.jpg", folder / "other again.jpg")
    draw(3).resize((800, 600)).save(folder / "alone.jpg")
    for n in (0, 1, 2):
        draw(1, (640, 480)).point(lambda _, n=n: 100 + n).save(folder / f"flat {n}.png")
    return folder


def detailed(seed: int) -> Image.Image:
    """Colour noise at several scales, 800 x 600: detail everywhere, as in a photo."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((600, 800, 3))
    for cells in (6, 15, 40, 100):
        coarse = Image.fromarray(rng.integers(0, 255, (cells, cells, 3), dtype=np.uint8))
        whole += np.asarray(coarse.resize((800, 600), Image.Resampling.BICUBIC), dtype=float) / cells**0.7
    return Image.fromarray(((whole - whole.min()) / np.ptp(whole) * 255).astype(np.uint8))


def movie(taken: datetime, seconds: int) -> bytes:
    """The header of a QuickTime film."""
    since = int((taken - datetime(1904, 1, 1)).total_seconds())
    header = struct.pack(">IIIII", 0, since, since, 600, 600 * seconds)
    mvhd = struct.pack(">I4s", 8 + len(header), b"mvhd") + header
    return struct.pack(">I4s4s", 12, b"ftyp", b"qt  ") + struct.pack(">I4s", 8 + len(mvhd), b"moov") + mvhd


@pytest.fixture(scope="module")
def _scanned(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose library has them; `scanned` copies it for each test."""
    home = tmp_path_factory.mktemp("scanned dupes")
    with pytest.MonkeyPatch.context() as patch:
        shell(home, patch).scan(drawn)
    return home


def names(group: dict[str, Any]) -> list[str]:
    return [Path(member["path"]).name for member in group["members"]]


def test_exact_and_near_copies_are_grouped_and_nothing_else(scanned: Shell) -> None:
    exact, near = scanned("dupes", "--format", "json").json
    assert (exact["tier"], near["tier"]) == ("identical", "re-encoded")
    assert names(exact) == ["other.jpg", "other again.jpg"]
    assert {member["distance"] for member in exact["members"]} == {0}
    assert names(near) == ["original.jpg", "recompressed.jpg", "small.jpg"]
    assert [member["tier"] for member in near["members"]] == ["keeper", "re-encoded", "re-encoded"]
    assert [member["keep"] for member in near["members"]] == [True, False, False]
    assert all(link["a"] < link["b"] and link["look"]["correlation"] > 0.9 for link in near["links"])
    assert {end for link in near["links"] for end in (link["a"], link["b"])} == {0, 1, 2}


def test_a_group_says_what_to_keep_why_and_what_differs(scanned: Shell, drawn: Path) -> None:
    exact, near = scanned("dupes", "--format", "json").json
    first, recompressed, small = near["members"]
    assert near["keeper"] == first["path"] == str(drawn / "original.jpg")
    assert "1200x900 pixels, not 600x450" in near["reason"]
    assert (first["width"], first["height"], first["bytes"]) == (1200, 900, (drawn / "original.jpg").stat().st_size)
    assert len(first["photo"]) == 64
    assert near["frees"] == sum((drawn / name).stat().st_size for name in ("recompressed.jpg", "small.jpg"))
    assert "600x450, not 1200x900" in small["differs"]
    assert any("% of the bytes" in text for text in recompressed["differs"])
    assert exact["reason"] == "its path is the shortest"
    ran = scanned("dupes")
    assert "keep the first: 1200x900 pixels, not 600x450" in ran.text
    assert "2 groups (1 identical, 1 re-encoded). 5 files are duplicates; keeping one of each would free" in ran.err


def test_a_daring_threshold_is_remarked_upon_and_a_senseless_one_refused(scanned: Shell) -> None:
    daring = scanned("dupes", "--threshold", "40", "--format", "json")
    assert "Above 31 bits most pairs are unrelated" in daring.err
    assert len(daring.json) == 2
    assert scanned("dupes", "--threshold", "129", code=2).out == b""


def test_tiers_are_chosen_and_left_out(scanned: Shell) -> None:
    def tiers(*arguments: str) -> list[str]:
        return [group["tier"] for group in scanned("dupes", *arguments, "--format", "json").json]

    assert tiers("--tier", "identical") == ["identical"]
    assert tiers("--without", "identical") == ["re-encoded"]
    assert tiers("--tier", "all") == ["identical", "re-encoded"]
    assert tiers("--tier", "edited", "--tier", "burst") == []
    for option in ("--tier", "--without"):
        assert "There are: identical, same-pixels" in scanned("dupes", option, "nonsense", code=2).err
    assert "No tier is left" in scanned("dupes", "--tier", "burst", "--without", "burst", code=2).err


def test_rules_folders_and_sizes(scanned: Shell, drawn: Path) -> None:
    def first(*arguments: str) -> str:
        return names(scanned("dupes", "--tier", "re-encoded", *arguments, "--format", "json").json[0])[0]

    assert first("--keep", "-resolution") == "small.jpg"
    assert first("--keep", "bytes") == "original.jpg"
    assert first("--keep", "-bytes,path") == "small.jpg"
    assert "There are: original, resolution" in scanned("dupes", "--keep", "beauty", code=2).err
    assert scanned("dupes", "--in", drawn.parent / "elsewhere", "--format", "json").json == []
    assert len(scanned("dupes", "--in", drawn, "--format", "json").json) == 2
    kept = scanned("dupes", "--min-size", str((drawn / "other.jpg").stat().st_size + 1), "--format", "json").json
    assert "other.jpg" not in {name for group in kept for name in names(group)}
    assert "no size" in scanned("dupes", "--min-size", "huge", code=2).err


def test_a_preferred_folder_wins_and_a_protected_one_is_never_freed(run: Shell, tmp_path: Path) -> None:
    for folder, width in (("a", 900), ("b", 600), ("c", 300)):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        draw(1).resize((width, width * 3 // 4)).save(tmp_path / "photos" / folder / f"{folder}.png")
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--prefer", tmp_path / "photos" / "b", "--format", "json").json
    assert names(group)[0] == "b.png"
    assert "which you prefer" in group["reason"]
    (group,) = run("dupes", "--protect", tmp_path / "photos" / "c", "--format", "json").json
    assert names(group)[0] == "c.png"
    assert group["reason"].startswith("it lies in a protected folder")
    assert [member["protected"] for member in group["members"]] == [True, False, False]
    both = [option for name in "ca" for option in ("--protect", tmp_path / "photos" / name)]
    (group,) = run("dupes", *both, "--format", "json").json
    assert names(group)[0] == "a.png"
    assert group["frees"] == (tmp_path / "photos" / "b" / "b.png").stat().st_size


def test_the_same_pixels_with_other_metadata_are_told_from_a_copy_saved_again(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    detailed(1).save(tmp_path / "photos" / "plain.png")
    detailed(1).save(tmp_path / "photos" / "dated.tiff", exif=exif("2023:05:01 14:30:00"))
    with Image.open(tmp_path / "photos" / "plain.png") as again:
        again.save(tmp_path / "photos" / "saved again.jpg", quality=70)
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--format", "json").json
    assert group["tier"] == "re-encoded"
    assert {(name, m["tier"]) for name, m in zip(names(group), group["members"], strict=True)} == {
        ("dated.tiff", "keeper"),
        ("plain.png", "same-pixels"),
        ("saved again.jpg", "re-encoded"),
    }
    assert "camera" in group["reason"]
    (pair,) = run("dupes", "--tier", "same-pixels", "--format", "json").json
    assert set(names(pair)) == {"dated.tiff", "plain.png"}


def test_only_what_is_compared_as_a_whole_has_the_same_pixels(run: Shell, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    first, second, third = (detailed(seed) for seed in (1, 2, 3))
    first.save(photos / "pages.tif", save_all=True, append_images=[second, third])
    first.save(photos / "page.tif")
    palette = third.quantize()
    for name, more in (("long.gif", [first, second]), ("short.gif", [first])):
        palette.save(photos / name, save_all=True, append_images=more, duration=200)
    deep = np.asarray(second)[..., ::-1].astype(np.uint16) * 256 + 77
    assert cv2.imwrite(str(photos / "deep.png"), deep)
    second.save(photos / "eight bits.png")
    for name, alpha in (("opaque.png", 255), ("clear.png", 254)):
        veil = Image.new("L", (800, 600), 255)
        veil.paste(alpha, (300, 300, 310, 310))
        white = detailed(4)
        white.paste("white", (290, 290, 320, 320))
        white.putalpha(veil)
        white.save(photos / name)
    white.convert("RGB").save(photos / "plain.png")
    run.scan(photos)
    groups = run("dupes", "--tier", "same-pixels", "--format", "json").json
    assert [sorted(names(group)) for group in groups] == [["opaque.png", "plain.png"]]
    paged = {"pages.tif", "long.gif", "short.gif"}
    groups = run("dupes", "--format", "json").json
    assert not paged & {name for group in groups for name in names(group)}


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "mirrored"),
        (lambda p: p.transpose(Image.Transpose.ROTATE_90), "turned by 90 degrees"),
        (lambda p: p.crop((40, 30, 760, 570)), "one shows"),
        (lambda p: ImageOps.expand(p, 60, "white"), "one has a frame"),
        (lambda p: p.rotate(3, resample=Image.Resampling.BICUBIC), "turned by 3 degrees"),
        (lambda p: ImageEnhance.Brightness(p).enhance(1.4), "other colours or brightness"),
    ],
    ids=["mirrored", "turned", "crop", "frame", "3 degrees", "brighter"],
)
def test_an_edited_copy_is_found_and_the_edit_named(
    run: Shell, tmp_path: Path, edit: Callable[[Image.Image], Image.Image], says: str
) -> None:
    (tmp_path / "photos").mkdir()
    original = detailed(7)
    original.save(tmp_path / "photos" / "original.jpg", quality=92)
    edit(original).save(tmp_path / "photos" / "edited.jpg", quality=85)
    detailed(8).save(tmp_path / "photos" / "another.jpg", quality=92)
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--tier", "all", "--format", "json").json
    assert group["tier"] == "edited"
    assert set(names(group)) == {"original.jpg", "edited.jpg"}
    (said,) = group["links"][0]["differs"]
    assert says in said
    if "frame" in says:
        assert names(group)[0] == "original.jpg"


def test_a_mirrored_copy_that_kept_its_date_is_found_whatever_was_looked_for_before(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    taken = exif("2023:05:01 14:30:00")
    detailed(7).save(tmp_path / "photos" / "original.jpg", quality=92, exif=taken)
    ImageOps.mirror(detailed(7)).save(tmp_path / "photos" / "mirrored.jpg", quality=92, exif=taken)
    run.scan(tmp_path / "photos")
    run("dupes", "--tier", "burst")
    assert run.rows("SELECT count(*) FROM looks") == [(1,)]
    for _ in range(2):
        (group,) = run("dupes", "--format", "json").json
        assert (group["tier"], group["links"][0]["look"]["turn"]) == ("edited", 1)


def test_a_query_for_duplicates_goes_by_the_hash_alone_as_its_documentation_says(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, picture, quality in (
        ("a.jpg", detailed(7), 92),
        ("saved again.jpg", detailed(7), 80),
        ("b.jpg", detailed(8), 92),
        ("mirrored.jpg", ImageOps.mirror(detailed(8)), 92),
    ):
        picture.save(tmp_path / "photos" / name, quality=quality)
    run.scan(tmp_path / "photos")
    found = run("search", "is:duplicate", "--format", "paths").text.splitlines()
    assert {Path(path).name for path in found} == {"a.jpg", "saved again.jpg"}
    assert len(run("dupes", "--format", "json").json) == 2
    (row,) = [line for line in QUERY_DOCS.read_text().splitlines() if line.startswith("| `is:duplicate`")]
    assert f"{NEAR_BITS} of 256 bits" in row


def test_shots_of_one_moment_are_a_burst_and_no_duplicates(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for n in range(3):
        frame = detailed(7).crop((n, n, 760 + n, 560 + n)).filter(ImageFilter.GaussianBlur(0 if n == 1 else 4))
        frame.save(tmp_path / "photos" / f"IMG_{n}.jpg", quality=92, exif=exif(f"2023:05:01 14:30:0{n}"))
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--format", "json").json
    assert (group["tier"], group["suggestion"], group["frees"]) == ("burst", True, 0)
    assert names(group)[0] == "IMG_1.jpg"
    assert "it is sharper" in group["reason"]
    assert run("dupes", "--without", "burst", "--format", "json").json == []


def test_a_short_video_beside_its_picture_is_a_live_pair(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    draw(1).save(tmp_path / "photos" / "IMG_0001.jpg", exif=exif("2023:05:01 14:30:00"))
    draw(2).save(tmp_path / "photos" / "IMG_0002.jpg", exif=exif("2023:05:01 14:30:00"))
    (tmp_path / "photos" / "IMG_0001.MOV").write_bytes(movie(datetime(2023, 5, 1, 12, 30, 1), 3))
    (tmp_path / "photos" / "IMG_0002.MOV").write_bytes(movie(datetime(2023, 5, 1, 12, 40, 1), 3))
    run.scan(tmp_path / "photos")
    (group,) = run("dupes", "--format", "json").json
    assert group["tier"] == "live"
    assert group["members"][0]["video"] == str(tmp_path / "photos" / "IMG_0001.MOV")
    assert run("dupes", "--without", "live", "--format", "json").json == []


def test_pictures_without_thumbnails_are_compared_by_their_files(run: Shell, drawn: Path) -> None:
    run("scan", drawn, "--steps", "metadata,hash", "--workers", "2")
    assert [group["tier"] for group in run("dupes", "--format", "json").json] == ["identical", "re-encoded"]


def test_what_was_looked_at_is_remembered(scanned: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scanned("dupes", "--format", "json").json
    assert scanned.rows("SELECT count(*) FROM looks")[0][0] >= 2
    assert "Compared" not in scanned("dupes").err
    monkeypatch.setattr("photoindex.dupes.looking.look", None)
    assert scanned("dupes", "--format", "json").json == first


def test_many_pairs_are_counted_while_they_are_compared(scanned: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photoindex.dupes.looking._BATCH", 2)
    told = scanned("dupes").err
    ((count,),) = scanned.rows("SELECT count(*) FROM looks")
    assert count > 2
    assert f"Compared 2 of {count} pairs of pictures" in told
    assert f"Compared {count} of {count} pairs of pictures" in told


def test_a_library_that_is_being_written_is_searched_all_the_same(scanned: Shell) -> None:
    with Library.writing(scanned.folder):
        pass
    lock = FileLock(scanned.folder / "writer.lock")
    with lock:
        assert len(scanned("dupes", "--format", "json").json) == 2
    assert scanned.rows("SELECT count(*) FROM looks") == [(0,)]


def test_the_exit_code_tells_when_it_is_asked_to(scanned: Shell, run: Shell, drawn: Path, tmp_path: Path) -> None:
    assert scanned("dupes").code == 0
    assert scanned("dupes", "--exit-code", code=1).out
    (tmp_path / "one").mkdir()
    shutil.copyfile(drawn / "alone.jpg", tmp_path / "one" / "alone.jpg")
    run("scan", tmp_path / "one", "--steps", "hash", "--library", tmp_path / "other")
    ran = run("dupes", "--exit-code", "--library", tmp_path / "other")
    assert (ran.out, ran.err) == (b"", "photoindex: No duplicates.\n")


def test_every_format_holds_the_same_files(scanned: Shell) -> None:
    groups = scanned("dupes", "--format", "json").json
    paths = [member["path"] for group in groups for member in group["members"]]
    assert scanned("dupes", "--format", "paths").text.splitlines() == paths
    assert scanned("dupes", "-0").out == b"".join(os.fsencode(path) + b"\0" for path in paths)
    rows = [*csv.DictReader(io.StringIO(scanned("dupes", "--format", "csv").text))]
    assert [row["path"] for row in rows] == paths
    assert [row["group"] for row in rows] == ["1", "1", "2", "2", "2"]
    assert [row["keep"] for row in rows] == ["True", "False", "True", "False", "False"]
    lines = scanned("dupes", "--format", "ndjson").text.splitlines()
    assert len(lines) == 2
    table = scanned("dupes").text
    assert all(Path(path).name in table for path in paths)
    assert "re-encoded" in table


def test_missing_files_are_no_duplicates(run: Shell, drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawn, folder)
    run.scan(folder)
    (folder / "other again.jpg").unlink()
    (folder / "small.jpg").unlink()
    (folder / "recompressed.jpg").unlink()
    run.scan(folder)
    assert run("dupes", "--format", "json").json == []


def test_copies_of_a_photo_join_its_group_and_hard_links_count_once(run: Shell, drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawn, folder)
    shutil.copyfile(folder / "original.jpg", folder / "zz copy.jpg")
    (folder / "zz link.jpg").hardlink_to(folder / "original.jpg")
    run.scan(folder)
    groups = run("dupes", "--format", "json").json
    assert [group["tier"] for group in groups] == ["identical", "re-encoded"]
    members = [(name, m["tier"]) for name, m in zip(names(groups[1]), groups[1]["members"], strict=True)]
    assert members == [
        ("original.jpg", "keeper"),
        ("zz copy.jpg", "identical"),
        ("recompressed.jpg", "re-encoded"),
        ("small.jpg", "re-encoded"),
    ]
    assert run("dupes", "--format", "json").json[1]["id"] == groups[1]["id"]


def test_a_library_without_photos_has_no_duplicates(run: Shell) -> None:
    with Library.writing(run.folder):
        pass
    assert run("dupes", "--format", "json").json == []


# --- what of a card is in the library ---------------------------------------------------------------------------------


def test_a_card_is_compared_with_the_library_and_neither_is_changed(run: Shell, tmp_path: Path) -> None:
    photos, card = tmp_path / "photos", tmp_path / "card"
    photos.mkdir()
    card.mkdir()
    for seed in (1, 2, 3):
        detailed(seed).save(photos / f"{seed}.png", exif=exif("2023:05:01 14:30:00"))
    run.scan(photos)
    shutil.copyfile(photos / "1.png", card / "same.png")
    detailed(2).save(card / "pixels.bmp")
    written = "SELECT count(*) FROM pixel_digests"
    assert run.rows(written) == [(0,)]
    detailed(3).resize((400, 300)).save(card / "small.jpg", quality=80)
    ImageOps.mirror(detailed(3)).crop((0, 0, 800, 600)).save(card / "mirror.jpg")
    detailed(1).crop((60, 40, 780, 580)).save(card / "crop.jpg")
    detailed(9).save(card / "new.jpg")
    (card / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    before = run.rows(
        "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM photos), (SELECT count(*) FROM looks)"
    )

    ran = run("dupes", "--against", photos, card, "--format", "json", code=1)  # the broken file
    found = {Path(row["path"]).name: row for row in ran.json}
    assert {name: (row["tier"], Path(row["match"]["path"]).name) for name, row in found.items()} == {
        "same.png": ("identical", "1.png"),
        "pixels.bmp": ("same-pixels", "2.png"),
        "small.jpg": ("re-encoded", "3.png"),
        "mirror.jpg": ("edited", "3.png"),
        "crop.jpg": ("edited", "1.png"),
    }
    assert "mirrored" in found["mirror.jpg"]["differs"]
    assert "broken.jpg: The file is no readable picture." in ran.err
    assert "has 5 of these pictures and lacks 1; 1 could not be read" in ran.err
    assert before == run.rows(
        "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM photos), (SELECT count(*) FROM looks)"
    )

    assert run.rows(written) == [(0,)]

    (card / "broken.jpg").unlink()
    assert run("dupes", "--against", photos, card, "--missing", "-0").out == os.fsencode(card / "new.jpg") + b"\0"
    lines = run("dupes", "--against", photos, card, "--tier", "identical", "--format", "ndjson").text.splitlines()
    assert len(lines) == 1
    assert run("dupes", "--against", photos, card, "--exit-code", code=1).text.count(" = ") == 5
    rows = [*csv.DictReader(io.StringIO(run("dupes", "--against", photos, card, "--format", "csv").text))]
    assert {Path(row["match"]).name for row in rows} == {"1.png", "2.png", "3.png"}


def test_ids_are_of_the_photos_of_the_groups_or_of_the_librarys_copies(
    scanned: Shell, drawn: Path, tmp_path: Path
) -> None:
    groups = scanned("dupes", "--format", "json").json
    exact, near = ([member["photo"] for member in group["members"]] for group in groups)
    assert scanned("dupes", "--ids").text.splitlines() == [exact[0], *near]
    assert scanned("dupes", "--ids", "--limit", "1", "-0").out == exact[0].encode() + b"\0"
    shutil.copyfile(drawn / "alone.jpg", tmp_path / "known.jpg")
    shutil.copyfile(drawn / "alone.jpg", tmp_path / "known too.jpg")
    alone = scanned("show", drawn / "alone.jpg", "--format", "json").json["photo"]
    assert scanned("dupes", "--against", drawn, tmp_path, "--ids").text == f"{alone}\n"
    assert "choose one" in scanned("dupes", "--ids", "--format", "csv", code=2).err
    assert "that it lacks" in scanned("dupes", "--against", drawn, tmp_path, "--missing", "--ids", code=2).err


def test_mistakes_with_against_say_what_to_do(scanned: Shell, drawn: Path, tmp_path: Path) -> None:
    assert "needs the folders" in scanned("dupes", "--against", drawn, code=2).err
    assert "go with --against" in scanned("dupes", drawn, code=2).err
    assert "--in does not go" in scanned("dupes", "--against", drawn, tmp_path, "--in", drawn, code=2).err
    assert "No folder at" in scanned("dupes", "--against", drawn, tmp_path / "nowhere", code=15).err
    assert "photoindex scan" in scanned("dupes", "--against", tmp_path, "--against", "/nowhere", drawn, code=2).err
    assert scanned("dupes", "--against", drawn, drawn, "--missing", "--format", "json", code=2).out == b""


def test_a_misspelt_command_of_dupes_is_told_from_a_folder(scanned: Shell) -> None:
    assert "did you mean `dupes apply`" in scanned("dupes", "aply", "plan.json", code=2).err
    assert "did you mean" not in scanned("dupes", "/somewhere", code=2).err


def test_of_several_files_of_a_photo_one_in_the_folders_asked_for_stands_for_it(run: Shell, sound: Path) -> None:
    (sound / "z").mkdir()
    (sound / "large.jpg").rename(sound / "z" / "large.jpg")
    run.scan(sound)

    def first(*folders: Path) -> str:
        _, files = known_photos(run.open(), DupeOptions(folders=tuple(map(str, folders))))
        (copies,) = (rows for rows in files.values() if len(rows) > 1)
        return copies[0].path

    assert first() == first(sound / "2023") == str(sound / "2023" / "copy of large.jpg")
    assert first(sound / "z") == str(sound / "z" / "large.jpg")
