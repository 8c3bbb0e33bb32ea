"""What backup, restore, check and compact must never do: lose what was there, or trust a file that they were given."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

import kept_library as kept
from conftest import Shell
from photoindex.dupes.deciding import decision_object
from photoindex.errors import (
    BackupInvalid,
    BackupNotWritten,
    LibraryCorrupt,
    LibraryNotWritable,
    LibraryUnreadable,
    UsageError,
)
from photoindex.keeping import backup, backup_words, check, compact, repair, restore, restore_words
from photoindex.keeping.words import Words, parse_words, read_words, words_object
from photoindex.models.registry import load_registry
from photoindex.store import snapshot, soundness
from photoindex.store.lance_repair import fall_back
from photoindex.store.library import Library, writer_lock
from photoindex.store.thumbnails import write_thumbnails
from test_backup import rewritten

# --- copies of the catalog -------------------------------------------------------------------------------------------


class _ShortCopy:
    """A connection that copies as DuckDB 1.x does on a full disk: without an error, and not all."""

    def __init__(self, con: duckdb.DuckDBPyConnection, how: str) -> None:
        self._con, self._how = con, how

    def execute(self, sql: str, *given: Any) -> Any:
        if sql.startswith("CHECKPOINT copied") and self._how == "a table lacks rows":
            self._con.execute("DELETE FROM copied.main.photos WHERE rowid = 0")
        if sql.startswith("COPY FROM DATABASE") and self._how == "nothing is there":
            return None
        return self._con.execute(sql, *given)


@pytest.mark.parametrize("how", ["a table lacks rows", "nothing is there"])
def test_a_copy_of_the_catalog_that_is_not_whole_takes_no_place(
    packed: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, whole = kept.state(Library.open(packed / "library")), snapshot.copy_database
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "copy_database", lambda con, to: whole(_ShortCopy(con, how), to))  # type: ignore[arg-type]
        with pytest.raises(LibraryNotWritable, match="not whole"):
            compact(packed / "library")
        with pytest.raises(BackupNotWritten, match="not whole"):
            backup(Library.open(packed / "library"), packed / "new.zip")
    assert kept.state(Library.open(packed / "library")) == before
    assert not list((packed / "library").glob("catalog.compact*"))
    assert sorted(path.name for path in packed.iterdir()) == ["backup.zip", "library"]


# --- the user's words ------------------------------------------------------------------------------------------------


def _kept(folder: Path, before: str) -> list[Words]:
    found = sorted((folder / "backups").glob(f"words-before-{before}-*.json"))
    return [parse_words(json.loads(path.read_bytes())) for path in found]


def test_words_that_force_replaces_are_kept_first(packed: Path) -> None:
    folder = packed / "library"
    mine = read_words(Library.open(folder))
    theirs = words_object(replace(mine, settings={"profile": "other"}), "")
    (packed / "words.json").write_text(json.dumps(theirs))
    restore_words(folder, packed / "words.json")
    assert _kept(folder, "restore") == []
    restore_words(folder, packed / "words.json", force=True)
    assert read_words(Library.open(folder)).settings["profile"] == "other"
    assert _kept(folder, "restore") == [mine]


def test_imported_decisions_replace_none_that_is_not_kept(packed: Path, run: Shell) -> None:
    folder = packed / "library"
    mine = read_words(Library.open(folder))
    later = [decision_object(replace(d, decided_at=datetime(2030, 1, 1))) for d in mine.decisions]
    (packed / "d.json").write_text(json.dumps({"format": "photoindex decisions 1", "decisions": later}))
    run("dupes", "decisions", "import", packed / "d.json", "--library", folder)
    assert read_words(Library.open(folder)).decisions != mine.decisions
    assert _kept(folder, "import") == [mine]


def test_words_can_be_had_from_a_catalog_whose_other_parts_are_damaged(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = packed / "library"
    mine = read_words(Library.open(folder))

    def damaged(*_: object) -> None:
        raise LibraryCorrupt(folder, "Corrupt database file: block 7")

    for what in ("queries.Queries.status", "collections.Collections.paths", "soundness.read_all"):
        monkeypatch.setattr(f"photoindex.store.{what}", damaged)
    with pytest.raises(LibraryCorrupt):
        list(repair(folder))
    assert _kept(folder, "repair") == [replace(mine, paths={})]
    found = {finding.code: finding for finding in check(folder, load_registry(), packed / "none")}
    assert "backup --user-data" in found["catalog_damaged"].advice


def test_of_two_decisions_about_one_group_in_a_file_the_latest_is_taken(packed: Path, tmp_path: Path) -> None:
    words = words_object(read_words(Library.open(packed / "library")), "")
    one = words["decisions"][0]
    words["decisions"] = [one | {"decided_at": "2027-01-01T00:00:00"}, one]
    (packed / "words.json").write_text(json.dumps(words))
    restore_words(tmp_path / "new", packed / "words.json")
    assert [d.decided_at.year for d in Library.open(tmp_path / "new").decisions.read()] == [2027]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param('{"a":' * 200_000, BackupInvalid, id="nested"),
        pytest.param(
            '{"format": "photoindex user data 1", "collections": [{"name": "a", "made_at": "0001-01-01T00:00+14:00"}]}',
            UsageError,
            id="before the year 1",
        ),
    ],
)
def test_odd_files_of_words_are_refused(tmp_path: Path, text: str, error: type[Exception]) -> None:
    (tmp_path / "words.json").write_text(text)
    with pytest.raises(error):
        restore_words(tmp_path / "new", tmp_path / "words.json")


# --- backups that are none -------------------------------------------------------------------------------------------


def _changed(packed: Path, *sql: str) -> bytes:
    """The catalog of the library after these statements."""
    shutil.copy(packed / "library" / "catalog.duckdb", packed / "changed")
    with duckdb.connect(packed / "changed") as con:
        for statement in sql:
            con.execute(statement)
    data = (packed / "changed").read_bytes()
    (packed / "changed").unlink()
    return data


_HOSTILE = "CREATE VIEW walk_problems AS SELECT 'a'::BLOB AS path, content AS code, '' AS message FROM read_text('/x')"
_STATEMENTS = {
    "the view walk_problems": ("DROP TABLE walk_problems", _HOSTILE),
    "the macro spy": ("CREATE MACRO spy() AS TABLE SELECT * FROM read_text('/x')",),
    "the table elsewhere.t": ("CREATE SCHEMA elsewhere", "CREATE TABLE elsewhere.t (a INTEGER)"),
    "its catalog is of schema 999": ("UPDATE schema_migrations SET version = 999",),
    "lacks photos.bytes": ("ALTER TABLE photos DROP COLUMN bytes",),
}


@pytest.mark.parametrize("kind", ["library", "catalog"])
@pytest.mark.parametrize("why", _STATEMENTS)
def test_a_catalog_that_is_none_of_ours_is_never_put_in_place(packed: Path, kind: str, why: str) -> None:
    def change(members: dict[str, bytes]) -> None:
        members["catalog.duckdb"] = _changed(packed, *_STATEMENTS[why])
        members["manifest"] = json.dumps(json.loads(members["manifest"]) | {"kind": kind}).encode()

    _refused(packed, change, why)


def _manifest(**fields: Any) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update(manifest=json.dumps(json.loads(members["manifest"]) | fields).encode())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(lambda members: members.pop("catalog.duckdb"), "it has no catalog", id="no catalog"),
        pytest.param(lambda members: members.update({"catalog.duckdb": b"x" * 9000}), "catalog.duckdb", id="no DuckDB"),
        pytest.param(_manifest(schema=float("inf")), "its manifest", id="infinite schema"),
        pytest.param(_manifest(schema=0), "its schema is 0", id="no schema"),
        pytest.param(_manifest(counts=[]), "counts", id="odd counts"),
    ],
)
def test_odd_backups_are_refused_and_leave_nothing(
    packed: Path, change: Callable[[dict[str, bytes]], None], why: str
) -> None:
    _refused(packed, change, why)


def _refused(packed: Path, change: Callable[[dict[str, bytes]], None], why: str) -> None:
    folder = packed / "library"
    before, files = kept.state(Library.open(folder)), {path.name for path in folder.iterdir()}
    bad = rewritten(packed / "backup.zip", packed / "bad.zip", change)
    with pytest.raises(BackupInvalid, match=re.escape(why)):
        restore(folder, bad, force=True)
    assert kept.state(Library.open(folder)) == before
    assert {path.name for path in folder.iterdir()} - files <= {"writer.lock", "writer.json"}


def test_checksums_that_are_no_text_are_refused(packed: Path) -> None:
    with zipfile.ZipFile(packed / "backup.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sums = members["SHA256SUMS"] + b"\xff\n"
    manifest = json.loads(members["manifest.json"]) | {"checksums_sha256": hashlib.sha256(sums).hexdigest()}
    with zipfile.ZipFile(packed / "bad.zip", "w") as archive:
        for name, data in {**members, "SHA256SUMS": sums, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    with pytest.raises(BackupInvalid, match="list of checksums"):
        restore(packed / "new", packed / "bad.zip")


def test_a_photo_whose_sha_is_a_path_is_misnamed_and_goes(packed: Path) -> None:
    odd = kept.sha(1)[:16] + "/../../../../../x"
    with Library.writing(packed / "library") as library:
        with library.catalog.file.write() as con:
            con.execute("UPDATE photos SET sha256 = ? WHERE sha256 = ?", [odd, kept.sha(1)])
        assert soundness.misnamed_photos(library.catalog.file) == [kept.photo_id(1)]


def test_thumbnails_are_written_before_many_are_held(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, held = sys.modules["photoindex.keeping.restore"], list[int]()

    def write(jpegs: dict[Path, bytes]) -> None:
        held.append(len(jpegs))
        write_thumbnails(jpegs)

    monkeypatch.setattr(module, "_HELD", 1)
    monkeypatch.setattr(module, "write_thumbnails", write)
    stream, shas = io.BytesIO(), [f"{n:064x}" for n in range(5)]
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for sha in shas:
            info = tarfile.TarInfo(f"{sha}.jpg")
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    member = {"thumbnails/00.tar": stream.getvalue()}
    restore(
        packed / "new", rewritten(packed / "backup.zip", packed / "other.zip", lambda members: members.update(member))
    )
    assert max(held) == 1
    assert sum(held) >= 5


# --- files that are there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"\xff\xd8\xff a photo", b'{"a": 1}', None])
def test_force_replaces_backups_alone(packed: Path, data: bytes | None) -> None:
    library, target = Library.open(packed / "library"), packed / "library" / "catalog.duckdb"
    if data is not None:
        target = packed / "IMG_1.jpg"
        target.write_bytes(data)
    before = target.read_bytes()
    for make in (backup, backup_words):
        with pytest.raises(UsageError, match="is no backup"):
            make(library, target, force=True)
    assert target.read_bytes() == before
    backup_words(library, packed / "backup.zip", force=True)
    backup_words(library, packed / "backup.zip", force=True)
    backup(library, packed / "backup.zip", force=True)


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.EMFILE, "Too many"), OSError("LanceError(IO): Generic (os error 24)")]
)
def test_a_passing_error_destroys_no_table(packed: Path, error: Exception) -> None:
    vectors = Library.open(packed / "library").vectors
    table, before = vectors.folder / "image-m.lance", len(vectors.ids("image-m"))
    names = sorted(path.name for path in table.rglob("*.manifest"))

    def read() -> None:
        raise error

    with pytest.raises(LibraryUnreadable):
        fall_back(vectors, "image-m", read)
    assert sorted(path.name for path in table.rglob("*.manifest")) == names
    assert len(vectors.ids("image-m")) == before


def test_the_lock_is_released_where_taking_it_fails(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    locks: list[Any] = []  # held on, as an interactive session holds the last error
    with monkeypatch.context() as patch:
        patch.setattr("photoindex.store.library._write_holder", full)
        with pytest.raises(LibraryNotWritable) as met, writer_lock(packed / "library"):
            pass
        locks.append(met)
    with writer_lock(packed / "library"):
        pass
