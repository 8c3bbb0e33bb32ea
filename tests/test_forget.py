"""Forgetting: what the library knows of photos goes out of every table; photos and the user's words stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import kept_library as kept
from conftest import Shell
from photoindex.errors import BackupNotWritten, UsageError
from photoindex.keeping import check, forget, forgetting_files, forgetting_photos, restore_words
from photoindex.keeping.words import read_words
from photoindex.models.registry import load_registry
from photoindex.store.library import Library
from photoindex.store.soundness import OF_A_PHOTO
from photoindex.store.terms import read_terms
from photoindex.store.unheld import _TABLES as UNHELD

# Tables that say nothing of a photo, and those that hold what the user said, by content.
_OF_THE_LIBRARY = {"settings", "roots", "files", "walk_problems", "categories", "runs", "schema_migrations"}
_OF_THE_LIBRARY |= {"tag_rules", "tag_thresholds", "tag_choices", "collections", "decisions"}
_WORDS = {"collection_photos", "decision_photos"}


def left(library: Library, photo: int) -> list[str]:
    """Every table, of both stores, that says something of a photo, and its thumbnail."""
    with library.catalog.file.read() as con:
        named = con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE column_name IN ('photo_id', 'a', 'b')"
        ).fetchall()
        found = {
            t for t, c in named if con.execute(f"SELECT 1 FROM {t} WHERE {c} = ?", [kept.photo_id(photo)]).fetchall()
        }
        hashed = con.execute("SELECT table_name FROM duckdb_columns() WHERE column_name = 'sha256'").fetchall()
        found |= {
            t for (t,) in hashed if con.execute(f"SELECT 1 FROM {t} WHERE sha256 = ?", [kept.sha(photo)]).fetchall()
        }
    found |= {t for t in library.vectors.tables() if kept.photo_id(photo) in library.vectors.ids(t)}
    return sorted(found | ({"thumbnail"} if library.thumbnail_path(kept.sha(photo)).exists() else set()))


def test_every_table_is_known_to_be_about_photos_or_not(made: Path) -> None:
    """A new table has to be named in `OF_A_PHOTO` and in `unheld`, or here."""
    with Library.open(made).catalog.file.read() as con:
        tables = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()}
    assert tables - _OF_THE_LIBRARY - _WORDS - {"photos"} == set(OF_A_PHOTO)
    assert set(UNHELD) - {"photos"} == set(OF_A_PHOTO) - {"looks"}


def test_a_forgotten_photo_is_in_no_table_and_the_users_words_stay(made: Path) -> None:
    before, others = Library.open(made), [n for n in range(kept.PHOTOS) if n not in (0, 1)]
    full = left(before, 0)
    assert {"photos", "ledger", "looks", "captions", "face-m", "image-m", "documents", "thumbnail"} < set(full)
    words, known = read_words(before), {n: left(before, n) for n in others}
    with Library.writing(made) as library:
        what = forgetting_photos(library, [kept.photo_id(0), kept.photo_id(1)])
        assert (len(what.paths), len(what.photos), what.present) == (2, 2, 2)
        assert (what.collections, what.decisions) == (1, 1)
        file = forget(library, what)
    after = Library.open(made)
    assert left(after, 0) == ["collection_photos", "decision_photos"]
    assert left(after, 1) == ["collection_photos"]
    for n in others:
        assert set(known[n]) - set(left(after, n)) <= {"looks"}
    assert read_words(after).collections == words.collections
    assert read_words(after).decisions == words.decisions
    assert b"title0" not in read_terms(made / "vectors" / "terms.txt").lines
    assert {f.level for f in check(made, load_registry(), made / "none") if f.code != "models_unknown"} == {"ok"}
    said = json.loads(file.read_text())
    assert [c["name"] for c in said["collections"]] == ["trip"]
    assert set(said["collections"][0]["photos"]) == {kept.sha(0), kept.sha(1)}
    assert said["paths"] == {kept.sha(n): [kept.path_of(n)] for n in (0, 1)}


def test_the_users_words_go_too_where_that_is_asked_and_come_back_from_the_file(made: Path) -> None:
    words = read_words(Library.open(made))
    with Library.writing(made) as library:
        file = forget(library, forgetting_photos(library, [kept.photo_id(n) for n in (0, 4)]), words=True)
    assert left(Library.open(made), 0) == ["decision_photos"]  # that decision is about another photo, too
    assert left(Library.open(made), 4) == []
    assert len(Library.open(made).decisions.read()) == 1
    restore_words(made, file)
    again = read_words(Library.open(made))
    assert (again.collections, again.decisions) == (words.collections, words.decisions)


def test_missing_files_are_forgotten_and_others_of_the_same_photo_stay(made: Path) -> None:
    with Library.writing(made) as library:
        with library.catalog.file.write() as con:  # a copy of 5 that is there still
            con.execute(
                "INSERT INTO files BY NAME SELECT * REPLACE (?::BLOB AS path, NULL AS missing_since) FROM files"
                " WHERE path = ?",
                [b"/photos/a/copy.jpg", kept.path_of(5).encode()],
            )
        what = forgetting_files(library)
        assert (what.paths, what.photos, what.present) == ((kept.path_of(5), kept.path_of(6)), (kept.sha(6),), 0)
        forget(library, what)
    library = Library.open(made)
    assert "photos" in left(library, 5)
    assert left(library, 6) == []
    assert "copy" in library.vectors.holding([["copy"]], 5, every=True)[0][2]
    assert library.queries.status().missing == 0
    assert forgetting_files(library).paths == ()


def test_a_folder_is_forgotten_with_all_below_it_and_nothing_beside_it(made: Path, tmp_path: Path) -> None:
    library = Library.open(made)
    what = forgetting_files(library, Path("/photos/b"))
    assert set(what.paths) == {kept.path_of(n) for n in range(0, kept.PHOTOS, 3)}
    assert what.folders == ()
    whole = forgetting_files(library, Path("/photos/"))
    assert (len(whole.paths), whole.folders) == (kept.PHOTOS, ("/photos",))
    with pytest.raises(UsageError, match=r"knows no file below /photo\. Its folders: /photos"):
        forgetting_files(library, Path("/photo"))
    with Library.writing(made) as writing:
        forget(writing, whole)
    status = Library.open(made).queries.status()
    assert (status.files, status.photos, status.roots) == (0, 0, ())


def test_nothing_is_forgotten_where_the_words_cannot_be_kept(made: Path) -> None:
    before = kept.state(Library.open(made))
    (made / "backups").write_text("in the way")
    with Library.writing(made) as library, pytest.raises(BackupNotWritten):
        forget(library, forgetting_files(library))
    assert kept.state(Library.open(made)) == before


def test_the_command_asks_shows_and_never_touches_a_photo(scanned: Shell, pictures: Path) -> None:
    photos = {path: path.stat() for path in pictures.rglob("*") if path.is_file()}
    assert "in one way" in scanned("forget", code=2).err
    assert "in one way" in scanned("forget", "format:gif", "--missing", code=2).err
    shown = scanned("forget", "format:gif", "--dry-run", "--format", "json")
    assert [Path(path).name for path in shown.json["paths"]] == ["beach small.gif"]
    assert "a scan of the folder brings back" in shown.err
    assert "say --yes" in scanned("forget", "format:gif", code=2).err
    assert scanned("search", "format:gif", "--count").text == "1\n"
    assert "Forgotten" in scanned("forget", "format:gif", "--yes").err
    assert scanned("search", "format:gif", "--count").text == "0\n"
    assert scanned("forget", "--missing", "--yes").text == ""
    scanned("forget", "--root", pictures, "--yes")
    assert scanned("status", "--format", "json").json["files"] == 0
    assert {path: path.stat() for path in pictures.rglob("*") if path.is_file()} == photos
    assert scanned.scan(pictures, code=1)["analysed"] == 12  # as if they were new


def test_files_of_the_same_bytes_that_a_query_did_not_name_are_told_before_anything_is_asked(
    scanned: Shell, pictures: Path
) -> None:
    said = scanned("forget", "name:large.jpg", "--dry-run")
    assert said.text.count("large.jpg\n") == 2
    assert "To be forgotten: 2 files, and all that is known of 1 photo" in said.err
    assert "1 file of these holds the same bytes as another: a query finds photos" in said.err
    assert scanned("forget", "name:large.jpg", "--dry-run", "--format", "json").json["copies"] == 1
    assert "same bytes" not in scanned("forget", "format:gif", "--dry-run").err
    assert "same bytes" not in scanned("forget", "--root", pictures, "--dry-run").err


def test_what_names_the_photos_is_told_and_nothing_to_forget_is(scanned: Shell) -> None:
    scanned("collections", "create", "mine")
    scanned("collections", "add", "mine", "--query", "format:gif")
    assert " 1 collection names them: that is kept.\n" in scanned("forget", "in:mine", "--dry-run").err
    assert " 1 collection names them: that goes too.\n" in scanned("forget", "in:mine", "--decisions", "--dry-run").err
    assert "names them" not in scanned("forget", "format:webp", "--dry-run").err
    assert "There is nothing to forget" in scanned("forget", "--missing").err
