"""What a model takes in memory: as its block says, or estimated from its files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from photoindex.models.spec import InstalledModel, MemoryNeeds, ModelSpec, Task

PRECISIONS = ("f32", "bf16", "f16")
_KEYS = ("weights_mb", "picture_mb")
_MB = 1_000_000
# Bytes that a picture takes in float32, where a block does not say: as much as the task's usual models.
_PICTURE: Mapping[Task, int] = {"embedding": 20 * _MB, "tags": 200 * _MB, "ocr": 900 * _MB, "faces": 200 * _MB}
_PICTURE_ELSE = 500 * _MB
_WEIGHTS = (".safetensors", ".onnx", ".onnx.data", ".pt", ".pth", ".bin", ".pdiparams")


def read_memory(block: Mapping[str, Any], fail: Callable[[str, str], NoReturn]) -> MemoryNeeds:
    """`memory = { weights_mb = N, picture_mb = { f32 = A, bf16 = B, f16 = C } }`; a precision left out takes f32's.

    `fail(key, what is wrong)` reports a mistake.
    """
    for key in block:
        if key not in _KEYS:
            fail(f"memory.{key}", f"unknown key; there are {', '.join(_KEYS)}")
    for key in _KEYS:
        if key not in block:
            fail(f"memory.{key}", "is missing")
    weights = _bytes("memory.weights_mb", block["weights_mb"], fail)
    given = block["picture_mb"]
    if not isinstance(given, dict):
        fail("memory.picture_mb", "must be a table of megabytes by precision, such as { f32 = 20, bf16 = 10 }")
    for name in given:
        if name not in PRECISIONS:
            fail(f"memory.picture_mb.{name}", f"no such precision; there are {', '.join(PRECISIONS)}")
    if "f32" not in given:
        fail("memory.picture_mb.f32", "is missing")
    return MemoryNeeds(weights, {name: _bytes(f"memory.picture_mb.{name}", mb, fail) for name, mb in given.items()})


def memory_of(installed: InstalledModel) -> MemoryNeeds:
    """What the model's block says; without that an estimate from its weight files and its task, on the safe side."""
    if installed.spec.memory is not None:
        return installed.spec.memory
    if installed.base is not None:  # a zero-shot tagger: a vector for each tag
        return MemoryNeeds(4 * _MB, {"f32": _MB})
    picture = _PICTURE.get(installed.spec.task, _PICTURE_ELSE)
    return MemoryNeeds(_weights_on_disk(installed.spec, installed.path), {"f32": picture})


def _weights_on_disk(spec: ModelSpec, folder: Path) -> int:
    """Bytes of the files that hold weights."""
    named = {name for file in spec.files for name in file.unpack or (file.name,)}
    files = [folder / name for name in named] if named else [*folder.iterdir()]
    return sum(path.stat().st_size for path in files if path.name.endswith(_WEIGHTS) and path.is_file())


def _bytes(key: str, megabytes: object, fail: Callable[[str, str], NoReturn]) -> int:
    if isinstance(megabytes, bool) or not isinstance(megabytes, int | float) or not 0 <= megabytes < math.inf:
        fail(key, f"must be a number of megabytes, not {megabytes!r}")
    return round(megabytes * _MB)
