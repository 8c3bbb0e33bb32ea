"""Checks of a library and repairs: what is wrong is named, what is derived is mended, what people said is kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kept_library as kept
from conftest import Shell
from photoindex.dupes.journal import Journal
from photoindex.errors import LibraryCorrupt, LibraryNotFound
from photoindex.keeping import check, repair
from photoindex.keeping.findings import Finding
from photoindex.keeping.words import read_words
from photoindex.models.landing import names_of
from photoindex.models.record import write_record
from photoindex.models.registry import load_registry
from photoindex.scan.documents import write_due_documents
from photoindex.store.connection import CatalogFile
from photoindex.store.library import Library
from photoindex.store.soundness import read_all


def found(folder: Path) -> dict[str, Finding]:
    """What a check has against a library, by code; the models of these libraries are in no file."""
    findings = check(folder, load_registry(), folder / "no models")
    return {f.code: f for f in findings if f.level != "ok" and f.code != "models_unknown"}


def change(folder: Path, *statements: str) -> None:
    with Library.writing(folder) as library, library.catalog.file.write() as con:
        for sql in statements:
            con.execute(sql)


def do_again(folder: Path) -> None:
    """What is due, as a scan does it."""
    with Library.writing(folder) as library:
        done = {sha: n for n in range(kept.PHOTOS) for sha in [kept.sha(n)]}
        with library.catalog.file.read() as con:
            known = con.execute("SELECT sha256, list(step) FROM photos LEFT JOIN ledger USING (photo_id) GROUP BY 1")
            lacking = [done.pop(sha) for sha, steps in known.fetchall() if len(steps) < 9]
        library.save([kept.record(n) for n in [*lacking, *done.values()]])
        library.catalog.mark_missing([kept.path_of(5), kept.path_of(6)])
        write_due_documents(library)


def test_a_whole_library_has_nothing_against_it_and_a_repair_changes_nothing(made: Path) -> None:
    before = kept.state(Library.open(made))
    assert found(made) == {}
    assert list(repair(made)) == []
    assert not [*(made / "backups").glob("words-*")]
    assert kept.state(Library.open(made)) == before


A, B = kept.photo_id(0), kept.photo_id(1)
_RULES = (
    ("rows_twice", f"INSERT INTO photos SELECT * FROM photos WHERE photo_id = {A}", 1),
    ("rows_twice", "INSERT INTO files SELECT * FROM files LIMIT 3", 3),
    ("rows_twice", f"INSERT INTO ledger SELECT * FROM ledger WHERE photo_id = {A}", 9),
    ("rows_without_photo", "UPDATE tags SET photo_id = 1 WHERE tag = 'tag3'", 1),
    ("rows_without_photo", "UPDATE looks SET b = 1", 1),
    ("rows_without_photo", f"UPDATE files SET photo_id = 1 WHERE photo_id = {kept.photo_id(2)}", 1),
    ("photos_misnamed", f"UPDATE photos SET sha256 = 'no sha' WHERE photo_id = {kept.photo_id(7)}", 1),
    ("done_without_facts", f"DELETE FROM metadata WHERE photo_id IN ({kept.photo_id(8)}, {kept.photo_id(9)})", 2),
    ("documents_due", f"INSERT INTO documents_due VALUES ({A})", 1),
    ("documents_stale", f"UPDATE ocr_lines SET text = 'other' WHERE photo_id = {B}", 5),  # four by the above
)


def test_rows_that_break_a_rule_are_found_and_mended(made: Path) -> None:
    words = read_words(Library.open(made))
    change(made, *(statement for _, statement, _ in _RULES))
    findings = [f for f in check(made, load_registry(), made / "no models") if f.level != "ok"]
    for code, statement, count in _RULES:
        assert (code, count) in {(f.code, f.count) for f in findings}, statement
    assert len(list(repair(made))) > 5
    assert found(made) == {}
    assert replace(read_words(Library.open(made)), paths={}) == replace(words, paths={})


def test_a_photo_that_the_catalog_lost_is_read_again_by_the_next_scan(made: Path) -> None:
    before = kept.state(Library.open(made))
    change(made, f"DELETE FROM photos WHERE photo_id = {A}")
    assert set(found(made)) == {"rows_without_photo", "rows_orphaned", "thumbnails_orphaned"}
    list(repair(made))
    assert found(made) == {}
    library = Library.open(made)
    assert kept.path_of(0) not in library.catalog.known_files("/photos")  # so the next walk finds a new file
    do_again(made)
    after = kept.state(Library.open(made))
    for name in ("photos", "ledger", "files"):  # of which only the time differs
        assert len(after.pop(name)) == len(before.pop(name))
    del before["looks"], after["looks"]
    assert {k: v for k, v in after.items() if k != "files"} == {k: v for k, v in before.items() if k != "files"}


def test_what_people_said_is_never_repaired_away(made: Path) -> None:
    change(made, "DELETE FROM collections WHERE name = 'trip'")
    (made / "catalog.part9").touch()  # that something is mended
    assert found(made)["words_broken"].count == 3
    assert [one.code for one in repair(made)] == ["words_kept", "leftovers_removed"]
    assert found(made)["words_broken"].count == 3
    assert "restore" in found(made)["words_broken"].advice
    [file] = (made / "backups").glob("words-before-repair-*.json")
    assert json.loads(file.read_text())["settings"]["profile"] == "tiny"


# --- vectors and texts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "step"), [("image-m", "embedding"), ("face-m", "faces")])
def test_vectors_that_are_not_there_become_due_again(made: Path, table: str, step: str) -> None:
    before = kept.state(Library.open(made))
    with Library.writing(made) as library:
        library.vectors.remove(table, [A, B])
    assert found(made)["rows_lacking"].count == 2
    list(repair(made))
    assert found(made) == {}
    steps = Library.open(made).queries.status().steps
    assert steps[step]["done"] == kept.PHOTOS - 2
    do_again(made)
    assert kept.state(Library.open(made))[f"{table}.lance"] == before[f"{table}.lance"]


def test_vectors_that_point_nowhere_become_due_again(made: Path) -> None:
    with Library.writing(made) as library:
        library.vectors.put_images("m", dict.fromkeys([A, B], np.zeros(8, np.float16)))
    assert found(made)["vectors_unsound"].count == 2
    list(repair(made))
    assert found(made) == {}
    assert set(Library.open(made).vectors.ids("image-m").tolist()).isdisjoint({A, B})


def test_rows_of_photos_that_nobody_knows_are_a_warning_and_go(made: Path) -> None:
    with Library.writing(made) as library:
        library.vectors.put_images("m", {7: np.ones(8, np.float16)})
    assert found(made)["rows_orphaned"].level == "warning"
    list(repair(made))
    assert 7 not in Library.open(made).vectors.ids("image-m").tolist()


def _empty_newest(folder: Path) -> None:
    """As a power cut leaves it, because Lance itself never syncs."""
    min((folder / "_versions").glob("*.manifest")).write_bytes(b"")


def _cut_data(folder: Path) -> None:
    for file in (folder / "data").glob("*.lance"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _lose_index(folder: Path) -> None:
    for file in (folder / "_indices").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "table"),
    [
        (_empty_newest, "documents"),
        (_empty_newest, "image-m"),
        (_cut_data, "face-m"),
        pytest.param(_empty_newest, "face-m", marks=pytest.mark.slow),
        pytest.param(_cut_data, "documents", marks=pytest.mark.slow),
        pytest.param(_cut_data, "image-m", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_table_is_brought_back_or_filled_again(
    made: Path, table: str, damage: Callable[[Path], None]
) -> None:
    before = kept.state(Library.open(made))
    damage(made / "vectors" / f"{table}.lance")
    assert found(made)["table_unreadable"].level == "problem"
    mended = [one.code for one in repair(made)]
    assert {"table_set_back", "table_dropped"} & set(mended)
    assert found(made) == {}
    do_again(made)
    assert kept.state(Library.open(made))[f"{table}.lance"] == before[f"{table}.lance"]
    assert Library.open(made).vectors.holding([["title3"]], 5, every=True) != []


def test_a_lost_full_text_index_is_made_again(made: Path) -> None:
    _lose_index(made / "vectors" / "documents.lance")
    assert "table_unreadable" in found(made)
    list(repair(made))
    assert found(made) == {}
    assert Library.open(made).vectors.holding([["title3"]], 5, every=True) != []


# --- files -----------------------------------------------------------------------------------------------------------


def test_thumbnails_that_are_gone_cut_or_nobodys_are_found(made: Path) -> None:
    library = Library.open(made)
    paths = [library.thumbnail_path(kept.sha(n)) for n in range(4)]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-5])
    paths[2].write_bytes(bytes(100))
    paths[3].with_name(f"{'ab' * 32}.jpg").write_bytes(b"\xff\xd8\xff\xff\xd9")
    paths[3].with_suffix(".part").write_bytes(b"x")
    codes = found(made)
    assert {code: f.count for code, f in codes.items()} == {
        "thumbnails_missing": 1,
        "thumbnails_broken": 2,
        "thumbnails_orphaned": 2,
    }
    list(repair(made))
    assert found(made) == {}
    assert Library.open(made).queries.status().steps["thumbnail"] == {"done": kept.PHOTOS - 3}
    do_again(made)
    assert all(path.read_bytes() == kept.thumbnail(n) for n, path in enumerate(paths))


def test_what_killed_commands_left_is_found_and_removed(made: Path) -> None:
    (made / "catalog.compact").write_bytes(b"x")
    (made / "restoring" / "vectors").mkdir(parents=True)
    (made / "vectors" / "dropped" / "x").mkdir(parents=True)
    assert found(made)["leftovers"].count == 3
    list(repair(made))
    assert found(made) == {}
    assert not (made / "restoring").exists()


def test_what_a_killed_question_had_no_memory_for_is_removed(made: Path) -> None:
    folder = made / "catalog.duckdb.tmp"
    folder.mkdir()
    for name in ("of-a-killed-one", "of-one-that-runs"):
        (folder / name).write_bytes(b"x")
    long_ago = time.time() - 86_400
    os.utime(folder / "of-a-killed-one", (long_ago, long_ago))
    assert found(made)["leftovers"].count == 1
    list(repair(made))
    assert [path.name for path in folder.iterdir()] == ["of-one-that-runs"]


def test_a_run_of_apply_that_was_broken_off_is_told_with_what_to_do(made: Path) -> None:
    journal = Journal.begin(made)
    assert "apply_unfinished" not in found(made)
    journal.write({"path": "/photos/a.jpg", "place": str(journal.quarantine / "1.jpg"), "sha256": "ab" * 32})
    assert f"photoindex undo {journal.id}" in found(made)["apply_unfinished"].advice
    journal.write({"ended": True})
    assert "apply_unfinished" not in found(made)


# --- a damaged catalog, a busy one, and the command ------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut short"),
    ],
)
def test_a_damaged_catalog_is_named_with_the_way_back_and_left_alone(
    made: Path, damage: Callable[[bytes], bytes], run: Shell
) -> None:
    path = made / "catalog.duckdb"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    assert "photoindex restore FILE" in found(made)["catalog_damaged"].advice
    with pytest.raises(LibraryCorrupt):
        list(repair(made))
    ran = run("check", "--repair", "--library", made, code=1)
    assert "restore FILE" in ran.text
    assert path.read_bytes() == before


def test_a_block_that_is_not_as_its_checksum_says_is_damage_and_no_crash(made: Path) -> None:
    path, met = made / "catalog.duckdb", 0
    data = path.read_bytes()
    for at in range(3 * 4096, len(data), 262_144):  # three headers, then blocks of 256 kB, of which some are free
        path.write_bytes(data[: at + 5000] + b"\xaa" * 64 + data[at + 5064 :])
        try:
            read_all(CatalogFile(path, writable=False))
        except LibraryCorrupt:
            met += 1
    assert met


def test_a_repair_that_was_killed_is_named_and_taken_up(made: Path) -> None:
    before, newest = kept.state(Library.open(made)), _set_aside(made)
    assert found(made)["repair_unfinished"].count == 1
    list(repair(made))
    assert not newest.parent.exists()
    assert "repair_unfinished" not in found(made)
    assert kept.state(Library.open(made)) == before


def test_states_that_lie_aside_of_a_table_that_was_written_since_are_dropped(made: Path) -> None:
    with Library.writing(made) as library:
        vector = next(iter(library.vectors.vectors_of("image-m", [kept.photo_id(1)]).values()))
        for n in (1, 2):
            library.vectors.put_images("m", {kept.photo_id(n): vector})
        newest = _set_aside(made)
    with Library.writing(made) as library:
        library.vectors.put_images("m", {kept.photo_id(3): vector})
    before = kept.state(Library.open(made))
    list(repair(made))
    assert not newest.parent.exists()
    assert kept.state(Library.open(made)) == before
    assert set(found(made)) == set()


def _set_aside(made: Path) -> Path:
    """The newest state of a table where a repair puts it that tries to do without."""
    newest = min((made / "vectors" / "image-m.lance" / "_versions").glob("*.manifest"))
    away = made / "vectors" / "image-m.manifests"
    away.mkdir()
    return newest.rename(away / newest.name)


def test_a_schema_that_is_not_what_it_says_is_found(made: Path) -> None:
    change(made, "ALTER TABLE photos DROP COLUMN bytes")
    assert found(made)["schema_foreign"].count == 1
    with pytest.raises(LibraryCorrupt, match=r"photos\.bytes"):
        list(repair(made))


def test_a_library_that_is_being_written_is_checked_all_the_same(made: Path) -> None:
    with Library.writing(made) as library:
        library.vectors.put_images("m", {7: np.ones(8, np.float16)})  # as a scan does before it commits
        findings = check(made, load_registry(), made / "no models")
    assert [f.code for f in findings if f.code == "being_written"] == ["being_written"]
    assert "rows_orphaned" not in {f.code for f in findings}
    assert found(made)["rows_orphaned"].count == 1


def test_no_library_is_said(tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFound):
        check(tmp_path / "none", load_registry(), tmp_path)
    with pytest.raises(LibraryNotFound):
        list(repair(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_the_command_says_what_is_wrong_mends_it_and_ends_accordingly(scanned: Shell) -> None:
    whole = scanned("check", "--format", "json").json
    assert (whole["level"], whole["repaired"]) == ("ok", [])
    assert {finding["level"] for finding in whole["findings"]} == {"ok"}
    thumbnail = next(scanned.folder.glob("cache/thumbnails/*/*/*.jpg"))
    os.truncate(thumbnail, 50)
    ran = scanned("check", code=1)
    assert "check --repair" in ran.text
    assert "not whole" in ran.err
    mended = scanned("check", "--repair", "--quick", "--format", "json").json
    assert "made_due" in [one["code"] for one in mended["repaired"]]
    assert not thumbnail.exists()


def test_weights_that_are_not_what_they_were_are_found(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "yunet-sface"
    folder.mkdir(parents=True)
    registry = load_registry()
    spec = registry.model("yunet-sface")
    files = {name: {"sha256": "00" * 32, "size": 1} for file in spec.files for name in names_of(file)}
    for name in files:
        (folder / name).write_bytes(b"x")
    write_record(spec, folder, files)
    with Library.writing(made) as library:
        library.catalog.set_settings({"profile": "permissive", "model for embedding": None})
    broken = [f for f in check(made, registry, tmp_path / "models") if f.code == "weights_broken"]
    assert len(broken) == len(files)
    assert all("photoindex models pull yunet-sface" in f.advice for f in broken)
    assert "weights_broken" not in {f.code for f in check(made, registry, tmp_path / "models", quick=True)}
