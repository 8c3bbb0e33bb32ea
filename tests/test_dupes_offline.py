"""Duplicates of which some lie in folders that cannot be reached: told, left out of plans, told once a folder."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Shell, draw


@pytest.fixture
def two_disks(run: Shell, tmp_path: Path) -> Shell:
    """Of the folders here and away: a picture twice here and once away, and one whose shortest name is away."""
    for folder in ("here", "away"):
        (tmp_path / folder).mkdir()
    draw(1).save(tmp_path / "here" / "1.jpg")
    for copy in ("here/1 again.jpg", "away/1 on the disk.jpg"):
        shutil.copyfile(tmp_path / "here" / "1.jpg", tmp_path / copy)
    draw(2).save(tmp_path / "away" / "2.jpg")
    shutil.copyfile(tmp_path / "away" / "2.jpg", tmp_path / "here" / "a longer name.jpg")
    run.scan(tmp_path / "here", tmp_path / "away")
    return run


@contextlib.contextmanager
def unplugged(folder: Path) -> Iterator[None]:
    folder.rename(folder.with_name("elsewhere"))
    yield
    folder.with_name("elsewhere").rename(folder)


def _names(files: list[dict[str, str]]) -> set[str]:
    return {Path(file["path"]).name for file in files}


def test_files_of_a_folder_that_cannot_be_reached_are_marked(two_disks: Shell, tmp_path: Path) -> None:
    run = two_disks
    with unplugged(tmp_path / "away"):
        groups = run("dupes", "--format", "json").json
        listed = run("dupes")
    marked = {Path(m["path"]).name: m["offline"] for group in groups for m in group["members"]}
    assert {name for name, offline in marked.items() if offline} == {"1 on the disk.jpg", "2.jpg"}
    assert f"2 of these files are offline: {tmp_path / 'away'} cannot be reached just now" in listed.err
    assert [line.split("  ")[1].strip() for line in listed.text.splitlines() if "away/" in line] == [
        "identical (offline)",
        "keep (offline)",
    ]
    assert "offline" not in run("dupes").err
    assert not any(m["offline"] for group in run("dupes", "--format", "json").json for m in group["members"])


def test_a_plan_leaves_out_what_cannot_be_reached_and_says_so(two_disks: Shell, tmp_path: Path) -> None:
    with unplugged(tmp_path / "away"):
        ran = two_disks("dupes", "plan")
    (group,) = ran.json["groups"]
    assert (_names(group["keep"]), _names(group["go"])) == ({"1.jpg"}, {"1 again.jpg"})
    assert "2 files there are left out, and 1 group whose file to keep lies there." in ran.err
    assert "not as the last scan met it" not in ran.err


def test_apply_says_once_which_folder_cannot_be_reached(two_disks: Shell, tmp_path: Path) -> None:
    run, plan = two_disks, tmp_path / "plan.json"
    plan.write_bytes(run("dupes", "plan").out)
    with unplugged(tmp_path / "away"):
        ran = run("dupes", "apply", plan, code=1)
        assert "No such file" in ran.err  # why the folder cannot be reached
        assert ran.err.count(f"the folder {tmp_path / 'away'} cannot be reached") == 1
        assert "2 files: the folder" in ran.err
        assert "1 file went into quarantine, 2 left alone" in ran.err
        assert ran.text == f"{tmp_path / 'here' / '1 again.jpg'}\n"
    (told,) = run("undo", "--list", "--format", "json").json
    assert (told["planned"], told["done"], told["files"], told["state"]) == (3, 1, 1, "done")
    assert "1 of 3" in run("undo", "--list").text
    run("undo")
    (told,) = run("undo", "--list", "--format", "json").json
    assert (told["planned"], told["done"], told["state"]) == (3, 1, "undone")


def test_apply_ends_where_nothing_can_be_reached_and_leaves_no_run(two_disks: Shell, tmp_path: Path) -> None:
    run, plan = two_disks, tmp_path / "plan.json"
    plan.write_bytes(run("dupes", "plan").out)
    with unplugged(tmp_path / "here"):
        for options in (("--dry-run",), ()):
            ran = run("dupes", "apply", plan, *options, code=15)
            assert f"the folder {tmp_path / 'here'} cannot be reached" in ran.err
            assert "Nothing was touched" in ran.err
    assert run("undo", "--list", "--format", "json").json == []
    assert "3 files went" in run("dupes", "apply", plan).err


def test_a_plan_that_has_emptied_a_folder_is_told_file_by_file_when_applied_again(run: Shell, tmp_path: Path) -> None:
    for folder in ("kept", "card"):
        (tmp_path / folder).mkdir()
        draw(1).save(tmp_path / folder / "1.jpg")
    run.scan(tmp_path / "kept", tmp_path / "card")
    plan = tmp_path / "plan.json"
    plan.write_bytes(run("dupes", "plan", "--prefer", tmp_path / "kept").out)
    run("dupes", "apply", plan)
    assert list((tmp_path / "card").iterdir()) == []
    assert f"{tmp_path / 'card'} cannot be reached (it is empty)" in run("dupes", "apply", plan, code=1).err
    run("undo")
    assert (tmp_path / "card" / "1.jpg").exists()


def test_a_folder_that_goes_while_a_plan_is_applied_is_told_once(
    two_disks: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, plan = two_disks, tmp_path / "plan.json"
    plan.write_bytes(run("dupes", "plan").out)
    files = [file["path"] for group in json.loads(plan.read_text())["groups"] for file in group["go"]]
    with monkeypatch.context() as patch:
        patch.setattr("photoindex.dupes.disks.unreachable", lambda _folders: {})  # it was there at the beginning
        with unplugged(tmp_path / "away"):
            rows = run("dupes", "apply", plan, "--format", "json", code=1).json
    assert {row["path"] for row in rows} == {*files}
    assert sum("cannot be reached" in (row["problem"] or "") for row in rows) == 2


def test_undo_says_once_which_folder_is_not_there(two_disks: Shell, tmp_path: Path) -> None:
    run, plan = two_disks, tmp_path / "plan.json"
    plan.write_bytes(run("dupes", "plan").out)
    run("dupes", "apply", plan)
    with unplugged(tmp_path / "here"):
        ran = run("undo", code=1)
        assert ran.err.count("is a disk unplugged?") == 1
        assert "2 files: there is no folder" in ran.err
    run("undo")


def test_a_copy_in_reach_is_told_before_one_that_is_not(two_disks: Shell, tmp_path: Path) -> None:
    card = tmp_path / "card"
    shutil.copytree(tmp_path / "here", card)
    (tmp_path / "here" / "1 again.jpg").unlink()
    with unplugged(tmp_path / "away"):
        found = two_disks("dupes", "--against", tmp_path, card, "--format", "json").json
    told = {Path(one["path"]).name: (Path(one["match"]["path"]).name, one["match"]["offline"]) for one in found}
    assert told["a longer name.jpg"] == ("a longer name.jpg", False)
    assert told["1.jpg"][1] is False
