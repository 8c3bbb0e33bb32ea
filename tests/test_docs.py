"""What the documentation names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = Path(__file__).parents[1] / "docs"


def functions(file: Path) -> set[str]:
    found = ast.walk(ast.parse(file.read_text()))
    return {node.name for node in found if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def named(line: str) -> list[tuple[str, str]]:
    """The tests that a row names, each as a file and a function (empty for all of the file); `...` stands for more. A
    row names a file once, and may leave it out or shorten it after that."""
    found, file = [], ""
    for name in re.findall(r"`((?:\.\.\.|test_)[\w.:/ ]*)`", line):
        place, _, test = name.partition("::") if "::" in name else name.partition(": ")
        if place.endswith(".py"):
            file = place
        elif not test:
            test = place
        found.append((file, test))
    return found


def pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, name.split("..."))) + "$")


ROWS = [
    pytest.param(line, id=f"{doc.name}:{number}")
    for doc in sorted(DOCS.glob("*.md"))
    for number, line in enumerate(doc.read_text().splitlines(), 1)
    if named(line)
]


@pytest.mark.parametrize("line", ROWS)
def test_every_test_that_a_page_names_is_there(line: str) -> None:
    for file, test in named(line):
        files = [path for path in TESTS.glob("test_*.py") if pattern(file or "...").match(path.name)]
        assert files, f"no file {file}"
        if test:
            assert any(pattern(test).match(name) for path in files for name in functions(path)), f"{file}::{test}"


def test_pages_name_tests_in_each_way_that_is_understood() -> None:
    assert len(ROWS) > 40
    row = "| x | `test_a.py::test_b`, `..._c.py: test_d_...`, `test_e`, `...f_g` and `test_h.py` (`no_test`) |"
    assert named(row) == [
        ("test_a.py", "test_b"),
        ("..._c.py", "test_d_..."),
        ("..._c.py", "test_e"),
        ("..._c.py", "...f_g"),
        ("test_h.py", ""),
    ]
    assert pattern("test_a_...z").match("test_a_and_z")
    assert not pattern("test_a_...z").match("test_a_and_z_too")
