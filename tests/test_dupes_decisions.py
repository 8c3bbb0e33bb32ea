"""What a person decides about duplicates lasts: through moves, copies, re-scans and other libraries."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import Shell, draw
from photoindex.dupes import DupeOptions, decide, dupes
from photoindex.store.library import Library
from photoindex.store.migrations import MIGRATIONS


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """One picture in two qualities, and another in two equal files."""
    folder = tmp_path / "photos"
    folder.mkdir()
    large = draw(1).resize((1200, 900))
    large.save(folder / "large.jpg", quality=97)
    large.resize((600, 450)).save(folder / "small.jpg", quality=85)
    draw(2).resize((800, 600)).save(folder / "twin.jpg")
    shutil.copyfile(folder / "twin.jpg", folder / "twin (1).jpg")
    return folder


def listed(run: Shell, *arguments: str) -> dict[str, Any]:
    """The groups by tier."""
    return {group["tier"]: group for group in run("dupes", *arguments, "--format", "json").json}


@pytest.mark.parametrize("kind", ["keep-all", "not-duplicates"])
def test_a_decided_group_stays_away_after_moves_and_scans(run: Shell, pictures: Path, kind: str) -> None:
    run.scan(pictures)
    group = listed(run)["re-encoded"]
    assert f"[{group['id'][:8]}]" in run("dupes").text
    assert "revoke" in run("dupes", "decide", kind, group["id"][:8]).err
    assert set(listed(run)) == {"identical"}
    (pictures / "sub").mkdir()
    (pictures / "large.jpg").rename(pictures / "sub" / "renamed.jpg")
    run.scan(pictures)
    assert set(listed(run)) == {"identical"}
    if kind == "keep-all":
        shown = listed(run, "--decided")["re-encoded"]
        assert (shown["decision"], shown["joined"]) == (kind, [])


def test_a_new_member_brings_a_group_back_and_it_says_so(run: Shell, pictures: Path) -> None:
    run.scan(pictures)
    run("dupes", "decide", "keep-all", pictures / "large.jpg", pictures / "small.jpg")
    run("dupes", "decide", "keep-all", listed(run)["identical"]["id"])
    assert listed(run) == {}
    draw(1).resize((900, 675)).save(pictures / "medium.jpg", quality=80)
    shutil.copyfile(pictures / "twin.jpg", pictures / "twin (2).jpg")
    run.scan(pictures)
    back = listed(run)
    assert back["re-encoded"]["joined"] == [str(pictures / "medium.jpg")]
    assert "1 more copy of" in back["identical"]["joined"][0]
    assert f"You decided keep-all about a part of this; new: {pictures / 'medium.jpg'}" in run("dupes").text
    run("dupes", "decide", "keep-all", back["re-encoded"]["id"])
    assert set(listed(run)) == {"identical"}
    assert len(run("dupes", "decisions", "list", "--format", "json").json) == 2  # it took the place of the first


def test_what_one_decides_to_keep_is_kept_whatever_the_rules_say(run: Shell, pictures: Path) -> None:
    run.scan(pictures)
    assert listed(run)["re-encoded"]["keeper"].endswith("large.jpg")
    run("dupes", "decide", "keep-this", pictures / "small.jpg")
    assert "re-encoded" not in listed(run)
    group = listed(run, "--decided")["re-encoded"]
    assert group["keeper"].endswith("small.jpg")
    assert group["reason"].startswith("you decided to keep it")
    (pictures / "small.jpg").unlink()
    draw(1).resize((900, 675)).save(pictures / "medium.jpg", quality=80)
    run.scan(pictures)
    assert "re-encoded" in listed(run)


def test_two_that_are_no_duplicates_leave_their_own_copies_to_be_found(run: Shell, pictures: Path) -> None:
    shutil.copyfile(pictures / "large.jpg", pictures / "large again.jpg")
    run.scan(pictures)
    run("dupes", "decide", "not-duplicates", pictures / "large.jpg", pictures / "small.jpg")
    groups = run("dupes", "--format", "json").json
    assert sorted(len(group["members"]) for group in groups) == [2, 2]
    assert {group["tier"] for group in groups} == {"identical"}


def test_decisions_are_listed_exported_imported_and_revoked(run: Shell, pictures: Path, tmp_path: Path) -> None:
    run.scan(pictures)
    run("dupes", "decide", "keep-this", pictures / "small.jpg", pictures / "large.jpg")
    (made,) = run("dupes", "decisions", "list", "--format", "json").json
    assert made["paths"] == [str(pictures / "small.jpg"), str(pictures / "large.jpg")]
    assert "keep-this" in run("dupes", "decisions", "list").text
    exported = tmp_path / "decisions.json"
    exported.write_bytes(run("dupes", "decisions", "export").out)
    assert "Forgot 1 decision." in run("dupes", "decisions", "revoke", made["id"][:8]).err
    assert "re-encoded" in listed(run)
    assert "Took 1 of 1" in run("dupes", "decisions", "import", exported).err
    assert "re-encoded" not in listed(run)
    assert "Took 0 of 1" in run("dupes", "decisions", "import", exported).err
    assert run("dupes", "decisions", "list", "--format", "json").json == [made]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photos": [{"photo": "ab", "copies": 2}]}, "decisions[0].photos[0].photo: 'ab' is no SHA-256."),
        ({"photos": [{"photo": "a" * 64, "copies": 0}]}, "decisions[0].photos[0].copies: 0 is no number of files"),
        ({"photos": [{"photo": "a" * 64, "copies": "2"}]}, "decisions[0].photos[0].copies: '2' is no number of files"),
        ({"photos": [{"photo": "a" * 64, "copies": 10**15}]}, "decisions[0].photos: these are more than 1,000,000"),
        ({"photos": ["a"]}, "decisions[0].photos[0].photo: 'a' is no SHA-256."),
        ({"photos": [{"photo": "a" * 64, "copies": 1}]}, "two files or more"),
        ({"photos": None}, "decisions[0].photos: None is no array of photos."),
        ({"decision": "perhaps"}, "no decision is called 'perhaps'. There are: not-duplicates, keep-all, keep-this."),
        ({"decision": "keep-this"}, "decisions[0].keeper: None is none of the photos of this decision."),
        ({"keeper": "a" * 64}, "decisions[0].keeper: with 'keep-all' it should be null."),
        ({"decided_at": "yesterday"}, "decisions[0].decided_at: 'yesterday' is no time such as"),
        ({"decided_at": 3}, "decisions[0].decided_at: 3 is no time such as"),
        ({"decided_at": "0001-01-01T00:00+14:00"}, "decided_at: '0001-01-01T00:00+14:00' is no time such as"),
    ],
)
def test_a_wrong_file_of_decisions_is_refused_with_the_place(
    run: Shell, pictures: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    run.scan(pictures)
    right = {"id": "0", "decision": "keep-all", "keeper": None, "decided_at": "2026-01-01T00:00:00"}
    item = {**right, "photos": [{"photo": "a" * 64, "copies": 2}], **change}
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({"format": "photoindex decisions 1", "decisions": [item]}))
    assert message in run("dupes", "decisions", "import", file, code=2).err
    file.write_text(json.dumps({"format": "photoindex decisions 1", "decisions": ["a"]}))
    assert "decisions[0]: 'a' is no object" in run("dupes", "decisions", "import", file, code=2).err
    file.write_text("[]")
    assert "no file of decisions" in run("dupes", "decisions", "import", file, code=2).err
    file.write_text("[" * 100_000)
    assert "is no JSON" in run("dupes", "decisions", "import", file, code=2).err
    assert run("dupes", "decisions", "list", "--format", "json").json == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("maybe", "0123456789"), "There are: not-duplicates, keep-all, keep-this"),
        (("keep-all", "0123456789"), "There is no group '0123456789'"),
        (("keep-all", "nowhere.jpg", "elsewhere.jpg"), "The library has no file nowhere.jpg"),
    ],
)
def test_what_cannot_be_decided_is_said(run: Shell, pictures: Path, arguments: tuple[str, ...], message: str) -> None:
    run.scan(pictures)
    assert message in run("dupes", "decide", *arguments, code=2).err
    same = [pictures / "twin.jpg", pictures / "twin (1).jpg"]
    assert "hold the same bytes" in run("dupes", "decide", "not-duplicates", *same, code=2).err
    assert "two files or more" in run("dupes", "decide", "keep-all", pictures / "small.jpg", code=2).err


def test_a_library_of_before_can_hold_decisions(run: Shell, pictures: Path, tmp_path: Path) -> None:
    before = [migration.__name__ for migration in MIGRATIONS].index("_decisions")
    (tmp_path / "old").mkdir()
    with duckdb.connect(tmp_path / "old" / "catalog.duckdb") as con:
        con.execute("CREATE TABLE schema_migrations (version INTEGER, applied_at TIMESTAMP)")
        for number, migration in enumerate(MIGRATIONS[:before], 1):
            migration(con)
            con.execute("INSERT INTO schema_migrations VALUES (?, now()::TIMESTAMP)", [number])
        con.execute("INSERT INTO settings VALUES ('kept', 'yes')")
    run("scan", pictures, "--library", tmp_path / "old", "--steps", "metadata,thumbnail,hash", "--workers", "1")
    with Library.writing(tmp_path / "old") as library:
        assert library.catalog.settings()["kept"] == "yes"
        (group, _) = dupes(library, DupeOptions())
        decide(library, "keep-all", [group.id])
        assert [found.id for found in dupes(library)] != [group.id]
        assert len(dupes(library)) == 1


def test_of_the_same_bytes_the_file_that_is_named_stays_or_it_is_refused(run: Shell, pictures: Path) -> None:
    twin, copy = pictures / "twin.jpg", pictures / "twin (1).jpg"
    run.scan(pictures)
    refused = run("dupes", "decide", "keep-this", copy, code=2).err
    assert f"{twin} has the bytes of {copy}, and of the two it would stay: its name is not that of a copy" in refused
    assert f"dupes plan --prefer '{copy}'" in refused
    assert run("dupes", "decisions", "list", "--format", "json").json == []
    (group,) = run("dupes", "plan", "--tier", "identical", "--prefer", copy).json["groups"]
    assert ([file["path"] for file in group["keep"]], [file["path"] for file in group["go"]]) == (
        [str(copy)],
        [str(twin)],
    )
    assert f"about 2 files: {twin} stays." in run("dupes", "decide", "keep-this", twin).err
    (group,) = run("dupes", "plan", "--decided", "--tier", "identical").json["groups"]
    assert [file["path"] for file in group["go"]] == [str(copy)]


def test_a_copy_of_what_is_kept_is_refused_beside_other_contents_too(run: Shell, pictures: Path) -> None:
    again = pictures / "small - Copy.jpg"
    shutil.copyfile(pictures / "small.jpg", again)
    run.scan(pictures)
    assert "would stay" in run("dupes", "decide", "keep-this", again, code=2).err
    run("dupes", "decide", "keep-this", pictures / "small.jpg")
    assert listed(run, "--decided")["re-encoded"]["keeper"].endswith("small.jpg")
