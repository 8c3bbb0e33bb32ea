"""A library that somebody else made: its catalog may hold questions of theirs, and none reads a file."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

import kept_library as kept
from conftest import Shell
from photoindex.errors import LibraryForeign
from photoindex.store.connection import CatalogFile
from photoindex.store.migrations import SCHEMA
from photoindex.store.soundness import foreign_objects
from test_migrations import make_old

SECRET = "the secret of another file"
SECRETS = "(SELECT content FROM read_text('{}'))"
# What is there in place of a table, and a command that asks it.
VIEWS = {
    "walk_problems": ("SELECT 'a'::BLOB AS path, {} AS code, '' AS message", "failures"),
    "settings": ("SELECT 'profile' AS key, {} AS value", "search"),
    "schema_migrations": ("SELECT length({}) AS version, NULL AS applied_at", "runs"),
    "metadata": ("SELECT * EXCLUDE (title), {} AS title FROM kept", "show"),
}


@pytest.fixture(params=VIEWS)
def given(request: pytest.FixtureRequest, made: Path, tmp_path: Path) -> tuple[Path, str]:
    """A library with something of theirs in it, and the command that meets it."""
    (tmp_path / "secret.txt").write_text(SECRET)
    query, command = VIEWS[request.param]
    with duckdb.connect(made / "catalog.duckdb") as con:
        con.execute(f"ALTER TABLE {request.param} RENAME TO kept")
        query = query.format(SECRETS.format(tmp_path / "secret.txt"))
        con.execute(f"CREATE VIEW {request.param} AS {query}")
    return made, command


def test_questions_of_a_stranger_read_no_file(given: tuple[Path, str], run: Shell) -> None:
    folder, meets = given
    before = (folder / "catalog.duckdb").read_bytes()
    commands = {"failures": [], "runs": [], "show": [kept.sha(1)], "search": ["title3"], "sql": ["FROM photos"]}
    for name, arguments in commands.items():
        ran = run(name, *arguments, "--library", folder, code=13 if name == meets else None)
        assert SECRET not in ran.text + ran.err
        if name == meets:
            assert "its catalog asks for files that are not its own" in ran.err
    assert (folder / "catalog.duckdb").read_bytes() == before


def test_a_scan_does_not_go_on_in_such_a_library(made: Path, run: Shell, tmp_path: Path) -> None:
    with duckdb.connect(made / "catalog.duckdb") as con:
        con.execute("ALTER TABLE schema_migrations RENAME TO kept")
        con.execute(f"CREATE VIEW schema_migrations AS SELECT length({SECRETS.format('/x')}) AS version")
    (tmp_path / "photos").mkdir()
    assert "not its own" in run("scan", tmp_path / "photos", "--library", made, code=13).err


# What is asked of a catalog when it is copied or upgraded: each would say the secret as an error.
TELLS = "(SELECT error(content) FROM read_text('{}'))"
COPIED = {
    "schema_migrations": (
        "ALTER TABLE schema_migrations RENAME TO kept",
        "CREATE VIEW schema_migrations AS SELECT length({}) AS version, NULL::TIMESTAMP AS applied_at",
    ),
    "current_database": ("CREATE MACRO current_database() AS {}",),
    "duckdb_tables": (
        "CREATE MACRO duckdb_tables() AS TABLE SELECT {} AS table_name, database_name, 'main' AS schema_name,"
        " false AS internal FROM duckdb_databases()",
    ),
}


def plant(folder: Path, what: str, secret: Path) -> None:
    secret.write_text(SECRET)
    with duckdb.connect(folder / "catalog.duckdb") as con:
        for statement in COPIED[what]:
            con.execute(statement.format(TELLS.format(secret)))


@pytest.mark.parametrize("what", COPIED)
def test_a_copy_of_what_a_stranger_made_reads_no_file(what: str, made: Path, run: Shell, tmp_path: Path) -> None:
    plant(made, what, tmp_path / "secret.txt")
    for command in (("backup", tmp_path / "copy.zip"), ("compact",), ("scan", tmp_path / "nowhere")):
        ran = run(*command, "--library", made, code=None)
        assert SECRET not in ran.text + ran.err
        assert ran.code != 2, ran.err
    with pytest.raises(LibraryForeign), CatalogFile(made / "catalog.duckdb", True).copying(tmp_path / "copy") as con:
        con.execute(f"SELECT {TELLS.format(tmp_path / 'secret.txt')}")


@pytest.mark.parametrize("what", COPIED)
def test_an_upgrade_of_what_a_stranger_made_reads_no_file(what: str, run: Shell, tmp_path: Path) -> None:
    make_old(tmp_path / "old", SCHEMA - 1)
    plant(tmp_path / "old", what, tmp_path / "secret.txt")
    ran = run("failures", "--library", tmp_path / "old", code=None)
    assert SECRET not in ran.text + ran.err
    assert ran.code != 2, ran.err


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
            with pytest.raises(LibraryForeign), catalog.read() as con:
                con.execute(f"SELECT {asked}").fetchall()


def test_what_a_catalog_says_cannot_be_written_elsewhere(made: Path, tmp_path: Path) -> None:
    for writable in (False, True):
        catalog = CatalogFile(made / "catalog.duckdb", writable)
        for statement in ("COPY files TO '{}'", "ATTACH '{}' AS other", "SET enable_external_access = true"):
            with pytest.raises((LibraryForeign, duckdb.InvalidInputException)), catalog.read() as con:
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


def test_a_folder_that_duckdb_cannot_open_is_named(run: Shell, tmp_path: Path) -> None:
    for name in ("what?", *(["back\\slash"] if os.sep == "/" else [])):
        (tmp_path / name).mkdir()
        ran = run("scan", tmp_path, "--library", tmp_path / name, code=2)
        assert "DuckDB cannot open a file with" in ran.err
        assert str(tmp_path / name) in ran.err
