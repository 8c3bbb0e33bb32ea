"""What models.toml says of a model, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Task = Literal["embedding", "tags", "ocr", "faces", "captions"]
ZERO_SHOT = "zero-shot"  # the architecture of tags that build on the vectors of an embedding model


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. `url` is complete; `sha256` and `size` (bytes) are checked before it is used.

    `unpack` says that the file is a zip archive whose listed members are the model. `url` is empty for the files
    of a Python package.
    """

    name: str
    url: str
    sha256: str | None
    size: int | None
    unpack: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryNeeds:
    """What a model takes, in bytes.

    `weights`: those that a scan uses, as float32 (of a model with a text tower the image tower alone); `picture`: the
    most that one picture of a batch takes in between, by precision (f32, bf16, f16).
    """

    weights: int
    picture: Mapping[str, int]

    def for_picture(self, precision: str) -> int:
        return self.picture.get(precision, self.picture["f32"])


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A block of models.toml.

    `architecture` is the task's own word for what to build (an OpenCLIP model name, `ppocr`, `scrfd+arcface`, ...);
    `package` names the installed Python package that already holds the weights, instead of files to fetch;
    `path` a folder on this disk that does. `options` are the architecture's own settings: `pretrained` for OpenCLIP,
    `det`, `rec` and `cls` name the files of OCR and face models, `embedding`, `vocabulary` (an absolute path),
    `template` and `scoring` belong to zero-shot tags;
    `input_size` in pixels; `width` of the vectors; `licence` an SPDX id or a sentence; `memory` where its block says
    what it takes (`models.memory.memory_of` estimates it otherwise); `about_mb`: about how many megabytes its files
    take, where the exact size of one is not published.
    """

    name: str
    task: Task
    architecture: str
    licence: str
    commercial: bool
    files: tuple[ModelFile, ...] = ()
    package: str | None = None
    path: Path | None = None
    source: str = ""
    revision: str = ""
    input_size: int | None = None
    width: int | None = None
    runtimes: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    memory: MemoryNeeds | None = None
    about_mb: int | None = None


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model whose weights are on this machine.

    `path`: the folder of its weights. `derived`: where exported and compiled forms are kept; the same folder,
    except where that belongs to a Python package or to the user. `base`: the model a zero-shot tagger rests on.
    """

    spec: ModelSpec
    path: Path
    derived_dir: Path | None = None
    base: InstalledModel | None = None

    @property
    def derived(self) -> Path:
        return self.derived_dir or self.path
