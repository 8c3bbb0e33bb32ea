"""How a scan fits into memory, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from photoindex.records.base import Problem


@dataclass(frozen=True, slots=True)
class ModelShare:
    """What a model may take in a pass: pictures a run, bytes in all; `runtime`: a leaner one than it would choose."""

    batch: int
    bytes: int
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryPass:
    """The models that are open at the same time, by step, and what a scan takes then, in bytes."""

    models: Mapping[str, ModelShare]
    bytes: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a scan stays within `budget` bytes; `bytes`: the most that it should take.

    `workers` decode, `prefetch` batches of `batch` pictures wait for each, no picture has more than `max_pixels`.
    The library is worked off once for each of the `passes`; `refused`: steps whose models fit in no way, with the
    budget in bytes that would do.
    """

    budget: int
    bytes: int
    workers: int
    prefetch: int
    batch: int
    max_pixels: int
    passes: tuple[MemoryPass, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What one scan did; after a dry run `run_id` is 0 and `due` what it would do.

    `seconds` by stage: walk, load (opening models, and measuring them), decode (waiting for the workers), each step of
    the main process, save (waiting for the writer). `steps`: step name to status to number of photos; `work_s`: by step
    the work on its photos, added up over the processes that did it at the same time; `models` and `runtimes` by step,
    of the last photo. `copies`: of the analysed files those whose bytes were known or met before, which are analysed
    once. `skipped`: why a step did not run; `memory`: how it stayed within the memory it may take, where
    anything was due.
    """

    run_id: int
    found: int = 0
    unchanged: int = 0
    moved: int = 0
    missing: int = 0
    due: int = 0
    analysed: int = 0
    failed: int = 0
    interrupted: bool = False
    wall_s: float = 0.0
    steps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, Problem] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    memory: MemoryPlan | None = None
    work_s: Mapping[str, float] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    runtimes: Mapping[str, str] = field(default_factory=dict)
    copies: int = 0
