"""A library that somebody else made: its catalog may hold questions of theirs, and none of them is asked."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from conftest import Shell
from photoindex.errors import LibraryForeign
from photoindex.keeping import check
from photoindex.models.registry import load_registry
from photoindex.store.connection import CatalogFile
from photoindex.store.library import Library
from photoindex.store.soundness import foreign_objects

SECRET = "the secret of another file"
HOSTILE = {
    "the view walk_problems": [
        "DROP TABLE walk_problems",
        "CREATE VIEW walk_problems AS SELECT 'a'::BLOB AS path, content AS code, '' AS message FROM read_text('{}')",
    ],
    "the view photos": [
        "ALTER TABLE photos RENAME TO mine",
        "CREATE VIEW photos AS SELECT * FROM mine, read_text('{}')",
        "CREATE MACRO duckdb_views() AS TABLE SELECT 'x' AS view_name, true AS internal, '' AS database_name"
        " WHERE false",
    ],
    "the view spy": [
        "CREATE SCHEMA other",
        "CREATE VIEW other.spy AS SELECT * FROM read_text('{}')",
    ],
}


@pytest.fixture(params=HOSTILE)
def given(request: pytest.FixtureRequest, made: Path, tmp_path: Path) -> tuple[Path, str]:
    """A library with something of theirs in it, and what that is called."""
    (tmp_path / "secret.txt").write_text(SECRET)
    with duckdb.connect(made / "catalog.duckdb") as con:
        for statement in HOSTILE[request.param]:
            con.execute(statement.format(tmp_path / "secret.txt"))
    return made, request.param


def test_a_catalog_with_questions_of_a_stranger_is_not_opened(
    given: tuple[Path, str], run: Shell, tmp_path: Path
) -> None:
    folder, what = given
    before = (folder / "catalog.duckdb").read_bytes()
    (tmp_path / "photos").mkdir()
    for command in (
        ["status"],
        ["failures"],
        ["search", "title3"],
        ["sql", "FROM photos"],
        ["scan", tmp_path / "photos"],
    ):
        ran = run(*command, "--library", folder, code=13)
        assert f"holds {what}, which no library of photoindex has" in ran.err
        assert SECRET not in ran.text + ran.err
    assert (folder / "catalog.duckdb").read_bytes() == before


def test_a_check_says_what_it_holds(given: tuple[Path, str]) -> None:
    folder, what = given
    (finding,) = check(folder, load_registry(), folder / "no models")
    assert (finding.level, finding.code) == ("problem", "catalog_damaged")
    assert what in finding.message


def test_a_process_that_writes_refuses_it_too(given: tuple[Path, str]) -> None:
    with pytest.raises(LibraryForeign), Library.writing(given[0]):
        pass


# Macros shadow functions of the system, but reach no other file.
MACROS = (
    "CREATE MACRO coalesce_secret() AS (SELECT content FROM read_text('{}'))",
    "CREATE MACRO starts_with(a, b) AS (SELECT content = b FROM read_text('{}'))",
    "CREATE MACRO lower(a) AS (SELECT content FROM read_text('{}'))",
    "CREATE MACRO count_star() AS (SELECT content FROM read_text('{}'))",
)


@pytest.fixture
def shadowed(made: Path, tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text(SECRET)
    with duckdb.connect(made / "catalog.duckdb") as con:
        for statement in MACROS:
            con.execute(statement.format(tmp_path / "secret.txt"))
    return made


def test_macros_of_a_stranger_reach_no_file(shadowed: Path) -> None:
    for writable in (False, True):
        catalog = CatalogFile(shadowed / "catalog.duckdb", writable)
        for asked in ("lower('A')", "starts_with('a', 'b')", "coalesce_secret()"):
            with pytest.raises(duckdb.PermissionException), catalog.read() as con:
                con.execute(f"SELECT {asked}").fetchall()


def test_what_a_catalog_says_cannot_be_written_elsewhere(made: Path, tmp_path: Path) -> None:
    for writable in (False, True):
        catalog = CatalogFile(made / "catalog.duckdb", writable)
        for statement in ("COPY files TO '{}'", "ATTACH '{}' AS other", "SET enable_external_access = true"):
            with pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException)), catalog.read() as con:
                con.execute(statement.format(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()


def test_a_restore_refuses_macros_that_hide_what_there_is(made: Path) -> None:
    with duckdb.connect(made / "catalog.duckdb") as con:
        for name in ("duckdb_views", "duckdb_functions", "duckdb_tables"):
            con.execute(f"CREATE MACRO {name}() AS TABLE SELECT 1 AS view_name, true AS internal WHERE false")
        con.execute("CREATE MACRO current_database() AS 'nothing'")
        con.execute("CREATE VIEW spy AS SELECT 1")
    names = ("current_database", "duckdb_functions", "duckdb_tables", "duckdb_views")
    assert foreign_objects(made / "catalog.duckdb") == [*(f"the macro {name}" for name in names), "the view spy"]
