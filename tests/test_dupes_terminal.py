"""What `photoindex dupes` shows a person: its list on a terminal, the questions of its review, and its help."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from conftest import Shell, draw
from photoindex.cli.dupes_options import _TIERS
from photoindex.pure.keep import DEFAULT_RULES
from photoindex.pure.tiers import TIERS
from photoindex.records import Group, Member, PhotoRow
from photoindex.render.review import question
from terminal import on_terminal
from test_dupes_review import review

SUB_COMMANDS = ("list", "review", "plan", "apply", "decide", "decisions")


@pytest.fixture
def copies(run: Shell, tmp_path: Path) -> Shell:
    """A picture and a small one of it, in folders of long names, one of them of wide letters."""
    for folder, width in ((f"a long name {'of a folder ' * 6}", 1200), ("写真" * 20, 300)):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        draw(1).resize((width, width * 3 // 4)).save(tmp_path / "photos" / folder / "picture.jpg", quality=90)
    run.scan(tmp_path / "photos")
    return run


def _lines(written: str) -> list[str]:
    return [line for line in re.sub(r"\x1b\[[0-9;]*m", "", written).split("\n") if line]


@pytest.mark.parametrize("columns", [80, 44])
def test_a_list_stays_in_its_columns(copies: Shell, columns: int) -> None:
    heading, *rest = _lines(on_terminal(copies, "dupes", columns=columns).partition("photoindex:")[0])
    assert heading.startswith("1. re-encoded: 2 files")
    assert len(rest) > 4
    assert all(line.startswith("   ") and not line.endswith(" ") for line in rest)
    assert all(cell_len(line) <= columns for line in [heading, *rest])
    keep = next(at for at, line in enumerate(rest) if line.startswith("   keep"))
    member = rest[keep + 1 : next(at for at, line in enumerate(rest) if line.startswith("   re-encoded"))]
    column = 5 if columns == 44 else rest[keep].index("x900  ") + len("x900  ")
    assert member
    assert all(line.startswith(" " * column) and line[column] != " " for line in member)


def test_what_is_no_terminal_gets_a_line_a_file(copies: Shell) -> None:
    heading, *members = copies("dupes").text.splitlines()
    assert heading.startswith("1. re-encoded: 2 files")
    assert len(members) == 2


def test_a_copy_of_a_folder_stays_in_its_columns(copies: Shell, tmp_path: Path) -> None:
    given = tmp_path / ("a card " * 12).strip()
    given.mkdir()
    draw(1).resize((600, 450)).save(given / "picture.jpg")
    found = on_terminal(copies, "dupes", "--against", str(tmp_path / "photos"), str(given)).partition("photoindex:")[0]
    first, *rest = _lines(found)
    assert re.match(r"re-encoded {10}\S", first)
    assert rest
    assert all(re.match(r" {20}\S", line) for line in rest)


def test_help_names_the_sub_commands_and_the_defaults(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = run("dupes", "--help").text
    usage = r"Usage: (.*photoindex) dupes \[OPTIONS\] \[FOLDER\]\.\.\.\n +\1 dupes COMMAND \[ARGS\]\.\.\.\n"
    assert re.match(usage, text)
    for name in SUB_COMMANDS:
        assert re.search(rf"^  {name} +\w", text.partition("Commands:")[2], re.MULTILINE), name
        assert f"photoindex dupes {name} " in run("dupes", name, "--help").text.splitlines()[0]
    shown = " ".join(text.split())
    assert f"[default: ({', '.join(DEFAULT_RULES.split(','))})]" in shown
    assert f"Only these tiers: {_TIERS}, all." in shown
    assert _TIERS.split(", ") == [*TIERS]
    assert "Commands:" not in run("dupes", "list", "--help").text


def _group(contents: int) -> Group:
    row = PhotoRow("", 0, "/p.jpg", 1, 800, 600, "JPEG", None, None)
    members = [Member(replace(row, photo=f"{n:064}"), "keeper" if n == 0 else "re-encoded") for n in range(contents)]
    return Group("0" * 16, "re-encoded", tuple(members), (), "larger")


@pytest.mark.parametrize(
    ("contents", "said"),
    [(1, "1 keep one "), (2, "1-2 keep it "), (9, "1-9 keep it "), (10, "1-10 + Enter "), (30, "1-24 + Enter ")],
)
def test_the_question_says_what_ends_a_number(contents: int, said: str) -> None:
    asked = question(_group(contents))
    assert asked.startswith(said)
    assert len(asked) < 80
    assert ("n no duplicates" in asked) is (contents > 1)


def test_a_review_tells_of_what_is_gone_and_takes_enter_for_no_answer(copies: Shell, tmp_path: Path) -> None:
    for path in (tmp_path / "photos").glob("a long*/*"):
        path.unlink()
    written = review(copies, "\rs", "q")
    assert "not there any more" in written
    assert "Press one of these keys" not in written
    assert written.count(question(_group(2))) == 1
    assert "0 groups decided, 1 skipped, 0 left." in written
