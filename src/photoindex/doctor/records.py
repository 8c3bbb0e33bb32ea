"""The records of an examination. Sizes in bytes, rates in pictures per second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from photoindex.runtimes.inventory import InstalledRuntime

Level = Literal["ok", "warning", "problem"]
Area = Literal["machine", "models", "library", "speed"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `code` is a stable word for scripts, `message` a sentence, `advice` what to do about it,
    `commands` those to type, each complete."""

    level: Level
    area: Area
    code: str
    message: str
    advice: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cpu:
    """`cores` of the machine, `usable` by this process: a container's limit may be a fraction of a core.

    `features`: the vector instructions that models gain from, by their usual names.
    """

    name: str
    architecture: str
    features: tuple[str, ...]
    cores: int
    usable: float


@dataclass(frozen=True, slots=True)
class Memory:
    """`total` is what this process may have: the machine's, or its container's. `shared`: the size of /dev/shm.

    `budget`: what a scan takes of it at most, unless `--max-memory` says otherwise.
    """

    total: int
    available: int
    limited: bool = False
    shared: int | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor. `usable`: its driver answers this process. `memory` and `driver` where that says."""

    vendor: str
    name: str
    usable: bool
    memory: int | None = None
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds `use` (library, models or temporary files)."""

    use: str
    path: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Machine:
    """`packages`: versions of the main packages; `opencvs` and `onnxruntimes`: distributions that bring
    the same files; `opencv_problem`: why OpenCV does not work."""

    system: str
    python: str
    cpu: Cpu
    memory: Memory
    gpus: tuple[Gpu, ...] = ()
    runtimes: tuple[InstalledRuntime, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    onnxruntimes: tuple[str, ...] = ()
    opencvs: tuple[str, ...] = ()
    opencv_problem: str | None = None
    disks: tuple[Disk, ...] = ()


def worst(levels: list[Level]) -> Level:
    """The worst of these levels; ok where there are none."""
    return max(levels, key=LEVELS.index, default="ok")
