"""Collections by hand and smart, from the shell: what they hold, how they are changed, carried and searched."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import Shell, draw, shell
from photoindex import saved
from photoindex.errors import UsageError
from photoindex.records import photo_id_of
from photoindex.store.library import Library
from photoindex.store.migrations import MIGRATIONS, _collections


def names(run: Shell, *arguments: str) -> list[str]:
    hits = run("search", *arguments, "--mode", "keyword", "--limit", "0", "--format", "json").json
    return sorted(Path(hit["path"]).name for hit in hits)


def held(run: Shell, name: str) -> list[str]:
    return sorted(Path(hit["path"]).name for hit in run("collections", "show", name, "--format", "json").json)


def listed(run: Shell) -> dict[str, Any]:
    return {row["name"]: row for row in run("collections", "list", "--format", "json").json}


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_photos_are_put_in_and_taken_out_by_path_hash_and_query(scanned: Shell, pictures: Path) -> None:
    scanned("collections", "create", "Best of")
    sha = scanned("search", "name:plain.bmp", "--format", "json").json[0]["photo"]
    assert "2 photos added." in scanned("collections", "add", "best OF", pictures / "beach.webp", sha[:10]).err
    assert "4 photos added." in scanned("collections", "add", "Best of", "--query", "name:img").err
    assert "0 photos added; 1 were in it already." in scanned("collections", "add", "Best of", sha).err
    assert held(scanned, "Best of") == ["beach.webp", "img_0.jpg", "img_1.jpg", "img_2.jpg", "img_3.jpg", "plain.bmp"]
    assert "4 photos taken out." in scanned("collections", "remove", "Best of", "--query", "date:2023-05").err
    assert held(scanned, "Best of") == ["beach.webp", "plain.bmp"]
    assert "0 photos taken out." in scanned("collections", "remove", "Best of", "--query", "date:2023-05").err
    row = listed(scanned)["Best of"]
    assert (row["query"], row["photos"], row["unknown"]) == (None, 2, 0)


def test_what_another_command_prints_can_be_put_in(scanned: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned("collections", "create", "May")
    found = scanned("search", "date:2023-05", "-0").out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(found)))
    assert "4 photos added" in scanned("collections", "add", "May", "-0").err
    assert held(scanned, "May") == ["img_0.jpg", "img_1.jpg", "img_2.jpg", "img_3.jpg"]


def test_photos_stay_in_when_they_are_moved_scanned_again_and_come_back(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    run("collections", "create", "sea")
    run("collections", "add", "sea", "--query", "name:beach")
    (photos / "beach.webp").rename(photos / "2023" / "strand.webp")
    (photos / "beach small.gif").unlink()
    run.scan(photos, "--rescan", "metadata")
    assert held(run, "sea") == ["beach small.gif", "strand.webp"]
    assert names(run, "in:sea", "-is:missing") == ["strand.webp"]


def test_nothing_is_added_where_one_is_not_known(scanned: Shell, pictures: Path) -> None:
    scanned("collections", "create", "a")
    assert "nowhere.jpg" in scanned("collections", "add", "a", pictures / "beach.webp", "nowhere.jpg", code=24).err
    assert held(scanned, "a") == []
    assert "in one way" in scanned("collections", "add", "a", code=2).err
    assert "in one way" in scanned("collections", "add", "a", "beach.webp", "--query", "x", code=2).err


# --- smart -----------------------------------------------------------------------------------------------------------


def test_a_smart_collection_stays_true(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    run("collections", "create", "Sea", "--smart", "name:beach")
    assert held(run, "sea") == ["beach small.gif", "beach.webp"]
    draw(77).save(photos / "beach new.png")
    run.scan(photos)
    assert held(run, "sea") == ["beach new.png", "beach small.gif", "beach.webp"]
    assert listed(run)["Sea"] == {**listed(run)["Sea"], "query": "name:beach", "photos": None, "unknown": None}
    for command in (("add", "Sea", "--query", "x"), ("remove", "Sea", "--query", "x")):
        assert "is smart: its photos are those that name:beach finds" in run("collections", *command, code=2).err


def test_words_of_a_smart_collection_keep_what_answers_them(scanned: Shell) -> None:
    scanned("collections", "create", "dom", "--smart", "dom")
    scanned("collections", "create", "sea", "--smart", "beach -small")
    assert held(scanned, "dom") == ["Kölner Dom.png"]
    assert held(scanned, "sea") == ["beach.webp"]
    assert names(scanned, "in:dom OR in:sea") == ["Kölner Dom.png", "beach.webp"]


def test_a_search_is_saved_with_its_options(scanned: Shell) -> None:
    ran = scanned("search", "-name:img", "--camera", "kamera", "--save", "not img", "--format", "json")
    assert [Path(hit["path"]).name for hit in ran.json] == ["paris.jpg"]
    assert listed(scanned)["not img"]["query"] == "-name:img camera:kamera"
    assert held(scanned, "Not Img") == ["paris.jpg"]
    assert "'not img' already" in scanned("search", "x", "--save", "NOT IMG", code=2).err
    assert "--min-score" in scanned("search", "x", "--save", "other", "--min-score", "0.5", code=2).err
    scanned("search", "in:gone", "--save", "gone", code=2)
    assert list(listed(scanned)) == ["not img"]


@pytest.mark.parametrize(
    ("query", "says"),
    [("a + b", "rank photos and leave none out"), ("", "needs a query"), ("tga:dog", "Did you mean"), ("(", "")],
)
def test_what_cannot_be_a_smart_collection(scanned: Shell, query: str, says: str) -> None:
    assert says in scanned("collections", "create", "x", "--smart", query, code=2).err
    assert listed(scanned) == {}


# --- in the query language -------------------------------------------------------------------------------------------


def test_collections_combine_with_everything_else(scanned: Shell) -> None:
    scanned("collections", "create", "Été 2023")
    scanned("collections", "add", "Été 2023", "--query", "camera:kamera")
    scanned("collections", "create", "early", "--smart", "before:2023-05-03")
    scanned("collections", "create", "both", "--smart", 'in:"été 2023" in:early')
    assert names(scanned, "in:both") == ["img_0.jpg", "img_1.jpg"]
    assert names(scanned, 'in:"E\u0301TE\u0301 2023" -in:early') == ["img_2.jpg", "img_3.jpg", "paris.jpg"]
    assert names(scanned, "dom OR in:both") == ["Kölner Dom.png", "img_0.jpg", "img_1.jpg"]
    assert names(scanned, "paris", 'in:"été 2023"') == ["paris.jpg"]


def test_a_collection_that_is_not_there_is_told_with_what_was_meant(scanned: Shell) -> None:
    assert "no collections in this library yet" in scanned("search", "in:holiday", code=2).err
    scanned("collections", "create", "Holidays")
    scanned("collections", "create", "nested", "--smart", "in:gone")
    ran = scanned("search", "beach", "in:holidys", code=2)
    assert "No collection is called 'holidys'. Did you mean Holidays?" in ran.err
    assert "in:holidys" in ran.err.splitlines()[1]
    assert "(in the query of the smart collection 'nested')" in scanned("search", "in:nested", code=2).err
    assert "Did you mean Holidays?" in scanned("collections", "show", "holidys", code=2).err
    assert "There are: Holidays, nested." in scanned("collections", "delete", "zzz", code=2).err


def test_a_circle_of_smart_collections_is_named(scanned: Shell) -> None:
    for name, query in (("a", "in:b"), ("b", "tag:x OR in:c"), ("c", "-in:B"), ("d", "in:a")):
        scanned("collections", "create", name, "--smart", query)
    assert "in a circle: b > c > b." in scanned("search", "in:d", code=2).err
    scanned("collections", "create", "self", "--smart", "in:self")
    assert "in a circle: self > self." in scanned("search", "in:self", code=2).err


# --- changes ---------------------------------------------------------------------------------------------------------


def test_collections_are_merged_and_split(scanned: Shell) -> None:
    for name, query in (("sea", "name:beach"), ("may", "date:2023-05")):
        scanned("collections", "create", name)
        scanned("collections", "add", name, "--query", query)
    scanned("collections", "create", "dom", "--smart", "name:dom")
    assert "7 photos added to 'all'" in scanned("collections", "merge", "all", "sea", "may", "dom").err
    assert len(held(scanned, "all")) == 7
    assert set(listed(scanned)) == {"all", "dom", "may", "sea"}
    assert "2 photos moved" in scanned("collections", "split", "all", "name:beach", "--into", "coast").err
    assert held(scanned, "coast") == held(scanned, "sea")
    assert names(scanned, "in:all", "in:coast") == []
    assert "2 photos added to 'all'" in scanned("collections", "merge", "all", "coast", "--drop").err
    assert set(listed(scanned)) == {"all", "dom", "may", "sea"}
    assert "None of these" in scanned("collections", "split", "sea", "name:dom", "--into", "new", code=2).err
    assert "already" in scanned("collections", "split", "sea", "name:beach", "--into", "MAY", code=2).err
    assert "is smart" in scanned("collections", "merge", "dom", "sea", code=2).err
    assert "into itself" in scanned("collections", "merge", "sea", "Sea", "--drop", code=2).err
    assert len(held(scanned, "sea")) == 2


def test_renaming_keeps_photos_and_smart_collections_that_ask(scanned: Shell) -> None:
    scanned("collections", "create", "sea")
    scanned("collections", "add", "sea", "--query", "name:beach")
    scanned("collections", "create", "pale", "--smart", "(name:dom OR in:SEA) -in:sea")
    scanned("collections", "create", "self", "--smart", "name:dom")
    assert "also in pale" in scanned("collections", "rename", "sea", "the sea").err
    assert listed(scanned)["pale"]["query"] == '(name:dom OR in:"the sea") -in:"the sea"'
    assert (held(scanned, "The Sea"), held(scanned, "pale")) == (["beach small.gif", "beach.webp"], ["Kölner Dom.png"])
    scanned("collections", "rename", "the sea", "The Sea")
    assert set(listed(scanned)) == {"The Sea", "pale", "self"}
    assert "already" in scanned("collections", "rename", "pale", "THE SEA", code=2).err


def test_deleting_asks_first_and_leaves_the_photos(scanned: Shell, pictures: Path) -> None:
    for name in ("a", "b", "c"):
        scanned("collections", "create", name)
    scanned("collections", "create", "d", "--smart", "in:a")
    before = sorted(pictures.rglob("*"))
    ran = scanned("collections", "delete", "A", code=2)
    assert "'a' (0 photos) is asked for by d, which will not work then" in ran.err
    assert "--yes" in ran.err
    assert "--yes" not in scanned("collections", "delete", "a", "B", "--yes").err
    assert (set(listed(scanned)), sorted(pictures.rglob("*"))) == ({"c", "d"}, before)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "!!", "\u202e"])
def test_names_that_cannot_be_used(scanned: Shell, name: str) -> None:
    assert "is no name for a collection" in scanned("collections", "create", name, code=2).err


# --- out and in ------------------------------------------------------------------------------------------------------


def test_collections_go_to_another_library_and_wait_for_their_photos(
    scanned: Shell, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned("collections", "create", "sea")
    scanned("collections", "add", "sea", "--query", "name:beach")
    scanned("collections", "create", "smart sea", "--smart", "in:sea -name:small")
    file = tmp_path / "collections.json"
    file.write_bytes(scanned("collections", "export").out)
    other = shell(tmp_path / "elsewhere", monkeypatch)
    (tmp_path / "few").mkdir()
    shutil.copy(pictures / "plain.bmp", tmp_path / "few")
    other.scan(tmp_path / "few")
    assert "2 collections taken in, with 2 photos" in other("collections", "import", file).err
    assert "2 photos of this collection are not in this library" in other("collections", "show", "sea").err
    assert listed(other)["sea"]["unknown"] == 2
    shutil.copy(pictures / "beach.webp", tmp_path / "few" / "renamed.webp")
    other.scan(tmp_path / "few")
    assert (held(other, "sea"), held(other, "smart sea")) == (["renamed.webp"], ["renamed.webp"])
    assert other("collections", "export").json == scanned("collections", "export").json
    assert "with 0 photos" in other("collections", "import", file).err
    assert [row["name"] for row in other("collections", "export", "SEA").json["collections"]] == ["sea"]


@pytest.mark.parametrize(
    ("collections", "says"),
    [
        ("x", "no file of collections"),
        ([3], "A collection is"),
        ([{"name": "x", "query": "a", "photos": ["b"]}], "A collection is"),
        ([{"name": "new", "query": None, "photos": []}, {"name": "x", "query": None, "photos": ["ABC"]}], "64"),
        ([{"name": "new", "query": None, "photos": []}, {"name": "x", "query": "(", "photos": []}], ""),
        ([{"name": "new", "query": None, "photos": []}, {"name": "SEA", "query": "y", "photos": []}], "another"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(scanned: Shell, tmp_path: Path, collections: object, says: str) -> None:
    scanned("collections", "create", "sea")
    file = tmp_path / "in.json"
    file.write_text(json.dumps({"format": 1, "collections": collections}))
    assert says in scanned("collections", "import", file, code=2).err
    assert list(listed(scanned)) == ["sea"]
    for broken in ("{", "[" * 100_000):
        file.write_text(broken)
        assert "Cannot read" in scanned("collections", "import", file, code=2).err


# --- the store -------------------------------------------------------------------------------------------------------


def test_a_library_of_before_gets_collections_and_keeps_its_photos(tmp_path: Path) -> None:
    sha256 = "cd" * 32
    with duckdb.connect(tmp_path / "catalog.duckdb") as con:
        con.execute("CREATE TABLE schema_migrations (version INTEGER, applied_at TIMESTAMP)")
        for number, migration in enumerate(MIGRATIONS[: MIGRATIONS.index(_collections)], 1):
            migration(con)
            con.execute("INSERT INTO schema_migrations VALUES (?, now()::TIMESTAMP)", [number])
        con.execute("INSERT INTO photos VALUES (?, ?, 10, now()::TIMESTAMP)", [photo_id_of(sha256), sha256])
    assert Library.open(tmp_path).collections.queries() == {}
    with Library.writing(tmp_path) as library:
        saved.create(library, "kept")
        assert saved.add(library, "kept", [sha256, "ef" * 32]) == 2
        with pytest.raises(UsageError, match="already"):
            saved.create(library, "KEPT")
    opened = Library.open(tmp_path)
    assert opened.collections.photo_ids("kept") == [photo_id_of(sha256)]
    assert opened.collections.counts() == {"kept": (2, 1)}
    assert list(opened.collections.read()["kept"].photos) == [sha256, "ef" * 32]
