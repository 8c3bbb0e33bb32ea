"""The small OpenCLIP model of tests/tiny_clip, prepared once for all test files that name this one a plugin."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from conftest import prepared_tiny_clip
from photoindex.models.install import locate
from photoindex.models.registry import load_registry
from photoindex.models.spec import InstalledModel

TESTS = Path(__file__).parent
sys.path.append(str(TESTS.parent / "scripts"))  # scenes.py draws the pictures that the model knows


@pytest.fixture(scope="session")
def clip_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, InstalledModel]:
    """tiny-clip and its zero-shot tagger as the registry finds them, with their forms."""
    home = tmp_path_factory.mktemp("models")
    shutil.copytree(prepared_tiny_clip(), home, dirs_exist_ok=True)
    registry = load_registry(TESTS / "tiny_clip" / "models.toml")
    return {name: locate(registry, registry.model(name), home) for name in ("tiny-clip", "zero-shot-tiny-clip")}


@pytest.fixture(scope="session")
def clip(clip_models: dict[str, InstalledModel]) -> InstalledModel:
    return clip_models["tiny-clip"]
