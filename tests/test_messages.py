"""What is said to a person on stderr: names that are misspelt, and lines that do not run into one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Shell
from photoindex.errors import LibraryNotFound, ProfileGone, UnknownModel, UnknownProfile, UnknownStep
from photoindex.models.registry import load_registry
from photoindex.render.text import hung, width_of
from photoindex.steps import STEPS
from photoindex.store.library import Library
from terminal import on_terminal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fits in one line", "fits in one line"),
        ("head: one two three four", "head: one two\n      three four"),
        ("head: run `a b c d` now", "head: run\n      `a b c d`\n      now"),
        ("head: (`a b c`) now", "head: (`a b c`)\n      now"),
        ("head: `a command of many words` x", "head: `a command\n      of many\n      words` x"),
        ("head: averyverylongword end", "head:\n      averyverylongword\n      end"),
        ("averyverylongwordofall end", "averyverylongwordofall\n      end"),
        ("head: 日本語日 日本 end", "head: 日本語日\n      日本 end"),
    ],
)
def test_lines_hang_and_commands_stay_whole(text: str, said: str) -> None:
    assert hung(text, 16, 6) == said


def test_a_hung_text_has_all_words_and_is_never_wider() -> None:
    text = "The weights of one are not installed. Run `photoindex models pull one`, then look `again at it`. " * 3
    for width in range(30, 120):
        lines = hung(text, width, 4).splitlines()
        assert max(map(width_of, lines)) <= width
        assert [word for line in lines for word in line.split()] == text.split()


def test_what_is_said_on_a_terminal_hangs_and_in_a_pipe_does_not(run: Shell) -> None:
    run.home.mkdir()
    lines = on_terminal(run, "models", "show", "nonsense", code=17).splitlines()
    assert lines[0].startswith("photoindex: No model is called 'nonsense'. There are: ")
    assert len(lines) > 3
    assert all(line.startswith(" " * 12) and len(line) <= 80 for line in lines[1:])
    assert len(run("models", "show", "nonsense", code=17).err.splitlines()) == 1


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("siglip2-b32-256", "Did you mean siglip2-b-32-256"),
        ("Blip-Caption-Base", "Did you mean blip-captions-base?"),
        ("buffalo", "Did you mean insightface-buffalo-l or insightface-buffalo-s?"),
        ("yunet", "Did you mean yunet-sface? `photoindex models list` shows all."),
        ("nonsense", "There are: openclip-vit-h-14, "),
        ("-", "There are: "),
    ],
)
def test_a_misspelt_model_is_answered_with_what_was_meant(run: Shell, typed: str, meant: str) -> None:
    for command in (("show",), ("pull",), ("verify",), ("path",), ("remove",)):
        assert meant in run("models", *command, "--", typed, code=17).err


def test_misspelt_profiles_and_steps_are_answered_with_what_was_meant() -> None:
    profiles = load_registry().profiles
    assert str(UnknownProfile("fst", profiles)) == "No profile is called 'fst'. Did you mean fast?"
    assert str(UnknownProfile("q", profiles)) == "No profile is called 'q'. There are: quality, fast, permissive."
    assert str(UnknownStep("face", STEPS)) == "No step is called 'face'. Did you mean faces?"
    assert "There are: metadata, place, " in str(UnknownStep("", STEPS))
    assert str(ProfileGone("fst", profiles)).endswith("or a --profile of: quality, fast, permissive.")
    assert issubclass(ProfileGone, UnknownProfile)
    assert UnknownModel("x", ()).exit_code == 17


def test_a_file_that_is_there_but_not_in_the_library_is_told_apart_from_a_misspelt_one(
    scanned: Shell, photos: Path
) -> None:
    said = scanned("show", photos / "beach.webp", code=24).err
    assert "beach.webp is there, but not in this library. `photoindex scan FOLDER`" in said
    assert "No photo matches" in scanned("show", photos / "bech.webp", code=24).err


def test_the_demo_fills_no_folder_that_holds_something(run: Shell, photos: Path) -> None:
    before = sorted(photos.rglob("*"))
    for folder in (photos, photos / "beach.webp"):
        assert "is there already, and no empty folder" in run("demo", "--folder", folder, code=2).err
    assert sorted(photos.rglob("*")) == before


def test_a_file_that_is_not_there_is_named_once(scanned: Shell, tmp_path: Path) -> None:
    missing = tmp_path / "absent.file"
    for command, code in ((("eval", missing), 2), (("categories", "import", missing), 21)):
        said = scanned(*command, code=code).err
        assert said.count("absent.file") == 1
        assert "No such file or directory" in said
        assert "Errno" not in said


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("show", "~nobody-at-all/a.jpg"), 24),
        (("forget", "--root", "~nobody-at-all"), 2),
        (("status", "--library", "~nobody-at-all/library"), 10),
        (("models", "import", "~nobody-at-all"), 26),
        (("scan", "~nobody-at-all"), 15),
        (("scan", "photos", "--log-file", "~nobody-at-all/x.log"), 30),
        (("search", "format:gif", "--sheet", "~nobody-at-all/x.html"), 2),
    ],
)
def test_the_home_of_a_user_there_is_not_is_a_name_like_any_other(
    scanned: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert "~nobody-at-all" in scanned(*command, code=code).err


def test_python_may_name_a_library_as_text(tmp_path: Path) -> None:
    with Library.writing(str(tmp_path / "library")) as library:
        assert library.folder == tmp_path / "library"
    assert Library.open(str(tmp_path / "library")).queries.status().files == 0
    with pytest.raises(LibraryNotFound):
        Library.open(str(tmp_path / "none"))


def test_tags_apply_says_that_no_photo_was_tagged_yet(scanned: Shell) -> None:
    ran = scanned("tags", "apply")
    assert (ran.text, ran.err.count("No photo was tagged yet")) == ("", 1)
    assert scanned("tags", "apply", "--format", "json").json == []
