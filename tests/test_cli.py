"""The command line: formats, exit codes, and what never reaches a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import photoindex.search
from conftest import Shell, draw
from photoindex.cli.commands import FILES, commands_in
from photoindex.records import Analysed, FoundFile, Metadata, Outcome, Tag, TextLine
from photoindex.scan.documents import write_due_documents
from photoindex.store.library import Library

ODD = "/p/odd \x1b[31m\u202ename\n:smile: [b]\udcff.jpg"


@pytest.fixture
def filled(run: Shell) -> Shell:
    """Three photos: one of an odd name, one with hostile words in it, one that could not be decoded."""
    line = TextLine("receipt \x1b]0;title\x07", 0.9, (0.0,) * 8)
    metadata = Metadata("JPEG", 40, 30, camera_make="Evil\x1b[2J", camera_model="X", title="a\u202eb")
    facts: list[tuple[str, str, dict[str, Any]]] = [
        (ODD, "aa" * 32, {"metadata": metadata, "ocr": (line,)}),
        ("/p/b.jpg", "bb" * 32, {"metadata": Metadata("PNG", 4, 3), "tags": (Tag("cat\x1b[5m", 0.9),)}),
    ]
    with Library.writing(run.folder) as library:
        for path, sha256, given in facts:
            outcomes = tuple(Outcome(step, 1, "done", value) for step, value in given.items())
            library.save([Analysed(FoundFile(path, "/p", 7, 1, 1, 1), sha256, outcomes)])
        from photoindex.records import Problem

        broken = Outcome("decode", 1, "failed", problem=Problem("damaged", "The data is damaged (\x1b[31mred)."))
        library.save([Analysed(FoundFile("/p/c.jpg", "/p", 7, 1, 1, 1), "cc" * 32, (broken,))])
        write_due_documents(library)
    return run


SEARCH = ("search", "receipt", "--mode", "keyword")


# --- formats --------------------------------------------------------------------------------------------------------


def test_a_hit_as_json_has_the_documented_keys(filled: Shell) -> None:
    [hit] = filled(*SEARCH, "--format", "json").json
    assert hit["path"] == ODD
    assert hit["photo"] == "aa" * 32
    assert (hit["rank"], hit["taken_at"], hit["missing"], hit["bytes"]) == (1, None, False, 7)
    assert hit["score"] > 0
    assert filled("search", "nothing", "--mode", "keyword", "--format", "json").json == []


def test_ndjson_is_one_object_a_line(filled: Shell) -> None:
    lines = filled("search", "--has", "tags", "--format", "ndjson").text.splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["/p/b.jpg"]


def test_csv_has_a_header_and_escapes_what_csv_cannot_hold(filled: Shell) -> None:
    [row] = csv.DictReader(io.StringIO(filled(*SEARCH, "--format", "csv").text, newline=""))
    assert list(row)[:4] == ["rank", "score", "path", "photo"]
    assert row["path"] == ODD.replace("\udcff", "\\udcff")


def test_paths_are_the_bytes_of_the_names(filled: Shell) -> None:
    assert filled(*SEARCH, "--format", "paths").out == os.fsencode(ODD) + b"\n"
    assert filled(*SEARCH, "-0").out == os.fsencode(ODD) + b"\0"
    assert filled(*SEARCH, "-0", "--format", "json").out == os.fsencode(ODD) + b"\0"


def test_failures_in_every_format(filled: Shell) -> None:
    [failure] = filled("failures", "--format", "json").json
    assert (failure["path"], failure["step"], failure["code"]) == ("/p/c.jpg", "decode", "damaged")
    assert failure["photo"] == "cc" * 32
    assert json.loads(filled("failures", "--format", "ndjson").text) == failure
    [row] = csv.DictReader(io.StringIO(filled("failures", "--format", "csv").text))
    assert (row["path"], row["code"]) == ("/p/c.jpg", "damaged")
    assert filled("failures", "--format", "paths").out == b"/p/c.jpg\n"
    assert filled("failures", "-0").out == b"/p/c.jpg\0"


def test_status_as_json_counts_files_photos_states_and_steps(filled: Shell) -> None:
    status = filled("status", "--format", "json").json
    assert (status["files"], status["photos"], status["missing"]) == (3, 3, 0)
    assert status["states"] == {"partial": 2, "failed": 1}
    assert status["steps"]["metadata"] == {"done": 2}
    assert status["library"] == str(filled.folder)
    assert status["bytes"]["catalog"] > 0


def test_show_as_json_tells_everything_of_a_photo(filled: Shell) -> None:
    shown = filled("show", "aaaaaa", "--format", "json").json
    assert shown["photo"] == "aa" * 32
    assert shown["files"] == [{"path": ODD, "missing": False, "offline": True}]
    assert shown["metadata"]["title"] == "a\u202eb"
    assert {row["step"] for row in shown["ledger"]} == {"metadata", "ocr"}
    assert "No photo matches" in filled("show", "dddddd", code=24).err


def test_show_takes_a_path_relative_to_where_one_is(run: Shell, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.scan(photos, code=1)
    monkeypatch.chdir(photos)
    assert "beach.webp" in run("show", "beach.webp").text
    assert run("search", "beach", "--mode", "keyword", "--format", "json").json[0]["path"].startswith(str(photos))


def test_show_takes_the_name_of_a_file_where_only_one_photo_has_it(run: Shell, photos: Path) -> None:
    draw(70).save(photos / "2023" / "plain.bmp")
    run.scan(photos, code=1)
    assert run("show", "paris.jpg", "--format", "json").json["files"][0]["path"].endswith("/2023/trip/paris.jpg")
    assert "any of 2 photos" in run("show", "plain.bmp", code=24).err
    assert "No photo matches" in run("show", "aris.jpg", code=24).err


# --- what a terminal is spared --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [SEARCH, (*SEARCH, "--explain"), ("failures",), ("status",), ("show", "aaaaaa"), ("show", "bbbbbb"), ("dupes",)],
    ids=" ".join,
)
def test_tables_hold_no_control_characters_and_no_colour(filled: Shell, command: tuple[str, ...]) -> None:
    ran = filled(*command)
    for text in (ran.text, ran.err):
        assert not [char for char in text if char != "\n" and not char.isprintable()], text
        assert "\udcff" not in text


def test_names_in_tables_are_neither_markup_nor_emoji(filled: Shell) -> None:
    assert "\\x1b[31m\\u202ename\\n:smile: [b]\\xff.jpg" in filled(*SEARCH).text


def test_errors_hold_no_control_characters(run: Shell) -> None:
    ran = run("scan", "/no\x1b[31m/such\nfolder", code=15)
    assert "\x1b" not in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_colour_unless_it_asks_for_none(
    filled: Shell, monkeypatch: pytest.MonkeyPatch, no_color: bool
) -> None:
    import pty
    import subprocess
    import sys

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    master, slave = pty.openpty()
    subprocess.run([sys.executable, "-m", "photoindex", "failures"], stdout=slave, stderr=subprocess.DEVNULL)
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert "/p/c.jpg" in shown
    colours = [code for code in shown.split("\x1b[")[1:] if code.partition("m")[0] not in ("", "0", "1")]
    assert not (no_color and colours)
    assert "\x1b[31mred" not in shown


# --- exit codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["search", "x"], ["dupes"], ["status"], ["failures"], ["show", "abcdef"]])
def test_every_question_to_a_library_that_is_not_there_says_so(run: Shell, command: list[str]) -> None:
    ran = run(*command, code=10)
    assert ran.err.startswith(f"photoindex: No library at {run.folder}.")
    assert ran.out == b""
    assert not run.home.exists()


def test_wrong_usage_is_exit_code_2(run: Shell) -> None:
    for command in (["search", "--limit", "-1", "x"], ["no-such-command"], ["scan"], ["dupes", "--threshold", "-1"]):
        assert run(*command, code=2).out == b""


def test_ctrl_c_is_exit_code_130_in_every_command(filled: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photoindex.search, "find", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    ran = filled("search", "x", code=130)
    assert "Traceback" not in ran.err


def test_a_crash_is_exit_code_2_and_says_that_it_is_one(filled: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photoindex.search, "find", lambda *_: 1 / 0)
    ran = filled("search", "x", code=2)
    assert "ZeroDivisionError" in ran.err
    assert "This is a bug in photoindex" in ran.err


def test_the_version_is_printed(run: Shell) -> None:
    assert run("--version").text == f"photoindex {photoindex.__version__}\n"


@pytest.mark.parametrize("name", ["other", "./other", "/other"])
def test_a_library_is_chosen_by_name_folder_or_environment(
    run: Shell, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = name if name != "/other" else str(tmp_path / "absolute")
    where = run.home / "other" if name == "other" else Path(os.path.abspath(chosen))
    run("scan", photos, "--steps", "metadata", "--limit", "1", "--library", chosen)
    assert run("--library", chosen, "status", "--format", "json").json["library"] == str(where)
    assert run("--library", chosen, "dupes", "list").out == run("dupes", "--library", chosen).out
    monkeypatch.setenv("PHOTOINDEX_LIBRARY", chosen)
    assert run("status", "--format", "json").json["library"] == str(where)
    assert not run.folder.exists()


# --- categories -----------------------------------------------------------------------------------------------------


def test_a_new_library_has_categories_to_begin_with(run: Shell, photos: Path) -> None:
    run("scan", photos, "--steps", "metadata", "--limit", "1")
    assert set(run("categories", "list", "--format", "json").json) >= {
        *("electronics", "food", "landscape", "documents", "people"),
    }


def test_categories_are_added_to_taken_from_and_searched(filled: Shell) -> None:
    filled("categories", "add", "pets", "cat\x1b[5m", "dog", "dog")
    assert filled("categories", "list", "--format", "json").json["pets"] == ["cat\x1b[5m", "dog"]
    assert filled("search", "--category", "pets", "--format", "paths").out == b"/p/b.jpg\n"
    filled("categories", "remove", "pets", "cat\x1b[5m")
    assert filled("categories", "list", "--format", "json").json["pets"] == ["dog"]
    filled("categories", "remove", "pets")
    assert "pets" not in filled("categories", "list", "--format", "json").json
    assert "There is no category 'pets'" in filled("categories", "remove", "pets", code=2).err


def test_exported_categories_can_be_imported_again(filled: Shell, tmp_path: Path) -> None:
    filled("categories", "add", 'odd "name" = [x]\n\\', "süß", "a, b", '"quoted"', "tab\t")
    before = filled("categories", "list", "--format", "json").json
    (tmp_path / "mine.toml").write_bytes(filled("categories", "export").out)
    filled("categories", "add", "other", "x")
    filled("categories", "import", tmp_path / "mine.toml")
    assert filled("categories", "list", "--format", "json").json == before


@pytest.mark.parametrize("content", ["not toml", "food = 'pizza'", "food = [1]", None])
def test_a_wrong_categories_file_is_refused_and_changes_nothing(
    filled: Shell, tmp_path: Path, content: str | None
) -> None:
    filled("categories", "add", "pets", "cat")
    if content is not None:
        (tmp_path / "wrong.toml").write_text(content)
    ran = filled("categories", "import", tmp_path / "wrong.toml", code=21)
    assert "wrong.toml" in ran.err
    assert filled("categories", "list", "--format", "json").json == {"pets": ["cat"]}


def test_each_command_is_added_by_the_file_that_is_said_to_add_it(run: Shell) -> None:
    for file in set(FILES.values()):
        assert set(commands_in(file)) == {name for name, where in FILES.items() if where == file}, file
    lines = run("--help").text.partition("Commands:")[2].splitlines()
    shown = [line.split()[0] for line in lines if line.strip() and line[:3].strip()]
    assert shown == [*FILES]
    assert "No such command 'serch'. Did you mean 'search'" in run("serch", code=2).err


def test_a_command_loads_no_other(run: Shell) -> None:
    script = "import sys; from photoindex.cli import main; sys.argv[1:] = ['search', '--help']\n"
    script += "try: main()\nexcept SystemExit: print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name for name in ran.stdout.split() if name.startswith("photoindex.cli.")}
    assert "photoindex.cli.search" in loaded
    assert {f"photoindex.cli.{file}" for file in FILES.values()} & loaded == {"photoindex.cli.search"}


def test_a_library_named_before_the_command_is_that_of_the_command(filled: Shell, tmp_path: Path) -> None:
    assert "No library" in filled("--library", tmp_path / "none", "collections", "list", code=10).err
    given = ("--library", filled.folder)
    assert filled("--library", tmp_path / "none", "collections", "list", *given, "--format", "json").json == []


def test_a_short_command_leaves_the_collector_of_garbage_as_it_found_it(filled: Shell) -> None:
    script = """
import gc, sys
from photoindex.cli import lean, main
before, during = gc.get_threshold(), []
import photoindex.search
photoindex.search.find = lambda *_: during.append(gc.get_threshold()) or sys.exit(3)
sys.argv = ["photoindex", "search", "x"]
try: main()
except SystemExit as end: print(end.code, during[0][0] > 100 * before[0], gc.get_threshold() == before)
"""
    env = {**os.environ, "PHOTOINDEX_LIBRARY": str(filled.folder)}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    assert ran.stdout == "3 True True\n", ran.stderr


def test_a_short_command_ends_at_once_with_all_that_it_had_to_do(filled: Shell) -> None:
    script = """
import atexit, os, sys
from photoindex.cli import run
class Last:
    def __del__(self, write=os.write):
        write(2, b"taken apart\\n")
last = Last()
atexit.register(print, "at its end", file=sys.stderr)
sys.argv[0] = "photoindex"
run()
"""

    def ended(*arguments: str) -> tuple[int, str, str]:
        env = {**os.environ, "PHOTOINDEX_LIBRARY": str(filled.folder)}
        ran = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, env=env)
        return ran.returncode, os.fsdecode(ran.stdout), os.fsdecode(ran.stderr)

    paths = ("--mode", "keyword", "--format", "paths", "-0")
    assert ended("search", "receipt", *paths) == (0, f"{ODD}\0", "at its end\n")
    code, out, err = ended("search", "(", *paths)
    assert (code, out, err.splitlines()[-1]) == (2, "", "at its end")
    code, out, err = ended("failures", "--count")  # what may do more ends as any program does
    assert (code, out, err.splitlines()[-2:]) == (0, "1\n", ["at its end", "taken apart"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such descriptors")
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_a_short_command_without_an_output_ends_as_with_one(filled: Shell, closed: tuple[int, ...]) -> None:
    def ended(*arguments: str) -> tuple[int, bytes, bytes]:
        shut = "".join(f" {number}>&-" for number in closed)
        command = ["sh", "-c", f'exec "$@"{shut}', "sh", sys.executable, "-m", "photoindex", *arguments]
        env = {**os.environ, "PHOTOINDEX_LIBRARY": str(filled.folder)}
        ran = subprocess.run(command, capture_output=True, env=env, check=False)
        return ran.returncode, ran.stdout, ran.stderr

    for form in ("table", "json"):
        code, out, err = ended("search", "receipt", "--mode", "keyword", "--format", form)
        assert (code, err) == (0, b"")
        assert bool(out) == (1 not in closed)
    code, out, err = ended("search", "receipt", "--library", str(filled.folder / "none"))
    assert (code, out) == (10, b"")
    assert err.count(b"\n") == (0 if 2 in closed else 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
def test_a_short_command_whose_reader_has_gone_ends_without_a_word(filled: Shell) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    script = "from photoindex.cli.lean import end_soon, short_command\n"
    script += "short_command(); print('a hit'); end_soon(SystemExit(0))"
    ran = subprocess.run([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, env=env, check=False)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (0, b"")
