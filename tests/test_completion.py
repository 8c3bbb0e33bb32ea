"""What shells complete inside a query, as the shells themselves ask for it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Shell, shell


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, _drawn: Path) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("completion")
    with pytest.MonkeyPatch.context() as patch:
        run = shell(folder / "home", patch)
        run.scan(_drawn, code=1)
        run("categories", "add", "Animals", "dog", "cat")
        yield run


def asked(run: Shell, **variables: str) -> list[str]:
    with run.patch.context() as patch:
        patch.setattr(sys.modules["__main__"], "__package__", None)  # else the program is "python -m pytest"
        for name, value in variables.items():
            patch.setenv(name, value)
        ran = run()
    assert ran.err == ""
    return [line for line in ran.text.splitlines() if line]


def from_bash(run: Shell, *words: str) -> list[str]:
    """As bash asks: the words as it has cut them, the last one to be completed."""
    cut = {"COMP_WORDS": "\n".join(["photoindex", *words]), "COMP_CWORD": str(len(words))}
    return asked(run, _PHOTOINDEX_COMPLETE="complete_bash", **cut)


def from_fish(run: Shell, line: str) -> list[str]:
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": line}
    return asked(run, _PHOTOINDEX_COMPLETE="complete_fish", **action)


def test_fields(known: Shell) -> None:
    assert from_bash(known, "search", "ca") == ["category:", "camera:", "caption:"]
    assert from_fish(known, "photoindex search ca") == ["category:", "camera:", "caption:"]


def test_a_single_field_comes_with_values_so_that_no_space_is_put_behind_its_colon(known: Shell) -> None:
    assert from_bash(known, "search", "cam") == ["camera:", "camera:Kamera-K-1"]
    assert from_bash(known, "search", "iso") == ["iso:", "iso:1600"]


def test_bash_cuts_words_at_colons(known: Shell) -> None:
    assert from_bash(known, "search", "camera", ":", "K") == ["Kamera-K-1"]
    assert from_bash(known, "search", "camera", ":", "k") == ["kamera-K-1"]
    assert from_bash(known, "search", "camera", ":") == ["Kamera-K-1"]
    assert from_bash(known, "search", "beach", "-camera", ":", "k") == ["kamera-K-1"]


def test_shells_that_keep_the_word_whole_get_it_whole(known: Shell) -> None:
    assert from_fish(known, "photoindex search camera:kam") == ["camera:kamera-K-1"]
    assert from_fish(known, "photoindex search beach -camera:kam") == ["-camera:kamera-K-1"]
    assert from_fish(known, "photoindex similar a.jpg place:vanv") == ["place:vanves"]


def test_within_a_quoted_query_the_last_word_is_completed(known: Shell) -> None:
    assert from_bash(known, "search", "'beach (camera:k") == ["beach (camera:kamera-K-1"]
    assert from_bash(known, "search", "'camera:\"kamera k") == ['camera:"kamera k-1"']


def test_what_is_completed_is_found(known: Shell) -> None:
    (value,) = from_bash(known, "search", "camera", ":", "k")
    assert "img_0.jpg" in known("search", f"camera:{value}").text
    (place,) = from_fish(known, "photoindex search place:ile")
    assert "paris.jpg" in known("search", place).text


@pytest.mark.parametrize(
    ("field", "typed", "found"),
    [
        ("category", "an", ["animals"]),
        ("has", "g", ["gps"]),
        ("month", "ju", ["july", "june"]),
        ("is", "sq", ["square"]),
    ],
)
def test_values(known: Shell, field: str, typed: str, found: list[str]) -> None:
    assert from_bash(known, "search", field, ":", typed) == found


def test_collections(known: Shell) -> None:
    known("collections", "create", "holiday")
    known("collections", "create", "my trip")
    assert from_bash(known, "search", "in", ":") == ["holiday"]
    assert from_bash(known, "search", "'in:\"m") == ['in:"my trip"']


def test_options(known: Shell) -> None:
    assert from_bash(known, "search", "--camera", "ka") == ["kamera-K-1"]
    assert from_bash(known, "scan", "--profile", "f") == ["fast"]
    assert "yunet-sface" in from_bash(known, "models", "pull", "yu")
    assert "--preview" in from_bash(known, "search", "--pre")


def test_errors_are_silent(run: Shell) -> None:
    assert from_bash(run, "search", "camera", ":", "k") == []  # there is no library
    assert from_bash(run, "search", "nonsense", ":", "k") == []
    run.folder.mkdir(parents=True)
    (run.folder / "catalog.duckdb").write_bytes(b"not a catalog")
    assert from_bash(run, "search", "tag", ":", "d") == []


def test_bash_itself(known: Shell) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    script = """
    eval "$(_PHOTOINDEX_COMPLETE=source_bash photoindex)"
    COMP_WORDS=(photoindex search camera : k); COMP_CWORD=4
    _photoindex_completion photoindex
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PHOTOINDEX_HOME": str(known.home)}
    ran = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True, env=env, check=True)
    assert (ran.stdout, ran.stderr) == ("kamera-K-1\n", "")


def test_completing_loads_nothing_heavy(known: Shell) -> None:
    script = """
import sys
from photoindex.cli import main
sys.argv = ["photoindex"]
try:
    main()
except SystemExit:
    print(*sys.modules)
"""
    env = {**os.environ, "PHOTOINDEX_HOME": str(known.home), "_PHOTOINDEX_COMPLETE": "complete_bash"}
    env |= {"COMP_WORDS": "photoindex\nsearch\ncamera\n:\nk", "COMP_CWORD": "4"}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    value, modules = ran.stdout.splitlines()
    assert value == "kamera-K-1"
    assert {"torch", "numpy", "pyarrow", "lancedb", "lance", "PIL", "rich"}.isdisjoint(modules.split())
