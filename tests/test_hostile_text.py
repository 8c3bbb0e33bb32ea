"""Names, metadata and words that try to command a terminal, to be markup, or to break a format apart."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import socket
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from conftest import Shell, draw, exif, shell
from photoindex.records import Hit, PhotoRow, Reason
from photoindex.web.sheet import write_sheet

HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\u202egpj.\u2066\x00[red]<script>alert(1)</script>\"' onload=x &amp; \n=cmd()"
)
NAMES = [
    b"line\nbreak.jpg",
    b"esc\x1b]0;owned\x07\x1b[2J.jpg",
    b"c1 \xc2\x9b31m.jpg",
    b"not utf-8 \xff\xfe \x9b.jpg",
    b"-rf.jpg",
    b"--help.jpg",
    b"\xe2\x80\xaegpj.rtl.jpg",
    b"=cmd()|'x'!A1.jpg",
    b'quote"comma,semi;tab\t.jpg',
    b"carriage\rreturn.jpg",
    b"<script>alert(1)<_script>&amp;.jpg",
    b"[bold red]markup[_bold red] :pizza:.jpg",
    b" leading and trailing .jpg",
    b"n" * 251 + b".jpg",
]
# Columns that programs read, not people.
_FIXED = {"key", "value", "sha256", "step", "status", "taken_source", "id", "kind", "keeper", "outcome", "sidecar_sig"}
_FIXED |= {"code", "details", "report", "look", "model", "fingerprint", "country_code", "query"}
_COMMANDS = [
    ["search", "jpg", "--explain"],
    ["search", "jpg", "--count"],
    ["failures"],
    ["status"],
    ["random", "--count", "5"],
    ["dupes"],
    ["tags", "list"],
    ["collections", "list"],
    ["runs"],
    ["check"],
    ["categories", "list"],
    ["scan", "{photos}", "--dry-run"],
    ["search", "no:thing\x1b[2J"],
    ["show", "nothing\x1b[2J\u202e"],
    ["search", "--library", "no\x1b[2Jwhere", "x"],
]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shell, bytes]]:
    """A library of files with hostile names."""
    home = tmp_path_factory.mktemp("odd")
    folder = os.fsencode(home / "photos")
    os.mkdir(folder)
    for n, name in enumerate(NAMES):
        with open(os.path.join(folder, name), "wb") as file:
            draw(n).save(file, "JPEG", exif=exif("2024:01:01 00:00:00"))
    with open(os.path.join(folder, b"broken \x1b[2J\xff.jpg"), "wb") as file:
        file.write(b"no picture")
    with pytest.MonkeyPatch.context() as patch:
        run = shell(home / "home", patch)
        run.scan(home / "photos", code=1)
        yield run, folder


def raw(text: str) -> list[str]:
    """What of a text a terminal would obey."""
    return [c for c in text if c not in "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")]


def test_nothing_that_a_library_holds_commands_a_terminal(odd: tuple[Shell, bytes], run: Shell) -> None:
    shutil.copytree(odd[0].home, run.home)
    run("collections", "create", "mine")
    _poison(run)
    with duckdb.connect(str(run.folder / "catalog.duckdb"), read_only=True) as con:
        [sha] = [row[0] for row in con.execute("SELECT sha256 FROM photos LIMIT 1").fetchall()]
    written = ""
    for command in [*_COMMANDS, ["show", sha], ["sql", "SELECT * FROM photos"]]:
        ran = run(*(part.format(photos=os.fsdecode(odd[1])) for part in command), code=None)
        assert not raw(ran.out.decode("utf-8", "surrogateescape")), command
        assert not raw(ran.err), command
        assert "Traceback" not in ran.err, command
        written += ran.out.decode("utf-8", "surrogateescape")
    assert written.count("\\x1b]0;owned") > 10
    assert "\\u202egpj" in written


def _poison(run: Shell) -> None:
    """Hostile words in every column of text that people are shown, whatever wrote them there."""
    with duckdb.connect(str(run.folder / "catalog.duckdb")) as con:
        asked = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        for table, column, kind in con.execute(asked).fetchall():
            if column not in _FIXED and kind.startswith("VARCHAR"):
                word = HOSTILE.replace("\x00", "")
                con.execute(f'UPDATE "{table}" SET "{column}" = ?', [[word] if kind.endswith("[]") else word])


def test_json_ndjson_and_paths_give_every_name_back_byte_for_byte(odd: tuple[Shell, bytes]) -> None:
    run, folder = odd
    expected = sorted(os.path.join(folder, name) for name in NAMES)
    asked = ("search", "--after", "2023", "--limit", "50")
    assert sorted(os.fsencode(row["path"]) for row in run(*asked, "--format", "json").json) == expected
    lines = run(*asked, "--format", "ndjson").out.splitlines()
    assert sorted(os.fsencode(json.loads(line)["path"]) for line in lines) == expected
    assert sorted(run(*asked, "-0").out.split(b"\0")) == [b"", *expected]
    assert sorted(run(*asked, "--format", "paths").out.split(b"\n")) == sorted(
        b"\n".join([*expected, b""]).split(b"\n")
    )


def test_csv_gives_names_back_but_for_bytes_that_are_not_utf_8(odd: tuple[Shell, bytes]) -> None:
    run, folder = odd
    out = run("search", "--after", "2023", "--limit", "50", "--format", "csv").text
    paths = [row["path"] for row in csv.DictReader(io.StringIO(out, newline=""))]
    expected = [os.path.join(folder, name).decode("utf-8", "surrogateescape") for name in NAMES]
    assert sorted(paths) == sorted(path.encode("utf-8", "backslashreplace").decode() for path in expected)


def test_names_that_look_like_options_are_files_after_two_dashes(odd: tuple[Shell, bytes]) -> None:
    run, folder = odd
    for name in (b"-rf.jpg", b"--help.jpg"):
        path = os.fsdecode(os.path.join(folder, name))
        assert run("show", "--format", "json", "--", path).json["files"][0]["path"] == path


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen |= {(tag, name) for name, _ in attributes} | {(tag, "")}


def test_a_page_escapes_every_field(tmp_path: Path) -> None:
    tame, wild = (_page(tmp_path, word) for word in ("word", HOSTILE))
    assert tame.seen == wild.seen
    assert not {tag for tag, _ in wild.seen} & {"script", "iframe", "object", "form", "base"}


def _page(tmp_path: Path, word: str) -> Tags:
    name = word.replace("\x00", "").replace("/", " ")
    photo = PhotoRow("a" * 64, 1, f"/{name}/{name}.jpg", 1, 1, 1, word, None, word, taken_source=word, root=word)
    reason = Reason("text", 1, 1.0, (word,), (word,), (word,), word, why=word)
    hit = Hit(rank=1, score=1.0, photo=photo, reasons=(reason,), match=0.5, kept=True)
    path = tmp_path / "sheet.html"
    write_sheet(path, word, [hit], lambda _: tmp_path / "none.jpg")
    page = path.read_text()
    assert not raw(page)
    assert not re.search(r"<script|<[^>]* onload=x", page)
    tags = Tags()
    tags.feed(page)
    return tags


def test_what_is_no_file_and_what_is_huge_costs_nothing(run: Shell, tmp_path: Path) -> None:
    """Pipes, sockets, links in circles and to devices are left alone; a sparse file is refused unread."""
    folder = tmp_path / "photos"
    folder.mkdir()
    draw(1).save(folder / "sound.jpg")
    os.link(folder / "sound.jpg", folder / "hard link.jpg")
    os.mkfifo(folder / "pipe.jpg")
    os.symlink(".", folder / "loop")
    os.symlink("self.jpg", folder / "self.jpg")
    os.symlink("/dev/zero", folder / "zero.jpg")
    os.symlink("sound.jpg", folder / "link.jpg")
    with open(folder / "sparse.jpg", "wb") as file:
        file.truncate(1 << 42)
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(folder)  # the name of a socket may have a hundred characters only
        try:
            listening.bind("socket.jpg")
        finally:
            os.chdir(here)
        report = run.scan(folder, code=1)
    assert (report["found"], report["failed"]) == (3, 1)
    [failure] = run("failures", "--format", "json").json
    assert (os.path.basename(failure["path"]), failure["code"]) == ("sparse.jpg", "over_memory")
    assert "4,398,047 MB" in failure["message"]
    assert run.rows("SELECT count(*) FROM ledger WHERE step = 'hash' AND status = 'done'") == [(1,)]
