"""`photoindex dupes review`, on a terminal: each key is a decision that lasts, whatever ends the review."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from conftest import Shell, draw
from terminal import on_terminal
from test_preview import with_sixel

PROMPT = b"q quit: "


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups: twin.jpg and its copy, and large.jpg in three qualities."""
    folder = tmp_path_factory.mktemp("review") / "photos"
    folder.mkdir()
    draw(2).resize((800, 600)).save(folder / "twin.jpg")
    shutil.copyfile(folder / "twin.jpg", folder / "twin (1).jpg")
    large = draw(1).resize((1200, 900))
    large.save(folder / "large.jpg", quality=97)
    large.resize((600, 450)).save(folder / "medium.jpg", quality=85)
    large.resize((400, 300)).save(folder / "small.jpg", quality=85)
    return folder


def typing(*keys: str, first: Callable[[bytes], bytes] = lambda _: b"") -> Callable[[bytes], bytes]:
    """Types one of these at each question. `first`: what the terminal itself answers."""
    left = [key.encode() for key in keys]

    def answer(unanswered: bytes) -> bytes:
        if PROMPT not in unanswered:
            return first(unanswered)
        return first(unanswered) + (left.pop(0) if left else b"\x04")  # Ctrl-D, so that no test waits for ever

    return answer


def review(run: Shell, *keys: str, options: tuple[str, ...] = ("--no-pictures",), code: int = 0) -> str:
    return on_terminal(run, "dupes", "review", *options, answer=typing(*keys), code=code, keys=True)


TWINS, SIZES = ["twin (1).jpg", "twin.jpg"], ["large.jpg", "medium.jpg", "small.jpg"]


def decisions(run: Shell) -> list[Any]:
    """Each with its names."""
    made = run("dupes", "decisions", "list", "--format", "json").json
    return [(one["decision"], sorted(Path(path).name for path in one["paths"])) for one in made]


def test_each_key_settles_a_group_for_good(found: Shell) -> None:
    written = review(found, "a", "2")
    assert "1 of 2  identical: 2 files" in written
    assert "2 of 2  re-encoded: 3 files" in written
    assert "By the rules 1 stays: 1200x900 pixels, not 600x450" in written
    assert "2 groups decided, 0 left." in written
    assert decisions(found) == [("keep-all", TWINS), ("keep-this", SIZES)]
    assert found("dupes", "--decided", "--format", "json").json[1]["keeper"].endswith("medium.jpg")
    assert found("dupes", "--format", "json").json == []
    assert "No duplicates that are not decided" in review(found)
    assert "You decided keep-this about this" in review(found, "s", "q", options=("--no-pictures", "--decided"))


def test_a_group_is_skipped_and_the_rest_left_for_another_time(found: Shell) -> None:
    assert "1 group decided, 1 skipped, 0 left." in review(found, "s", "n")
    assert decisions(found) == [("not-duplicates", SIZES)]
    assert "0 groups decided, 1 left." in review(found, "q")
    assert "0 groups decided, 1 left." in review(found, "\x04")


def test_the_last_answer_is_undone_with_what_it_replaced(found: Shell, pictures: Path) -> None:
    found("dupes", "decide", "keep-all", pictures / "large.jpg", pictures / "small.jpg")
    before = found("dupes", "decisions", "export").json
    written = review(found, "u", "s", "1", "u", "u", "u", "q")
    assert "That was the last group." in written
    assert written.count("There is nothing to undo.") == 2
    assert written.count("1 of 2  identical") == 2
    assert written.count("2 of 2  re-encoded") == 2
    assert found("dupes", "decisions", "export").json == before


def test_ctrl_c_leaves_what_was_answered(found: Shell) -> None:
    written = review(found, "a", "\x03", code=130)
    assert "1 group decided, 1 left." in written
    assert "Traceback" not in written
    assert decisions(found) == [("keep-all", TWINS)]


def test_what_cannot_be_answered_is_said_and_asked_again(found: Shell) -> None:
    written = review(found, "n", "2", "0", "x", "\x1b[A", "1", "q")
    assert "These files hold the same bytes" in written
    assert "There is no 2 here." in written
    assert "There is no 0 here." in written
    assert written.count("Press one of these keys.") == 2
    assert decisions(found) == [("keep-this", TWINS)]


def test_numbers_of_two_digits_end_with_enter(found: Shell, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(11):
        draw(5).resize((800, 600)).save(folder / f"{n:02}.jpg", quality=60 + n)
    found.scan(folder)
    only = ("--no-pictures", "--in", str(folder))
    # One question, one answer: rubbing out the only digit asks again.
    written = review(found, "1\x7f", "1\r", "u", "1\x1b", "19", "11", options=only)
    for told in ("\n  1 is kept\n", "There is no 19 here.", "\n  11 is kept\n"):
        assert told in written
    ((kind, names),) = decisions(found)
    assert (kind, len(names)) == ("keep-this", 11)
    (group,) = found("dupes", "--in", folder, "--decided", "--format", "json").json
    named = re.search(r"(?<!\d)11  (?:\x1b\[[0-9;]*m)*(\d\d\.jpg)", written)
    assert named
    assert group["keeper"].endswith(named[1])


def test_a_library_that_is_being_written_is_asked_about_again(found: Shell) -> None:
    with FileLock(found.folder / "writer.lock"):
        written = review(found, "a", "q")
    assert "0 groups decided, 2 left." in written
    assert "try again" in written
    assert decisions(found) == []


def test_pictures_are_shown_where_the_terminal_can(found: Shell) -> None:
    written = on_terminal(found, "dupes", "review", answer=typing("q", first=with_sixel), keys=True, pictures=True)
    assert re.search(r"\x1bP[0-9;]*q", written)
    written = on_terminal(found, "dupes", "review", answer=typing("q"), keys=True)
    assert "This terminal shows no pictures; o shows a group in the browser." in written
    assert "twin.jpg" in written


def test_eighty_columns_are_enough(found: Shell, tmp_path: Path) -> None:
    folder = tmp_path / ("a folder of a very long name " * 3)
    folder.mkdir()
    for size in (900, 600):
        draw(6).resize((size, size)).save(folder / f"{'a very long name of a picture ' * 4}{size}.jpg", quality=90)
    found.scan(folder)
    written = review(found, "s", "s", "s")
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("…" in line for line in lines)


def test_without_a_terminal_it_says_what_else_there_is(found: Shell) -> None:
    told = found("dupes", "review", code=2).err
    assert "asks on a terminal" in told
    assert "`photoindex dupes decide`" in told
    with found.start("dupes", "review") as process:
        assert b"`photoindex dupes decide`" in process.communicate()[1]
    assert process.returncode == 2
    assert isinstance(process, subprocess.Popen)


def test_filters_are_those_of_dupes(found: Shell, tmp_path: Path) -> None:
    assert "1 of 1  identical" in review(found, "q", options=("--no-pictures", "--tier", "identical"))
    assert "No duplicates" in review(found, options=("--no-pictures", "--in", str(tmp_path)))
    assert "No tier is called" in review(found, options=("--tier", "sharp"), code=2)


def test_of_the_same_bytes_it_says_which_file_stays(found: Shell) -> None:
    written = review(found, "1", options=("--no-pictures", "--tier", "identical"))
    plain = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).split())
    assert "twin.jpg and lets go of the same bytes elsewhere: its name is not that of a copy" in plain
    assert re.search(r"1 is kept: \S*/twin\.jpg", plain)
