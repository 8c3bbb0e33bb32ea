"""The library on disk: what it says when it cannot be used, and what it keeps."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import kept_library as kept
from conftest import Shell
from photoindex.errors import (
    LibraryBusy,
    LibraryCorrupt,
    LibraryNotFound,
    LibraryNotWritable,
    LibraryTooNew,
    PhotoAmbiguous,
    PhotoNotFound,
)
from photoindex.records import (
    Analysed,
    DateCandidate,
    Face,
    FoundFile,
    Hashes,
    Metadata,
    Outcome,
    Place,
    Problem,
    Tag,
    TextLine,
    photo_id_of,
)
from photoindex.store.catalog import Wanted
from photoindex.store.lance_errors import in_words
from photoindex.store.library import Library
from photoindex.store.migrations import MIGRATIONS, SCHEMA


def analysed(path: str = "/p/a.jpg", sha256: str = "ab" * 32, **facts: Any) -> Analysed:
    outcomes = tuple(Outcome(step, 1, "done", value, "m", "r", 1.5) for step, value in facts.items())
    return Analysed(FoundFile(path, "/p", 10, 20, 2**63 + 1, 2**64 - 1), sha256, outcomes)


# --- opening --------------------------------------------------------------------------------------------------------


def test_a_library_that_is_not_there_is_not_made_by_asking(tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFound):
        Library.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_second_writer_is_told_who_the_first_is(library: Library) -> None:
    with pytest.raises(LibraryBusy, match=f"process {os.getpid()} since 2"), Library.writing(library.folder):
        pass


def test_a_catalog_that_the_same_process_reads_elsewhere_is_in_use_and_not_damaged(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoindex.store.connection.WRITER_WAIT_S", 0.1)
    with duckdb.connect(library.catalog.file.path, read_only=True), pytest.raises(LibraryBusy):
        library.catalog.set_setting("a", "b")
    library.catalog.set_setting("a", "b")


def test_a_library_may_be_written_again_after_a_writer_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Library.writing(tmp_path):
        _ = 1 / 0
    with Library.writing(tmp_path) as library:
        library.catalog.set_setting("a", "b")
        assert library.catalog.settings() == {"a": "b"}


def test_the_catalog_is_held_for_the_moment_of_a_question_only(tmp_path: Path) -> None:
    with Library.writing(tmp_path) as library:
        library.catalog.set_setting("a", "b")
    reader = Library.open(tmp_path)
    for _ in range(2):
        with reader.catalog.file.read() as con:
            assert con.execute("SELECT value FROM settings").fetchall() == [("b",)]
            assert reader.catalog.settings() == {"a": "b"}  # a question within another
            assert "Could not set lock" in _write_elsewhere(tmp_path)
        assert _write_elsewhere(tmp_path) == ""
    with pytest.raises(duckdb.Error, match="read-only"), reader.catalog.file.read() as con:
        con.execute("DELETE FROM settings")


def test_a_reader_waits_for_a_writer_of_its_own_process(tmp_path: Path) -> None:
    with Library.writing(tmp_path) as library:
        reader = Library.open(tmp_path)
        with ThreadPoolExecutor(1) as pool:
            with library.catalog.file.write() as con:
                asked = pool.submit(reader.catalog.settings)
                con.execute("INSERT INTO settings VALUES ('a', 'b')")
            assert asked.result() in ({}, {"a": "b"})  # before or after, but not refused
        assert reader.catalog.settings() == {"a": "b"}


def test_a_folder_may_have_a_quotation_mark_in_its_name(tmp_path: Path) -> None:
    with Library.writing(tmp_path / "it's") as library:
        library.catalog.set_setting("a", "b")
    assert Library.open(tmp_path / "it's").catalog.settings() == {"a": "b"}


def _write_elsewhere(folder: Path) -> str:
    """What another process is told that opens the catalog for writing."""
    script = f"import duckdb; duckdb.connect({str(folder / 'catalog.duckdb')!r}).close()"
    return subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True).stderr


def test_a_library_of_a_newer_version_is_neither_read_nor_written(run: Shell, tmp_path: Path) -> None:
    with Library.writing(run.folder):
        pass
    with duckdb.connect(run.folder / "catalog.duckdb") as con:
        con.execute("INSERT INTO schema_migrations VALUES (99, now())")
    before = (run.folder / "catalog.duckdb").read_bytes()
    with pytest.raises(LibraryTooNew), Library.writing(run.folder):
        pass
    ran = run("status", code=12)
    assert f"schema 99, this program knows {SCHEMA}" in ran.err
    assert (run.folder / "catalog.duckdb").read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"no database" * 5000, id="something else"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut short"),
        pytest.param(lambda data: data[:0x3000] + bytes(4096) + data[0x4000:], id="a page of zeros"),
    ],
)
def test_a_damaged_catalog_is_said_to_be_and_left_as_it_is(run: Shell, damage: Any) -> None:
    with Library.writing(run.folder) as library:
        library.save([analysed(f"/p/{n}.jpg", f"{n:064x}"[::-1], metadata=Metadata("JPEG", n, n)) for n in range(99)])
    path = run.folder / "catalog.duckdb"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    for command in (["status"], ["failures"], ["dupes"], ["search", "x", "--mode", "keyword"]):
        ran = run(*command, code=None)
        if ran.code:
            break
    assert ran.code == 13
    assert "Your photos are untouched" in ran.err
    assert "Traceback" not in ran.err
    assert path.read_bytes() == before


def test_a_damaged_table_of_vectors_is_said_to_be(library: Library) -> None:
    library.vectors.put_documents({1: "word"})
    for manifest in library.folder.glob("vectors/documents.lance/_versions/*"):
        manifest.write_bytes(b"")
    with pytest.raises(LibraryCorrupt, match="documents"):
        library.vectors.holding([["word"]], 5, every=True)


def test_a_file_where_the_library_should_be_is_said(run: Shell, photos: Path) -> None:
    run.home.mkdir()
    run.folder.write_text("in the way")
    assert "File exists" in run("scan", photos, "--steps", "hash", code=14).err
    with pytest.raises(LibraryNotWritable), Library.writing(run.folder / "below"):
        pass
    assert run.folder.read_text() == "in the way"


def test_a_library_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(LibraryNotWritable, match="Permission denied"), Library.writing(tmp_path / "library"):
        pass


# --- keeping --------------------------------------------------------------------------------------------------------


def test_every_fact_comes_back_as_it_was_saved(library: Library) -> None:
    date = DateCandidate("exif_original", datetime(2023, 5, 1, 14, 30, 0, 250_000), 120)
    metadata = Metadata(
        **{"format": "JPEG", "width": 4000, "height": 3000, "orientation": 6, "taken_at": date.taken_at},
        **{"offset_minutes": 120, "taken_source": "exif_original", "dates": (date,), "camera_make": "Kamera"},
        **{"exposure_s": 1 / 3000, "latitude": 48.8584, "longitude": -2.2945, "keywords": ("süß", "日本", "🍕")},
        warnings=("a", "b"),
    )
    place = Place("Neuilly", "Paris", None, "France", "FR")
    hashes = Hashes(bytes(range(32)), 100, bytes(32), 0)
    line = TextLine("Pizza 12,50 €", 0.5, (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0))
    face = Face((0.0, 0.25, 0.5, 1.0), (0.5,) * 10, 0.75, np.ones(4, np.float32) / 2)
    facts = {"metadata": metadata, "place": place, "hash": hashes, "ocr": (line,), "tags": (Tag("cat", 0.5),)}
    library.save([analysed(**facts, faces=(face,), thumbnail=b"jpeg")])
    saved = library.queries.details(library.queries.find("abababab")[0])
    assert (saved.metadata, saved.place, saved.hashes, saved.ocr, saved.tags) == (
        *(metadata, place, hashes, (line,)),
        (Tag("cat", 0.5),),
    )
    assert saved.faces == (Face(face.box, face.landmarks, 0.75),)
    assert library.thumbnail_path(saved.sha256).read_bytes() == b"jpeg"
    assert {(row.step, row.model, row.runtime, row.ms) for row in saved.ledger} == {
        (step, "m", "r", 1.5) for step in (*facts, "faces", "thumbnail")
    }


def test_numbers_of_64_bits_and_odd_names_come_back(library: Library) -> None:
    item = analysed("/p/\udcff\n.jpg", metadata=Metadata("JPEG", 1, 1))
    library.save([item])
    [known] = library.catalog.known_files("/p").values()
    assert (known.file, known.photo_id) == (item.file, item.photo_id)


def test_saving_a_photo_again_replaces_what_was_known_of_it(library: Library) -> None:
    one, two = Tag("one", 0.5), Tag("two", 0.5)
    library.save([analysed(tags=(one, two), metadata=Metadata("JPEG", 1, 1))])
    library.save([analysed(tags=(two,))])
    saved = library.queries.details(analysed().photo_id)
    assert saved.tags == (two,)
    assert saved.metadata is not None
    assert len(saved.ledger) == 2


def test_other_content_with_the_same_short_id_is_set_aside(library: Library) -> None:
    library.save([analysed("/p/a.jpg", "ab" * 32, metadata=Metadata("JPEG", 1, 1))])
    library.save([analysed("/p/b.jpg", "ab" * 8 + "cd" * 24, metadata=Metadata("PNG", 2, 2))])
    [failure] = library.queries.failures()
    assert (failure.path, failure.code) == ("/p/b.jpg", "id_clash")
    saved = library.queries.details(analysed().photo_id)
    assert saved.metadata is not None
    assert saved.metadata.format == "JPEG"


def test_a_photo_is_due_for_a_new_version_or_another_model_and_after_a_skip(library: Library) -> None:
    skipped = Outcome("faces", 1, "skipped", problem=Problem("weights_missing", "."))
    library.save([Analysed(analysed().file, "ab" * 32, (Outcome("ocr", 1, "done", (), "m"), skipped))])

    def due(step: str, version: int, model: str) -> bool:
        return bool(library.catalog.due([Wanted(step, version, model)], 1))

    assert not due("ocr", 1, "m")
    assert due("ocr", 2, "m")
    assert due("ocr", 1, "n")
    assert due("faces", 1, "m")


def test_a_picture_that_can_be_decoded_after_all_is_no_longer_failed(library: Library) -> None:
    broken = Outcome("decode", 1, "failed", problem=Problem("damaged", "."))
    library.save([Analysed(analysed().file, "ab" * 32, (broken,))])
    assert library.queries.status().states == {"failed": 1}
    library.save([analysed(metadata=Metadata("JPEG", 1, 1))])
    assert library.queries.status().states == {"partial": 1}
    assert library.queries.failures() == []


def test_a_photo_is_completed_once_every_step_there_is_is_done(library: Library) -> None:
    library.catalog.set_setting("steps", "metadata,ocr")
    library.save([analysed(metadata=Metadata("JPEG", 1, 1))])
    assert library.queries.status().states == {"partial": 1}
    library.save([Analysed(analysed().file, "ab" * 32, (Outcome("ocr", 1, "done", ()),))])
    assert library.queries.status().states == {"completed": 1}


def test_a_photo_is_found_by_its_path_or_the_start_of_its_sha256(library: Library) -> None:
    library.save([analysed("/p/a.jpg", "abcdef00" + "0" * 56), analysed("/p/b.jpg", "abcdef11" + "0" * 56)])
    assert library.queries.find("/p/a.jpg")[1].startswith("abcdef00")
    assert library.queries.find("ABCDEF1")[1].startswith("abcdef11")
    with pytest.raises(PhotoAmbiguous):
        library.queries.find("abcdef")
    for text in ("abcde", "/p/c.jpg", "ffffff", "abcdeg", ""):
        with pytest.raises(PhotoNotFound):
            library.queries.find(text)


# --- vectors --------------------------------------------------------------------------------------------------------


def test_the_nearest_vectors_come_first_and_filters_apply_before_ranking(library: Library) -> None:
    vectors = np.eye(4, dtype=np.float16)
    library.vectors.put_images("m", {10 + n: vectors[n] for n in range(4)})
    query = np.array([0.8, 0.6, 0, 0], np.float32)
    best = library.vectors.nearest("image-m", query, 2)
    assert [photo_id for photo_id, _ in best] == [10, 11]
    assert [score for _, score in best] == pytest.approx([0.8, 0.6], abs=2e-3)
    assert [i for i, _ in library.vectors.nearest("image-m", query, 1, among=[11, 12])] == [11]
    assert library.vectors.nearest("image-m", query, 1, among=[]) == []
    assert library.vectors.nearest("image-other", query, 1) == []


def test_putting_vectors_again_replaces_them_and_faces_may_become_fewer(library: Library) -> None:
    library.vectors.put_images("m", {1: np.ones(2, np.float16)})
    library.vectors.put_images("m", {1: np.zeros(2, np.float16), 2: np.ones(2, np.float16)})
    stored = library.vectors.vectors_of("image-m", [1, 2, 3])
    assert {i: v.tolist() for i, v in stored.items()} == {1: [0, 0], 2: [1, 1]}
    face = Face((0, 0, 1, 1), (0.5,) * 10, 0.9, np.ones(2, np.float32))
    library.vectors.put_faces("f", {1: [face, face], 2: [face]})
    library.vectors.put_faces("f", {1: [face], 2: []})
    assert library.vectors.ids("face-f").tolist() == [1]


def test_words_meet_documents_with_all_or_some_of_them(library: Library) -> None:
    library.vectors.put_documents({1: "pizza receipt", 2: "pizza", 3: "receipt \N{GREEK SMALL LETTER ALPHA}"})
    library.vectors.put_documents({2: "pasta"})

    def ids(words: str, every: bool) -> set[int]:
        return {i for i, *_ in library.vectors.holding([[word] for word in words.split()], 9, every=every)}

    assert ids("pizza receipt", True) == {1}
    assert ids("pizza receipt", False) == {1, 3}
    assert ids("pizza", True) == {1}
    assert {i for i, *_ in library.vectors.holding([["receipt"]], 9, every=True, among=[3])} == {3}


def test_a_known_photo_that_cannot_be_read_just_now_stays_searchable(library: Library) -> None:
    item = analysed(metadata=Metadata("JPEG", 1, 1))
    library.save([item])
    library.save([], [(item.file, Problem("io_error", "The disk gave an error."))])
    assert [row.path for row in library.queries.file_rows()] == [item.file.path]
    assert [failure.code for failure in library.queries.failures()] == ["io_error"]
    library.save([item])
    assert library.queries.failures() == []


def test_text_that_is_no_utf8_is_kept_as_escapes(library: Library) -> None:
    library.save([analysed(metadata=Metadata("PNG", 4_294_967_295, 1, warnings=("bad caf\udce9.xmp",)))])
    saved = library.queries.details(analysed().photo_id).metadata
    assert saved is not None
    assert (saved.width, saved.warnings) == (4_294_967_295, ("bad caf\\udce9.xmp",))


def test_a_library_of_before_keeps_its_hashes_and_gets_the_new_ones_with_the_next_scan(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    sha256, photo_id = "ab" * 32, photo_id_of("ab" * 32)
    before = 3  # the last schema whose hashes were PDQ's alone
    with duckdb.connect(tmp_path / "old" / "catalog.duckdb") as con:
        con.execute("CREATE TABLE schema_migrations (version INTEGER, applied_at TIMESTAMP)")
        for number, migration in enumerate(MIGRATIONS[:before], 1):
            migration(con)
            con.execute("INSERT INTO schema_migrations VALUES (?, now()::TIMESTAMP)", [number])
        con.execute("INSERT INTO photos VALUES (?, ?, 10, now()::TIMESTAMP)", [photo_id, sha256])
        con.execute("INSERT INTO hashes VALUES (?, ?, 90, ?, 80)", [photo_id, b"p" * 32, b"o" * 32])
    with Library.writing(tmp_path / "old") as library:
        assert library.queries.details(photo_id).hashes == Hashes(b"p" * 32, 90, b"o" * 32, 80)
        newer = Hashes(b"p" * 32, 90, b"o" * 32, 80, b"t" * 32, b"word", 2.5)
        library.save([analysed(sha256=sha256, hash=newer)])
        assert library.queries.details(photo_id).hashes == newer


def test_the_catalog_is_open_no_longer_when_disks_are_asked_for(made: Path) -> None:
    library = Library.open(made)
    asked = []

    def away(roots: Collection[str]) -> Collection[str]:
        asked.append((set(roots), library.catalog.file._readers))
        return roots

    details = library.queries.details(kept.photo_id(1), away)
    [(roots, readers)] = asked
    assert roots
    assert readers == 0
    assert [file.path for file in details.files] == [kept.path_of(1)]
    assert all(file.offline for file in details.files)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "External error: LanceError(IO): Generic memory error: Invalid range 0..1304 for object of size 652 bytes,"
            " /rustc/48a229ce/library/core/src/ops/function.rs:250:5",
            "one of its files is cut short: it has 652 bytes, and those up to 1,304 are needed",
        ),
        (
            "External error: LanceError(IO): Generic N/A error: Wrapped error: Not found: Not found: /a b",
            "/a b is not there",
        ),
        (
            "External error: Not found: /p/tokens.lance, /home/runner/lance-io/src/object_store.rs:1650:12",
            "/p/tokens.lance is not there",
        ),
        ("LanceError(IO): No space left on device (os error 28), /a/b.rs:1:2", "No space left on device (os error 28)"),
        ("", "OSError"),
    ],
)
def test_what_lance_says_is_told_without_its_source(said: str, words: str) -> None:
    assert in_words(OSError(said)) == words
