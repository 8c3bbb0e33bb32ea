"""Every schema that was ever released, with data in every table, comes up to date, with a backup of what it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import pytest

import kept_library as kept
from conftest import Shell
from photoindex.errors import BackupNotWritten, LibraryTooNew
from photoindex.keeping import check, restore
from photoindex.models.registry import load_registry
from photoindex.records import photo_id_of
from photoindex.store.connection import CatalogFile
from photoindex.store.library import Library
from photoindex.store.migrations import MIGRATIONS, SCHEMA
from photoindex.store.soundness import foreign_schema, read_all

_SHAS = ["ab" * 32, "cd" * 32]
_VALUES: dict[str, Any] = {
    "VARCHAR": "text",
    "BIGINT": 7,
    "UBIGINT": 2**64 - 1,
    "INTEGER": 3,
    "FLOAT": 0.5,
    "DOUBLE": 0.25,
    "BOOLEAN": True,
    "BLOB": b"\xff/path",
    "TIMESTAMP": kept.WHEN,
    "VARCHAR[]": ["a", "süß"],
    "FLOAT[]": [0.5, 1.0],
    "BLOB[]": [b"/\xfe.xmp"],
}
_DATES = "[{'source': 'exif_original', 'taken_at': TIMESTAMP '2023-05-01 14:30:00', 'offset_minutes': 120}]"


def make_old(folder: Path, schema: int) -> dict[str, list[tuple[Any, ...]]]:
    """A library as `schema` had it, with two rows in every table. Returns what each table holds."""
    folder.mkdir(parents=True)
    with duckdb.connect(folder / "catalog.duckdb") as con:
        con.execute("CREATE TABLE schema_migrations (version INTEGER, applied_at TIMESTAMP)")
        for number, migration in enumerate(MIGRATIONS[:schema], 1):
            migration(con)
            con.execute("INSERT INTO schema_migrations VALUES (?, now()::TIMESTAMP)", [number])
        for table in _tables(con):
            for n, sha256 in enumerate(_SHAS):
                _insert(con, table, n, sha256)
        con.execute("SELECT nextval('run_ids')").fetchall()
        return {table: con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for table in _tables(con)}


def _tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()"
    )
    return sorted(row[0] for row in rows.fetchall() if row[0] != "schema_migrations")


def _insert(con: duckdb.DuckDBPyConnection, table: str, n: int, sha256: str) -> None:
    columns = con.execute(f"DESCRIBE {table}").fetchall()
    values, places = [], []
    for name, kind, *_ in columns:
        if kind.startswith("STRUCT"):
            places.append(_DATES)
            continue
        places.append("?")
        values.append(_value(name, kind, n, sha256))
    con.execute(f"INSERT INTO {table} VALUES ({', '.join(places)})", values)


def _value(name: str, kind: str, n: int, sha256: str) -> Any:
    if name in ("photo_id", "a", "b"):
        return photo_id_of(sha256)
    if name == "sha256":
        return sha256
    if name == "path":
        return b"/photos/%d\xff.jpg" % n
    if name in ("key", "name", "category", "tag", "id"):
        return f"{name}{n}"
    if name == "step":
        return "ocr"
    return _VALUES[kind]


def _codes(folder: Path) -> set[str]:
    return {f.code for f in check(folder, load_registry(), folder / "none", quick=True) if f.level == "problem"}


@pytest.mark.parametrize("schema", range(1, SCHEMA))
def test_a_library_of_every_schema_keeps_all_it_holds(tmp_path: Path, schema: int) -> None:
    folder = tmp_path / "old"
    before = make_old(folder, schema)
    with Library.writing(folder) as library:
        assert foreign_schema(library.catalog.file) == []
        read_all(library.catalog.file)
        with library.catalog.file.read() as con:
            assert con.execute("SELECT list(version) FROM schema_migrations").fetchall() == [([*range(1, SCHEMA + 1)],)]
            for table, rows in before.items():
                width = len(rows[0])
                after = con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
                assert [row[:width] for row in after] == rows
                assert all(value is None for row in after for value in row[width:])
        assert library.runs.start("0", ["/photos"], "tiny", {})[0] == 2
        assert library.queries.status().photos == 2
        assert library.queries.details(photo_id_of(_SHAS[0])).sha256 == _SHAS[0]
        library.save([kept.record(1)])
    [kept_file] = (folder / "backups").iterdir()
    assert kept_file.name.startswith(f"before-schema-{SCHEMA}-")


def test_the_backup_of_an_upgrade_can_be_restored(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    before = make_old(folder, 3)
    with Library.writing(folder) as library:
        library.catalog.set_setting("after", "the upgrade")
    [file] = (folder / "backups").iterdir()
    done = restore(folder, file, force=True)
    assert done.kind == "catalog"
    opened = Library.open(folder)
    assert "after" not in opened.catalog.settings()
    assert len(opened.catalog.all_shas()) == len(before["photos"])
    assert _codes(folder) == set()


def test_a_command_says_in_one_line_that_it_upgraded_and_where_the_backup_is(run: Shell) -> None:
    make_old(run.folder, 1)
    ran = run("status")
    [line] = [line for line in ran.err.splitlines() if "earlier photoindex" in line]
    assert f"from schema 1 to {SCHEMA}" in line
    [file] = (run.folder / "backups").iterdir()
    assert str(file) in line
    assert "earlier photoindex" not in run("status").err
    assert "A backup" not in run("status").text


def test_only_the_newest_few_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    make_old(folder, 1)
    (folder / "backups").mkdir()
    for n in range(5):
        path = folder / "backups" / f"before-schema-{n}-20250101-000000.zip"
        path.write_bytes(b"x")
        os.utime(path, (n, n))
    with Library.writing(folder):
        pass
    names = sorted(path.name for path in (folder / "backups").iterdir())
    kept_ones = ["before-schema-3-", "before-schema-4-", f"before-schema-{SCHEMA}-"[:16]]
    assert [name[:16] for name in names] == sorted(kept_ones)


def test_without_room_for_the_backup_nothing_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "old"
    make_old(folder, 2)
    (folder / "backups").write_text("in the way")
    with pytest.raises(BackupNotWritten, match="The library is as it was"), Library.writing(folder):
        pass
    with duckdb.connect(folder / "catalog.duckdb") as con:
        assert con.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(2,)]


def test_a_failing_upgrade_leaves_the_library_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "old"
    before = make_old(folder, SCHEMA - 1)

    def fail(con: duckdb.DuckDBPyConnection) -> None:
        MIGRATIONS[-1](con)
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("photoindex.store.migrations.MIGRATIONS", (*MIGRATIONS[:-1], fail))
        with pytest.raises(ZeroDivisionError), Library.writing(folder):
            pass
    with duckdb.connect(folder / "catalog.duckdb") as con:
        assert {t: con.execute(f"SELECT * FROM {t} ORDER BY ALL").fetchall() for t in _tables(con)} == before
    with Library.writing(folder) as library:
        assert library.queries.status().photos == 2


def test_a_newer_schema_is_refused_and_nothing_written(tmp_path: Path) -> None:
    kept.make(tmp_path / "new")
    with duckdb.connect(tmp_path / "new" / "catalog.duckdb") as con:
        con.execute("INSERT INTO schema_migrations VALUES (999, now()::TIMESTAMP)")
    before = (tmp_path / "new" / "catalog.duckdb").read_bytes()
    for ask in (lambda: CatalogFile(tmp_path / "new" / "catalog.duckdb", False).read().__enter__(),):
        with pytest.raises(LibraryTooNew, match="Upgrade photoindex"):
            ask()
    with pytest.raises(LibraryTooNew):
        check(tmp_path / "new", load_registry(), tmp_path)
    assert (tmp_path / "new" / "catalog.duckdb").read_bytes() == before
    assert not (tmp_path / "new" / "backups").exists()
