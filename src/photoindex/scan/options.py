"""What a scan is asked to do, and what it tells while it does it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from photoindex.records import AUTOMATIC, FoundFile, RuntimeOptions
from photoindex.scan.kept import KeptModels

# Small, so that little is lost by a kill and waits in memory; models gain nothing beyond 8 on a CPU.
DEFAULT_BATCH = 8


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """A moment of a running scan. `total` is None while folders are still being walked.

    `seconds`: time spent so far waiting for the decode workers ("decode"), in each step, and waiting for the
    writer ("save"); the largest is the bottleneck. A stage `is_waiting` while something without countable parts takes
    long: a model is loaded or measured.
    """

    stage: str
    done: int = 0
    total: int | None = None
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    is_waiting: bool = False


def _ignore(_: ScanProgress) -> None:
    return None


def _say_nothing(_: str) -> None:
    return None


def _nothing(_: FoundFile) -> bool:
    return False


def default_workers() -> int:
    """Decode workers for this machine: its cores, but no more than decoding can use beside the models."""
    return max(1, min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """The choices of one scan. `steps` None means all; `profile` None the library's own, else the default one.

    `stop` is asked often; once it answers True the scan saves what it has and ends. `time_limit_s` bounds the
    decoding of one file, `max_memory` (bytes; None: most of what the machine has) everything: models, batches and
    the size of a picture. `runtime` is how models are run; of it `runtime` may name single steps (see
    runtimes.selection), the rest is the scan's own. `tell` is given a line when a model changes its runtime.
    `gone`: folders that RootEmpty and its kind named and that have really gone; `accept_missing` is that for all.
    `only`: by root the folders that are looked at, with or without those below them (None: all); `leave` is asked of
    each file that is new or changed: where it answers True, the file is as if it was not there yet. `command`: what
    the history of runs calls it; `kept`: models that the scan before this one left loaded, and where this one leaves
    them.
    """

    steps: tuple[str, ...] | None = None
    profile: str | None = None
    workers: int | None = None
    batch_size: int | None = None
    limit: int | None = None
    dry_run: bool = False
    retry_failed: bool = False
    rescan: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    accept_missing: bool = False
    gone: Collection[str] = ()
    time_limit_s: float = 60.0
    max_memory: int | None = None
    runtime: RuntimeOptions = AUTOMATIC
    stop: Callable[[], bool] = _never
    progress: Callable[[ScanProgress], None] = _ignore
    tell: Callable[[str], None] = _say_nothing
    only: Mapping[str, Mapping[str, bool]] | None = None
    leave: Callable[[FoundFile], bool] = _nothing
    command: str = "scan"
    kept: KeptModels | None = None

    def doing(self, what: str) -> None:
        """Say that something without countable parts begins that may take long."""
        self.progress(ScanProgress(what, is_waiting=True))
