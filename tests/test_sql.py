"""`photoindex sql`: documented views, read-only for certain, and errors that help."""

from __future__ import annotations

import gc
import hashlib
import os
import re
from pathlib import Path

import pytest

from conftest import QUICK, Shell, draw
from photoindex.errors import UsageError
from photoindex.render.answers import value_as_json
from photoindex.store.connection import CatalogFile
from photoindex.store.library import Library
from photoindex.store.sql import ask_sql
from photoindex.store.views import VIEWS
from terminal import on_terminal, plain

DOCS = Path(__file__).parents[1] / "docs" / "sql.md"


def test_photos_and_files_are_asked(scanned: Shell, pictures: Path) -> None:
    ran = scanned("sql", "SELECT camera, count(*) AS photos FROM photos GROUP BY ALL ORDER BY ALL", "--format", "json")
    assert ran.json == [{"camera": "Kamera K-1", "photos": 5}, {"camera": None, "photos": 6}]
    rows = scanned("sql", "SELECT photo, path, missing, taken_at FROM photos", "--format", "json").json
    paris = next(row for row in rows if row["path"].endswith("paris.jpg"))
    digest = hashlib.sha256((pictures / "2023" / "trip" / "paris.jpg").read_bytes()).hexdigest()
    assert (paris["photo"], paris["missing"], paris["taken_at"]) == (digest, False, "2023-07-14T09:00:00")
    assert os.fspath(pictures / "2023" / "trip" / "Kölner Dom.png") in {row["path"] for row in rows}
    assert scanned("sql", "SELECT count(*) FROM files", "--format", "csv").text.split() == ["count_star()", "12"]
    assert scanned("sql", "FROM files WHERE problem IS NOT NULL", "--format", "ndjson").text == ""
    assert "paris.jpg" in scanned("sql", "SELECT path, bytes FROM files").text


def test_rows_that_do_not_fit_on_a_terminal_are_shown_as_records(scanned: Shell, pictures: Path) -> None:
    few = "SELECT camera, count(*) AS photos FROM photos GROUP BY ALL ORDER BY ALL"
    assert re.search(r"^ Kamera K-1 +5 $", plain(on_terminal(scanned, "sql", few)), re.MULTILINE)
    ran = plain(on_terminal(scanned, "sql", "SELECT * FROM photos ORDER BY path LIMIT 2"))
    assert max(map(len, ran.splitlines())) <= 80
    first, second = ran.split("1 of 2")[1].split("2 of 2")
    digest = hashlib.sha256((pictures / "2023" / "copy of large.jpg").read_bytes()).hexdigest()
    assert re.search(rf"^photo +{digest[:40]}", first, re.MULTILINE)
    assert re.search(r"^camera +Kamera K-1 *$", second, re.MULTILINE)
    assert not re.search(r"^(camera|caption) ", first, re.MULTILINE)  # not known
    assert "1 of 1" in plain(on_terminal(scanned, "sql", "SELECT * FROM photos LIMIT 1", columns=40))
    wide = plain(on_terminal(scanned, "sql", "SELECT path, photo FROM photos", columns=200))
    assert re.search(r"^ path +photo", wide, re.MULTILINE)
    assert (
        " of " not in scanned("sql", "SELECT * FROM photos").text.splitlines()[0]
    )  # one row a line for other programs


def test_every_view_can_be_asked_and_is_documented_with_its_columns(scanned: Shell) -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", DOCS.read_text(), re.MULTILINE))
    assert list(documented) == list(VIEWS)
    for name in VIEWS:
        columns = [row["column_name"] for row in scanned("sql", f"DESCRIBE {name}", "--format", "json").json]
        assert re.findall(r"`(\w+)`", documented[name]) == columns, name
        scanned("sql", f"SELECT * FROM {name}", "--format", "json")


@pytest.mark.parametrize(
    "statement",
    [
        *("DELETE FROM settings", "INSERT INTO settings VALUES ('a', 'b')", "DROP TABLE settings"),
        *("CREATE TABLE x (a INT)", "CREATE TEMP TABLE x AS SELECT 1", "UPDATE settings SET value = 'x'"),
        *("COPY (SELECT 1) TO '{out}'", "EXPORT DATABASE '{out}'", "ATTACH '{out}'", "VACUUM", "CHECKPOINT"),
        *("EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'", "SET enable_external_access = true", "INSTALL httpfs"),
        *("PRAGMA enable_profiling = 'json'", "SELECT * FROM read_blob('{secret}')", "FROM read_csv('{secret}')"),
        *("FROM '{secret}'", "SELECT * FROM glob('/*')", "FROM read_text('{secret}')", "SELECT getenv('HOME')"),
        *("CALL enable_logging(storage = 'file', storage_path = '{out}')", "LOAD httpfs", "SELECT * FROM statement"),
        *("SELECT nextval('run_ids')", "FROM parquet_scan('{secret}')", "SELECT * FROM sniff_csv('{secret}')"),
        *("EXPLAIN ANALYZE DELETE FROM settings", "SELECT 1; DELETE FROM settings", "BEGIN", "USE memory"),
        *("FROM enable_logging(storage := 'file', storage_path := '{out}')", "FROM read_duckdb('{secret}')"),
        *(
            "FROM query('FROM read_csv(''{secret}'')')",
            "FROM enable_profiling(format = 'json')",
            "FROM duckdb_secrets()",
        ),
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_csv(''{secret}'')'))",
    ],
)
def test_nothing_is_changed_and_nothing_else_is_read(scanned: Shell, tmp_path: Path, statement: str) -> None:
    secret, out, catalog = tmp_path / "secret.csv", tmp_path / "out", scanned.folder / "catalog.duckdb"
    secret.write_text("a,b\n1,2\n")
    before, listing = catalog.read_bytes(), sorted(scanned.folder.iterdir())
    ran = scanned("sql", statement.format(out=out, secret=secret), code=2)
    assert ran.out == b""
    assert "Traceback" not in ran.err
    assert (catalog.read_bytes(), sorted(scanned.folder.iterdir()), out.exists()) == (before, listing, False)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("", "Ask one question"),
        (" -- nothing", "Ask one question"),
        ("SELECT 1; SELECT 2", "Ask one question"),
        ("SELCT 1", 'syntax error at or near "SELCT"'),
        ("SELECT pth FROM files", 'Referenced column "pth" not found'),
        ("SELECT * FROM pictures", "There are: photos, files, tags"),
        ("SELECT now()", "x::TIMESTAMP"),
        ("SELECT 1/'a'", "Could not convert"),
    ],
)
def test_errors_say_what_is_wrong_in_one_line(scanned: Shell, statement: str, says: str) -> None:
    ran = scanned("sql", statement, code=2)
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


def test_values_of_every_kind_have_a_form(scanned: Shell) -> None:
    kinds = {
        *("'NaN'::FLOAT AS a", "1.5 AS b", "[1, NULL] AS c", "{'x': DATE '2024-01-02'} AS d", "'\\xFF'::BLOB AS e"),
        *("INTERVAL 90 MINUTE AS f", "TIME '10:00' AS g", "2::HUGEINT AS h", "true AS i", "MAP {'k': 1} AS j"),
    }
    [row] = scanned("sql", f"SELECT {', '.join(sorted(kinds))}, 1 AS z, 2 AS z", "--format", "json").json
    assert dict(sorted(row.items())) == {
        **{"a": None, "b": 1.5, "c": [1, None], "d": {"x": "2024-01-02"}, "e": "ff", "f": "1:30:00", "g": "10:00:00"},
        **{"h": 2, "i": True, "j": {"k": 1}, "z": 1, "z_2": 2},
    }
    assert value_as_json(b"\x00\xff") == "00ff"


def test_names_that_are_no_utf8_are_shown_with_escapes(run: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    draw(3).save(folder / os.fsdecode(b"caf\xe9.png"))
    run("scan", folder, *QUICK)
    [row] = run("sql", "SELECT path FROM photos", "--format", "json").json
    assert row["path"] == f"{folder}/caf\\xE9.png"


def test_a_writer_may_ask_and_still_cannot_write(scanned: Shell) -> None:
    with Library.writing(scanned.folder) as library:
        assert ask_sql(library.catalog.file.path, "SELECT count(*) FROM photos").rows == [(11,)]
        with pytest.raises(UsageError, match="reading only"):
            ask_sql(library.catalog.file.path, "DELETE FROM settings")
        library.catalog.set_setting("still", "writable")


def test_without_a_library_it_says_so(run: Shell) -> None:
    assert "No library" in run("sql", "SELECT 1", code=10).err


def test_what_a_question_has_no_memory_for_goes_beside_the_catalog_and_is_gone_after(
    scanned: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file, seen = CatalogFile(scanned.folder / "catalog.duckdb", writable=False), set[str]()
    before = sorted(os.listdir(scanned.folder))
    with file.read() as con:
        con.execute("SET memory_limit = '40MB'")
        con.execute("CREATE TEMP TABLE many AS SELECT hash(range) AS a, hash(range + 1) AS b FROM range(5000000)")
        seen.update(os.listdir(scanned.folder))
    assert seen - set(before) == {"catalog.duckdb.tmp"}
    assert os.listdir() == []
    del con, file
    gc.collect()
    assert sorted(os.listdir(scanned.folder)) == before
