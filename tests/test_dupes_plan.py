"""Plans of what may go: safe by default, editable, and refused where an edit would lose a photo."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Shell, draw
from photoindex.errors import PlanInvalid
from photoindex.pure.plans import parse_plan, plan_object


@pytest.fixture
def pictures(run: Shell, tmp_path: Path) -> Path:
    """One picture in two qualities and another in three equal files, one of them in an archive; scanned."""
    folder = tmp_path / "photos"
    (folder / "archive").mkdir(parents=True)
    large = draw(1).resize((1200, 900))
    large.save(folder / "large.jpg", quality=97)
    large.resize((600, 450)).save(folder / "small.jpg", quality=85)
    draw(2).resize((800, 600)).save(folder / "twin.jpg")
    shutil.copyfile(folder / "twin.jpg", folder / "twin (1).jpg")
    shutil.copyfile(folder / "twin.jpg", folder / "archive" / "twin.jpg")
    run.scan(folder)
    return folder


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def paths(files: list[dict[str, Any]]) -> list[str]:
    return [file["path"] for file in files]


def test_a_plan_holds_the_surest_and_touches_nothing(run: Shell, pictures: Path) -> None:
    before = listing(pictures)
    ran = run("dupes", "plan")
    (group,) = ran.json["groups"]
    assert (ran.json["format"], ran.json["library"]) == ("photoindex plan 1", str(run.folder))
    assert (group["tier"], paths(group["keep"])) == ("identical", [str(pictures / "twin.jpg")])
    assert paths(group["go"]) == [str(pictures / "archive" / "twin.jpg"), str(pictures / "twin (1).jpg")]
    found = (pictures / "twin.jpg").stat()
    assert (group["keep"][0]["size"], group["keep"][0]["mtime_ns"]) == (found.st_size, found.st_mtime_ns)
    assert group["reason"]
    assert "2 files of 1 group may go (2 identical)" in ran.err
    assert listing(pictures) == before


def test_other_tiers_only_when_asked_and_different_photos_never(run: Shell, pictures: Path) -> None:
    groups = run("dupes", "plan", "--tier", "re-encoded", "--format", "json").json["groups"]
    assert [(g["tier"], paths(g["go"])) for g in groups] == [("re-encoded", [str(pictures / "small.jpg")])]
    assert "'burst' holds different photos" in run("dupes", "plan", "--tier", "burst", code=2).err


def test_what_is_protected_stays(run: Shell, pictures: Path) -> None:
    plan = run("dupes", "plan", "--protect", pictures / "archive", "--prefer", pictures).json
    (group,) = plan["groups"]
    assert str(pictures / "archive" / "twin.jpg") in paths(group["keep"])
    assert len(group["go"]) == 2
    assert run("dupes", "plan", "--protect", pictures).json["groups"] == []


def test_decisions_are_heeded(run: Shell, pictures: Path) -> None:
    run("dupes", "decide", "keep-this", pictures / "small.jpg")
    (group,) = run("dupes", "plan", "--decided").json["groups"]
    assert (paths(group["keep"]), paths(group["go"])) == ([str(pictures / "small.jpg")], [str(pictures / "large.jpg")])
    (twins,) = run("dupes", "--tier", "identical", "--format", "json").json
    run("dupes", "decide", "keep-all", twins["id"])
    assert run("dupes", "plan").json["groups"] == []
    shutil.copyfile(pictures / "twin.jpg", pictures / "twin (2).jpg")
    run.scan(pictures)
    ran = run("dupes", "plan")
    assert ran.json["groups"] == []
    assert "Groups with new members since you decided about them: 1" in ran.err


def test_what_changed_since_the_scan_is_left_out(run: Shell, pictures: Path) -> None:
    (pictures / "twin (1).jpg").write_bytes(b"something else")
    os.unlink(pictures / "archive" / "twin.jpg")
    ran = run("dupes", "plan")
    assert ran.json["groups"] == []
    assert ran.err.count("is not as the last scan met it") == 2


def test_plans_are_read_again_as_they_were_written(run: Shell, pictures: Path, tmp_path: Path) -> None:
    for name in ("json", "csv"):
        file = tmp_path / f"plan.{name}"
        file.write_bytes(run("dupes", "plan", "--tier", "identical", "--tier", "re-encoded", "--format", name).out)
        assert "3 files of 2 groups may go" in run("dupes", "plan", "--check", file).err
    edited = (tmp_path / "plan.csv").read_text().replace(",go,", ",keep,")
    (tmp_path / "plan.csv").write_text(edited)
    assert "Nothing is planned" in run("dupes", "plan", "--check", tmp_path / "plan.csv").err
    (tmp_path / "plan.csv").write_text(edited.replace(",keep,", ",go,"))
    assert "groups[0].keep: is empty: no copy" in run("dupes", "plan", "--check", tmp_path / "plan.csv", code=28).err
    for text, code in (("{", 28), ("", 28), ("a,b\n1,2\n", 28), ("[" * 100_000, 28)):
        (tmp_path / "plan.json").write_text(text)
        run("dupes", "plan", "--check", tmp_path / "plan.json", code=code)
    assert "Cannot read" in run("dupes", "plan", "--check", tmp_path / "nothing.json", code=2).err


def _file(name: str, sha: str, tier: str) -> dict[str, Any]:
    return {"path": f"/photos/{name}", "sha256": sha * 64, "size": 10, "mtime_ns": 1, "tier": tier}


SOUND: dict[str, Any] = {
    "format": "photoindex plan 1",
    "library": "/library",
    "protect": ["/photos/archive"],
    "groups": [
        {
            "id": "1",
            "tier": "re-encoded",
            "reason": "larger",
            "keep": [_file("a", "a", "keeper")],
            "go": [_file("b", "a", "identical"), _file("c", "c", "re-encoded")],
        },
        {"id": "2", "tier": "identical", "reason": "", "keep": [_file("d", "d", "keeper")], "go": []},
    ],
}


def test_a_sound_plan_is_what_it_was() -> None:
    assert plan_object(parse_plan(SOUND))["groups"][0] == SOUND["groups"][0]
    assert parse_plan(SOUND).frees == 20


def _set(*place: Any) -> Callable[[dict[str, Any]], None]:
    *way, last, value = place

    def edit(plan: dict[str, Any]) -> None:
        at: Any = plan
        for step in way:
            at = at[step]
        at[last] = value

    return edit


GROUPS = "groups"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_set("format", "photoindex plan 9"), "format: should be"),
        (_set("library", 3), "library: should be text, not 3"),
        (_set(GROUPS, {}), "groups: should be an array"),
        (_set(GROUPS, 1, "x"), "groups[1]: should be an object"),
        (_set(GROUPS, 0, "keep", []), "groups[0].keep: is empty: no copy of the photo would be left"),
        (_set(GROUPS, 0, "go", 1, "path", "/photos/a"), "groups[0].keep[0].path: /photos/a goes as well"),
        (_set(GROUPS, 0, "go", 1, "path", "/photos/d"), "groups[1].keep[0].path: /photos/d goes as well"),
        (_set(GROUPS, 0, "go", 1, "path", "/photos/b"), "/photos/b goes more than once"),
        (
            _set(GROUPS, 0, "go", 1, "path", "/photos/x/../a"),
            "groups[0].go[1].path: '/photos/x/../a' should be a whole",
        ),
        (_set(GROUPS, 0, "go", 1, "path", "c"), "groups[0].go[1].path"),
        (_set(GROUPS, 0, "go", 1, "path", "/photos/archive/c"), "groups[0].go[1]: /photos/archive/c lies in a protec"),
        (_set(GROUPS, 0, "go", 1, "tier", "burst"), "groups[0].go[1]: tier should be one of"),
        (_set(GROUPS, 0, "go", 0, "sha256", "b" * 64), "groups[0].go[0]: it is identical to nothing that stays"),
        (_set(GROUPS, 0, "go", 0, "sha256", "B" * 64), "groups[0].go[0].sha256: should be 64 hex digits"),
        (_set(GROUPS, 0, "go", 0, "size", "10"), "groups[0].go[0].size: should be a whole number, not '10'"),
        (_set(GROUPS, 1, "id", "1"), "groups[0].id: '1' stands there more than once"),
    ],
)
def test_an_unsound_edit_is_refused_with_its_place(edit: Callable[[dict[str, Any]], None], message: str) -> None:
    plan = copy.deepcopy(SOUND)
    edit(plan)
    with pytest.raises(PlanInvalid) as raised:
        parse_plan(json.loads(json.dumps(plan)))
    assert message in str(raised.value)
