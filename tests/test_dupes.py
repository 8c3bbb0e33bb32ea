"""`photoindex dupes`, end to end on pictures that were copied, resized and recompressed."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

import pytest

from conftest import Shell, draw
from photoindex.store.library import Library


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


@pytest.fixture
def scanned(run: Shell, drawn: Path) -> Shell:
    run.scan(drawn)
    return run


def test_exact_and_near_copies_are_grouped_and_nothing_else(scanned: Shell) -> None:
    exact, near = scanned("dupes", "--format", "json").json
    assert (exact["kind"], near["kind"]) == ("exact", "near")
    assert [Path(member["path"]).name for member in exact["members"]] == ["other again.jpg", "other.jpg"]
    assert {member["distance"] for member in exact["members"]} == {0}
    assert [Path(member["path"]).name for member in near["members"]] == [
        "original.jpg",
        "recompressed.jpg",
        "small.jpg",
    ]
    assert all(0 <= member["distance"] <= 8 and member["quality"] >= 50 for member in near["members"])
    assert all(link["a"] < link["b"] and link["distance"] <= 8 for link in near["links"])
    assert {end for link in near["links"] for end in (link["a"], link["b"])} == {0, 1, 2}


def test_members_say_what_one_needs_to_choose(scanned: Shell, drawn: Path) -> None:
    _, near = scanned("dupes", "--format", "json").json
    first = near["members"][0]
    assert first["path"] == str(drawn / "original.jpg")
    assert (first["width"], first["height"], first["bytes"]) == (1200, 900, (drawn / "original.jpg").stat().st_size)
    assert len(first["photo"]) == 64


def test_a_threshold_of_zero_and_a_daring_one(scanned: Shell) -> None:
    strict = scanned("dupes", "--threshold", "0", "--format", "json").json
    assert "exact" in {group["kind"] for group in strict}
    assert all(member["distance"] == 0 for group in strict for member in group["members"])
    daring = scanned("dupes", "--threshold", "40", "--format", "json")
    assert "Above 31 bits unrelated photos meet too" in daring.err
    assert scanned("dupes", "--threshold", "129", code=2).out == b""


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
    lines = scanned("dupes", "--format", "ndjson").text.splitlines()
    assert len(lines) == 2
    table = scanned("dupes").text
    assert all(Path(path).name in table for path in paths)
    assert "same bytes" in table
    assert "bits" in table


def test_missing_files_are_no_duplicates(run: Shell, drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawn, folder)
    run.scan(folder)
    (folder / "other again.jpg").unlink()
    (folder / "small.jpg").unlink()
    (folder / "recompressed.jpg").unlink()
    run.scan(folder)
    assert run("dupes", "--format", "json").json == []


def test_copies_in_a_near_group_stand_behind_their_photo_and_hard_links_count_once(
    run: Shell, drawn: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(drawn, folder)
    shutil.copyfile(folder / "original.jpg", folder / "zz copy.jpg")
    (folder / "zz link.jpg").hardlink_to(folder / "original.jpg")
    run.scan(folder)
    groups = run("dupes", "--format", "json").json
    assert [group["kind"] for group in groups] == ["exact", "exact", "near"]
    names = [Path(member["path"]).name for member in groups[2]["members"]]
    assert names == ["original.jpg", "zz copy.jpg", "recompressed.jpg", "small.jpg"]


def test_a_library_without_photos_has_no_duplicates(run: Shell) -> None:
    with Library.writing(run.folder):
        pass
    assert run("dupes", "--format", "json").json == []
