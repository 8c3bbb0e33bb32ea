"""Weights are data: nothing that comes with a model is run, and nothing in the program could run it."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from photoindex.runtimes.openclip import CannotBuild

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))
_NEVER = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


class Attack:
    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.made,)


def test_a_ram_plus_checkpoint_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    from photoindex.runtimes.ram_plus import load_ram_plus

    checkpoint = tmp_path / "ram_plus.pth"
    checkpoint.write_bytes(pickle.dumps({"model": Attack(tmp_path / "attacked")}))
    with pytest.raises(CannotBuild, match="cannot be read"):
        load_ram_plus(checkpoint)
    assert not (tmp_path / "attacked").exists()


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_code_reads_pickles_or_runs_text(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    assert not re.search(r"trust_remote_code|allow_pickle\s*=\s*True|weights_only\s*=\s*False|shell\s*=\s*True", source)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & _NEVER
    for name, call in calls(tree):
        assert name not in {"eval", "exec", "os.system", "yaml.load"}
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name in {"torch.load", "open_clip.create_model"}:
            assert options.get("weights_only") == "True", f"line {call.lineno}"
