"""The small OpenCLIP model of tests/tiny_clip, prepared once for all test files that name this one a plugin."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from photoindex.models.install import locate
from photoindex.models.registry import load_registry
from photoindex.models.spec import InstalledModel
from photoindex.steps.forms import make_forms

TESTS = Path(__file__).parent
sys.path.append(str(TESTS.parent / "scripts"))  # scenes.py draws the pictures that the model knows

NO_NETWORK = """
import socket

def refuse(*_: object, **__: object) -> None:
    raise OSError("this test has no network")

socket.socket.connect = socket.create_connection = refuse
"""


@pytest.fixture(scope="session")
def clip_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, InstalledModel]:
    """tiny-clip and its zero-shot tagger as the registry finds them, their forms made without a network."""
    home = tmp_path_factory.mktemp("models")
    registry = load_registry(TESTS / "tiny_clip" / "models.toml")
    models = {name: locate(registry, registry.model(name), home) for name in ("tiny-clip", "zero-shot-tiny-clip")}
    (home / "sitecustomize.py").write_text(NO_NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(home))
        make_forms(models["tiny-clip"])
    return models


@pytest.fixture(scope="session")
def clip(clip_models: dict[str, InstalledModel]) -> InstalledModel:
    return clip_models["tiny-clip"]
