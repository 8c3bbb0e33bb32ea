"""The house rules that a machine can check: imports point down, and --help loads nothing heavy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "photoindex"
LAYERS = [
    "errors records conditions events quiet durable",
    "config logfile",
    "media models runtimes store pure",
    "steps classifiers",
    "scan search dupes people saved exporting",
    "doctor evaluate keeping",
    "render web demo",
    "cli",
    "__main__ __init__",
]
LAYER = {name: depth for depth, names in enumerate(LAYERS) for name in names.split()}
HEAVY = {"torch", "lancedb", "lance", "duckdb", "open_clip", "transformers", "paddleocr", "rapidocr", "insightface"} | {
    "onnxruntime",
    "openvino",
    "cv2",
    "numpy.linalg.lapack_lite",
    "pyarrow",
    "PIL",
    "pydantic",
    "importlib.metadata",
}

COMMANDS = ["", "scan", "search", "similar", "dupes", "status", "show", "failures", "doctor", "bench", "demo"]
COMMANDS += [
    "models pull",
    "runs",
    "runs show",
    "categories add",
    "collections add",
    "export",
    "random",
    "sql",
    "backup",
    "restore",
    "check",
    "compact",
    "forget",
]


def imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "photoindex":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("photoindex."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("photoindex."))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    script = (
        "import sys\nfrom photoindex.cli import main\n"
        f"sys.argv = ['photoindex', *{command.split()}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage: " in ran.stdout
    assert not HEAVY & set(ran.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: p.relative_to(SRC).as_posix())
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(SRC).parts[0].removesuffix(".py")
    wrong = [other for other in imported_rooms(path) if other != room and LAYER[other] >= LAYER[room]]
    assert not wrong, f"{room} may not import {wrong}"
