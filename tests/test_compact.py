"""Compacting: the same library in less room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kept_library as kept
from conftest import Shell
from photoindex.errors import LibraryBusy, LibraryCorrupt, LibraryNotFound, LibraryNotWritable
from photoindex.keeping import compact
from photoindex.store.library import Library
from photoindex.store.snapshot import compact_catalog


def test_a_compacted_library_is_the_same_and_smaller(tmp_path: Path) -> None:
    kept.make(tmp_path)
    with Library.writing(tmp_path) as library:
        for n in range(4):
            kept.fill(library, 100 + 20 * n, 120 + 20 * n)
            library.vectors.put_images("m", {i: np.ones(8, np.float16) for i in library.catalog.photo_ids()})
    (tmp_path / "catalog.compact").write_bytes(b"x" * 1000)  # of one that was killed
    before = kept.state(Library.open(tmp_path))
    done = compact(tmp_path)
    assert sum(done.after.values()) < sum(done.before.values())
    assert done.after["vectors"] < done.before["vectors"]
    assert kept.state(Library.open(tmp_path)) == before
    assert len(list((tmp_path / "vectors" / "image-m.lance" / "_versions").glob("*.manifest"))) == 1
    assert not (tmp_path / "catalog.compact").exists()
    with Library.writing(tmp_path) as library:
        assert library.vectors.holding([["title3"]], 5, every=True) != []
        assert library.runs.start("0", ["/photos"], "tiny", {})[0] == 2
    assert sum(compact(tmp_path).after.values()) <= sum(done.after.values()) * 1.1


def test_a_search_that_is_in_the_middle_of_a_question_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library.writing(tmp_path) as library:
        for n in range(3):  # each a file that compacting puts together with the others
            library.vectors.put_images("m", {n: np.ones(8, np.float16)})
        original, asked = library.vectors._dataset, []

        def pinned(table: str) -> object:
            dataset = original(table)
            if not asked:  # after the question has begun
                asked.append(table)
                library.vectors.shrink()
            return dataset

        monkeypatch.setattr(library.vectors, "_dataset", pinned)
        assert len(library.vectors.ids("image-m")) == 3
        asked.clear()
        library.vectors.put_images("m", {9: np.ones(8, np.float16)})
        assert len(library.vectors.nearest("image-m", np.ones(8, np.float32), 9)) == 4


def test_room_of_deleted_rows_is_given_back(tmp_path: Path) -> None:
    with Library.writing(tmp_path) as library:
        with library.catalog.file.write() as con:
            con.execute("INSERT INTO categories SELECT md5(i::VARCHAR), md5((-i)::VARCHAR) FROM range(300000) t(i)")
        with library.catalog.file.write() as con:
            con.execute("DELETE FROM categories WHERE category > '05'")
    done = compact(tmp_path)
    assert done.after["catalog"] < done.before["catalog"] / 3
    assert len(Library.open(tmp_path).queries.categories()) > 1000


def test_a_compaction_without_room_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.make(tmp_path)
    before = kept.state(Library.open(tmp_path))

    def full(*_: object) -> None:
        import duckdb

        raise duckdb.IOException("Could not write: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("photoindex.store.snapshot.copy_database", full)
        with pytest.raises(LibraryNotWritable, match="No space left"):
            compact(tmp_path)
    assert kept.state(Library.open(tmp_path)) == before


def test_a_log_that_stays_beside_the_catalog_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Library.writing(tmp_path) as library:
        library.catalog.set_setting("a", "b")
        before = library.catalog.file.path.read_bytes()
        monkeypatch.setattr("photoindex.store.snapshot.copy_database", lambda _, to: _log(library, to))
        with pytest.raises(LibraryCorrupt):
            compact_catalog(library.catalog.file)
        assert library.catalog.file.path.read_bytes() == before


def _log(library: Library, to: Path) -> None:
    to.write_bytes(b"new")
    Path(f"{library.catalog.file.path}.wal").write_bytes(b"log")


def test_one_that_is_not_there_or_being_written_is_said(run: Shell, tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFound):
        compact(tmp_path / "none")
    kept.make(run.folder)
    with Library.writing(run.folder), pytest.raises(LibraryBusy):
        compact(run.folder)
    sizes = run("compact", "--format", "json").json
    assert set(sizes["before"]) == set(sizes["after"]) == {"catalog", "vectors", "thumbnails"}
    assert "freed" in run("compact").err
