"""Finding pictures below a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import draw
from photoindex.media.walk import WalkRules, walk
from photoindex.records import FoundFile, Problem


def walked(root: Path, rules: WalkRules = WalkRules()) -> dict[str, FoundFile]:  # noqa: B008 - frozen
    """What a walk finds, by path below the root; it must meet no problem."""
    problems: dict[str, Problem] = {}
    files = list(walk(str(root), rules, problems))
    assert problems == {}
    assert len({file.path for file in files}) == len(files)
    return {os.path.relpath(file.path, root): file for file in files}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\xff\xd8\xff")


def test_pictures_are_found_by_suffix_in_any_case_and_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.JPG", "b/10.heic", "a.NEF", "c.jpeg", "notes.txt", "clip.mp4", "x.xmp")
    assert list(walked(tmp_path)) == ["a.NEF", "c.jpeg", "b/10.heic", "b/2.JPG"]


def test_what_the_walk_says_of_a_file_is_what_the_disk_says(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    stat = (tmp_path / "a.jpg").stat()
    assert walked(tmp_path)["a.jpg"] == FoundFile(
        str(tmp_path / "a.jpg"), str(tmp_path), 3, stat.st_mtime_ns, stat.st_dev, stat.st_ino
    )


def test_hidden_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden.jpg", ".cache/a.jpg", "._resource.jpg", "seen.jpg")
    assert list(walked(tmp_path)) == ["seen.jpg"]


def test_links_are_not_followed_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg", "outside/b.jpg")
    root = tmp_path / "real"
    (root / "link.jpg").symlink_to(root / "a.jpg")
    (root / "dangling.jpg").symlink_to(root / "nothing")
    (root / "elsewhere").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    assert list(walked(root)) == ["a.jpg"]


def test_a_root_that_is_a_link_is_entered(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert list(walked(tmp_path / "link")) == ["a.jpg"]


def test_pipes_and_folders_named_like_pictures_are_no_pictures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    touch(tmp_path, "folder.jpg/inside.png")
    assert list(walked(tmp_path)) == ["folder.jpg/inside.png"]


def test_hard_links_are_two_files_with_one_inode(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").hardlink_to(tmp_path / "a.jpg")
    found = walked(tmp_path)
    assert found["a.jpg"].inode == found["b.jpg"].inode


def test_a_file_without_a_suffix_is_a_picture_when_its_bytes_are(tmp_path: Path) -> None:
    draw(1).save(tmp_path / "scan", "PNG")
    (tmp_path / "README").write_text("no picture")
    (tmp_path / "empty").touch()
    assert list(walked(tmp_path)) == ["scan"]


def test_a_known_file_without_a_suffix_is_not_opened(tmp_path: Path) -> None:
    draw(1).save(tmp_path / "scan", "PNG")
    before = os.stat(tmp_path / "scan").st_size
    (tmp_path / "scan").write_bytes(b"x" * before)  # only a walk that looks inside would notice
    known = frozenset([str(tmp_path / "scan")])
    assert list(walked(tmp_path, WalkRules(known=known))) == ["scan"]
    assert list(walked(tmp_path)) == []


@pytest.mark.parametrize("sidecar", ["IMG.xmp", "IMG.jpg.xmp", "img.XMP", "Img.JPG.Xmp"])
def test_a_sidecar_belongs_to_the_picture_of_its_name(tmp_path: Path, sidecar: str) -> None:
    touch(tmp_path, "IMG.jpg", "other.jpg", "deeper/IMG.jpg")
    (tmp_path / sidecar).write_text("<x/>")
    found = walked(tmp_path)
    assert found["IMG.jpg"].sidecars == (str(tmp_path / sidecar),)
    assert found["other.jpg"].sidecars == found["deeper/IMG.jpg"].sidecars == ()


def test_a_sidecar_of_the_stem_belongs_to_raw_and_jpeg_alike(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.nef", "a.xmp")
    assert {len(file.sidecars) for file in walked(tmp_path).values()} == {1}


def test_both_forms_of_sidecar_may_be_there_and_a_file_without_a_suffix_has_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.xmp", "a.jpg.xmp", "scan", "scan.xmp")
    found = walked(tmp_path)
    assert [os.path.basename(path) for path in found["a.jpg"].sidecars] == ["a.jpg.xmp", "a.xmp"]
    assert len(found["scan"].sidecars) == 1


def test_the_sidecar_signature_changes_with_the_sidecar_only(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    signatures = [walked(tmp_path)["a.jpg"].sidecar_sig]
    (tmp_path / "a.xmp").write_text("one")
    signatures.append(walked(tmp_path)["a.jpg"].sidecar_sig)
    os.utime(tmp_path / "a.xmp", ns=(1, 1))
    signatures.append(walked(tmp_path)["a.jpg"].sidecar_sig)
    (tmp_path / "a.xmp").write_text("longer")
    os.utime(tmp_path / "a.xmp", ns=(1, 1))
    signatures.append(walked(tmp_path)["a.jpg"].sidecar_sig)
    assert len(set(signatures)) == 4
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    assert walked(tmp_path)["a.jpg"].sidecar_sig == signatures[-1]


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        (("*.PNG",), (), ["b.png", "sub/d.png"]),
        (("sub/*",), (), ["sub/c.jpg", "sub/d.png", "sub/deep/e.jpg"]),
        (("a.jpg", "e.jpg"), (), ["a.jpg", "sub/deep/e.jpg"]),
        ((), ("sub",), ["a.jpg", "b.png"]),
        ((), ("sub/deep",), ["a.jpg", "b.png", "sub/c.jpg", "sub/d.png"]),
        ((), ("*.jpg",), ["b.png", "sub/d.png"]),
        (("*.jpg",), ("deep",), ["a.jpg", "sub/c.jpg"]),
        (("[ab].*",), (), ["a.jpg", "b.png"]),
        (("nothing",), (), []),
    ],
)
def test_patterns_meet_names_and_paths_in_any_case(
    tmp_path: Path, include: tuple[str, ...], exclude: tuple[str, ...], left: list[str]
) -> None:
    touch(tmp_path, "a.jpg", "b.png", "sub/c.jpg", "sub/d.png", "sub/deep/e.jpg")
    assert list(walked(tmp_path, WalkRules(include, exclude))) == left


def test_a_skipped_folder_is_not_entered(tmp_path: Path) -> None:
    touch(tmp_path, "library/thumb.jpg", "a.jpg")
    assert list(walked(tmp_path, WalkRules(skip=frozenset([str(tmp_path / "library")])))) == ["a.jpg"]


def test_names_of_any_bytes_come_back_as_those_bytes(tmp_path: Path) -> None:
    names = [b"new\nline.jpg", b"\xff\xfe.jpg", b"tab\t.jpg", "ü.jpg".encode(), "u\u0308.jpg".encode()]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"\xff\xd8\xff")
    assert sorted(os.fsencode(name) for name in walked(tmp_path)) == sorted(names)


def test_a_sidecar_of_a_name_that_is_not_utf_8_is_found(tmp_path: Path) -> None:
    for name in (b"\xff.jpg", b"\xff.xmp"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"x")
    [file_found] = walked(tmp_path).values()
    assert os.fsencode(file_found.sidecars[0]).endswith(b"/\xff.xmp")


def test_a_folder_that_vanishes_is_a_problem_and_the_others_are_walked(tmp_path: Path) -> None:
    touch(tmp_path, "first.jpg", "gone/a.jpg", "here/b.jpg")
    problems: dict[str, Problem] = {}
    walking = walk(str(tmp_path), WalkRules(), problems)
    assert next(walking).path.endswith("first.jpg")
    (tmp_path / "gone").rename(tmp_path.parent / "moved away")
    assert [os.path.basename(file.path) for file in walking] == ["b.jpg"]
    assert problems[str(tmp_path / "gone")].code == "folder_unreadable"
    assert "No such file" in problems[str(tmp_path / "gone")].message


def test_a_file_that_vanishes_is_a_problem_and_the_others_are_walked(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    problems: dict[str, Problem] = {}
    walking = walk(str(tmp_path), WalkRules(), problems)
    next(walking)
    (tmp_path / "2.jpg").unlink()
    assert [os.path.basename(file.path) for file in walking] == ["3.jpg"]
    assert list(problems) == [str(tmp_path / "2.jpg")]


def test_folders_deeper_than_a_path_may_be_long_are_a_problem_not_a_crash(tmp_path: Path) -> None:
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(20):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
    finally:
        os.chdir(here)
    touch(tmp_path, "a.jpg")
    problems: dict[str, Problem] = {}
    assert [os.path.basename(file.path) for file in walk(str(tmp_path), WalkRules(), problems)] == ["a.jpg"]
    assert [problem.code for problem in problems.values()] == ["folder_unreadable"]


def test_of_some_folders_alone_those_are_left_out_that_a_walk_of_all_does_not_come_to(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    inside = ["2023", "raw/2023", "other/cache/thumbnails/ab", ".hidden/2023", "skipped/2023"]
    for folder in [root / each for each in inside] + [tmp_path / "elsewhere" / "deep"]:
        folder.mkdir(parents=True)
        draw(1).save(folder / "a.jpg")
    (root / "other" / "catalog.duckdb").touch()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    only = {str(root / each): True for each in [*inside, "link", "link/deep", "../elsewhere", "2023/a.jpg", "gone"]}
    rules = WalkRules(exclude=("raw",), skip=frozenset([str(root / "skipped")]))
    problems: dict[str, Problem] = {}
    assert [file.path for file in walk(str(root), rules, problems, only=only)] == [str(root / "2023" / "a.jpg")]
    assert len(list(walk(str(root), rules, problems, only={str(root): False, **only}))) == 1
    assert [file.path for file in walk(str(root), WalkRules(), problems, only={str(root / "raw"): True})] != []
    assert problems == {}
