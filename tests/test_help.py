"""What --help says, of every command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from conftest import Shell, shell
from photoindex.cli.app import app
from photoindex.cli.plain_help import _first_sentence
from photoindex.pure.keep import DEFAULT_RULES


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, (*words, name))


def _unspaced(text: str) -> str:
    """Lines are broken at blanks and behind hyphens."""
    return "".join(text.split())


@pytest.fixture(scope="module")
def helps(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], tuple[Any, str]]:
    """Each command and what its --help prints on a terminal of 80 columns."""
    with pytest.MonkeyPatch.context() as patch:
        run = shell(tmp_path_factory.mktemp("home"), patch)
        patch.setenv("COLUMNS", "80")
        every = dict(_commands(typer.main.get_command(app)))
        assert len(every) > 50
        return {words: (command, run(*words, "--help").text) for words, command in every.items()}


def test_no_help_is_cut_or_wider_than_80_columns(helps: dict[tuple[str, ...], tuple[Any, str]]) -> None:
    for words, (_, text) in helps.items():
        assert max(map(len, text.splitlines())) <= 80, words
        assert "…" not in text, words
        assert "..." not in text.partition("Commands:")[2], words


def test_the_help_of_a_group_has_the_whole_first_sentence_of_each_command(
    helps: dict[tuple[str, ...], tuple[Any, str]],
) -> None:
    for words, (command, text) in helps.items():
        if "Commands:" not in text:
            continue
        listed = _unspaced(text.partition("Commands:")[2])
        for name, below in command.commands.items():
            assert below.help, (words, name)
            assert _unspaced(name + _first_sentence(below.help)) in listed, (words, name)


def test_help_says_all_of_every_option_and_no_type_of_python(
    helps: dict[tuple[str, ...], tuple[Any, str]],
) -> None:
    for words, (command, text) in helps.items():
        spread = _unspaced(text)
        if words != ("dupes",):  # it shows the help of `dupes list`
            for param in command.params:
                assert _unspaced(param.help or "") in spread, (words, param.name)
        assert not re.search(r"<[a-z]|\{|\[\[|\blist\[|\brange\b", text), words


def test_usage_lines_name_what_may_be_left_out_or_repeated(
    helps: dict[tuple[str, ...], tuple[Any, str]],
) -> None:
    for words, usage in {
        ("scan",): " scan [OPTIONS] FOLDER...",
        ("similar",): " similar [OPTIONS] PHOTO [QUERY]...",
        ("models", "path"): " models path [OPTIONS] [NAME]",
        ("categories", "remove"): " categories remove [OPTIONS] CATEGORY [TAG]...",
    }.items():
        assert f"{_unspaced(usage)}{_unspaced(helps[words][0].help)}" in _unspaced(helps[words][1]), words


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Show it. And more.", "Show it."),
        ("Show it\nin two lines. More.\n\nA paragraph.", "Show it in two lines."),
        ("See docs/query.md for all.", "See docs/query.md for all."),
        ("Without an end", "Without an end"),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, first: str) -> None:
    assert _first_sentence(text) == first


def test_dupes_names_the_rules_that_decide_by_default(helps: dict[tuple[str, ...], tuple[Any, str]]) -> None:
    assert f"[default:({DEFAULT_RULES})]" in _unspaced(helps["dupes", "list"][1])


def test_what_is_missing_is_called_as_in_the_usage(run: Shell) -> None:
    assert "Missing argument 'FOLDER'" in run("scan", code=2).err
    assert "Missing argument 'NAME'" in run("models", "show", code=2).err
