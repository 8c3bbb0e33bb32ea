"""How many pictures a second each stage of a scan does, alone, with the scan's own code.

Decoding runs in the scan's workers; models and derived steps in its analyser; saving into a library of its own in
the folder `scratch`. Each stage has all cores while it is timed, so on a processor without a GPU, where the stages
share the cores, the seconds that they take for a picture add up to those of a scan.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from photoindex.doctor.samples import repeated
from photoindex.records import AUTOMATIC, Analysed, FoundFile, Picture, RuntimeOptions
from photoindex.scan.analyse import Analyser
from photoindex.scan.options import DEFAULT_BATCH, default_workers
from photoindex.scan.steps import Steps
from photoindex.store.library import Library

DECODE, STORE = "decode", "store"
_TIME_LIMIT_S = 60.0
# Small, so that a measurement of seconds holds many; a scan's batch is twice that, which makes no difference here.
_DECODE_BATCH = 4
_KEPT_PICTURES = 24
# Steps without a model take microseconds: a small part of the time measures them as often as anybody needs.
_WITHOUT_MODEL = 100


@dataclass(frozen=True, slots=True)
class Stage:
    """`rates`: pictures a second of each part that was timed; `pictures` in `seconds` of all of them together.

    `problem`: why it was not measured, or what failed meanwhile; `skipped`: the scan's word for why it does not run.
    """

    name: str
    pictures: int = 0
    seconds: float = 0.0
    rates: tuple[float, ...] = ()
    runtime: str | None = None
    problem: str | None = None
    skipped: str | None = None

    @property
    def rate(self) -> float | None:
        return self.pictures / self.seconds if self.pictures and self.seconds else None


@dataclass(slots=True)
class _Clock:
    """Collects what was timed of a stage."""

    pictures: int = 0
    seconds: float = 0.0
    rates: list[float] = field(default_factory=list)

    def add(self, pictures: int, seconds: float) -> None:
        self.pictures += pictures
        self.seconds += seconds
        self.rates.append(pictures / seconds if seconds else 0.0)

    def stage(self, name: str, runtime: str | None = None, problem: str | None = None) -> Stage:
        return Stage(name, self.pictures, self.seconds, tuple(self.rates), runtime, problem)


def measure(
    files: Sequence[FoundFile],
    steps: Steps,
    scratch: Path,
    seconds: float,
    tell: Callable[[str], None],
    runtime: RuntimeOptions = AUTOMATIC,
) -> list[Stage]:
    """Time every stage on `files`, for about `seconds` each, after what has to be loaded is loaded.

    `steps`: resolved and not yet opened; they are closed again. A stage that cannot run says why. Raises
    RuntimeRefused where `runtime` asks for what a model or this machine does not have.
    """
    from photoindex.scan.loader import warm_up

    warm_up()
    wanted = [spec.name for spec in steps.specs if spec.task is not None and spec.name not in steps.skipped]
    tell("loading the models" if wanted else "starting")
    steps.open(wanted, _never, runtime)
    try:
        tell("decoding")
        pictures, decode = time_decoding(files, steps, seconds)
        with Library.writing(scratch / "library") as library:
            tell("running the models")
            analysed, models = time_steps(pictures, steps, library, seconds)
            tell("saving")
            store = time_saving(analysed, library, seconds)
    finally:
        steps.close()
    skipped = [Stage(name, problem=why.message, skipped=why.code) for name, why in steps.skipped.items()]
    return [decode, *models, *skipped, store]


def time_decoding(files: Sequence[FoundFile], steps: Steps, seconds: float) -> tuple[list[Picture], Stage]:
    """Decoding with the picture steps and the models' views. Also returns some of the pictures, each once."""
    kept: dict[str, Picture] = {}
    problems: Counter[str] = Counter()
    clock, workers = _Clock(), default_workers()
    window = _window(workers, len(files))
    since, count = time.perf_counter(), -window  # the first window holds what the start had already decoded
    for pictures in _decoded(files, steps, workers, lambda: clock.seconds >= seconds):
        for picture in pictures:
            if picture.problem is not None:
                problems[picture.problem.message] += 1
            elif len(kept) < _KEPT_PICTURES:
                kept.setdefault(picture.file.path, picture)
        count += len(pictures)
        if count >= window:
            now = time.perf_counter()
            clock.add(count, now - since)
        if count >= window or count == 0:
            since, count = time.perf_counter(), 0
    problem = problems.most_common(1)[0][0] if problems else None
    return [kept[path] for path in sorted(kept)], clock.stage(DECODE, f"{workers} workers", problem)


def _window(workers: int, files: int) -> int:
    """How many pictures are timed together: some for each worker, and a small set as a whole, or its parts differ."""
    least = _DECODE_BATCH * workers
    return -(-least // files) * files if files <= 2 * least else least


def _decoded(
    files: Sequence[FoundFile], steps: Steps, workers: int, stop: Callable[[], bool]
) -> Iterator[list[Picture]]:
    from photoindex.scan.loader import batches
    from photoindex.scan.task import Task
    from photoindex.scan.worker import WorkerJob

    names = tuple(spec.name for spec in steps.runnable if spec.task is None and spec.needs_pixels)
    nothing = np.empty(0, np.int64)
    job = WorkerJob(names, tuple(steps.derived_names()), steps.views, nothing, _TIME_LIMIT_S)
    tasks = [Task(file) for file in repeated(files, 20_000)]
    yield from batches(tasks, job, _DECODE_BATCH, workers, stop)


def time_steps(
    pictures: Sequence[Picture], steps: Steps, library: Library, seconds: float
) -> tuple[list[Analysed], list[Stage]]:
    """The steps of the main process, each model alone for `seconds`, with the derived steps that build on it.

    Also returns pictures with what all steps found. That first run warms up, and does not count.
    """
    batches = [pictures[at : at + DEFAULT_BATCH] for at in range(0, len(pictures), DEFAULT_BATCH)]
    clocks = {spec.name: _Clock() for spec in steps.runnable if spec.task is not None or not spec.needs_pixels}
    if not batches or not clocks:
        return [], [clock.stage(name) for name, clock in clocks.items()]
    analysed, _ = _run(batches[0], steps, library)
    failed = _failures(analysed)
    for together in _groups(steps):
        runs_model = any(name in steps.opened for name in together)
        ends = time.perf_counter() + (seconds if runs_model else seconds / _WITHOUT_MODEL)
        for batch in _until(ends, [[replace(p, due=p.due & together) for p in batch] for batch in batches]):
            done, spent = _run(batch, steps, library)
            failed |= _failures(done)
            for name in together:
                if spent.get(name):
                    clocks[name].add(len(batch), spent[name])
    return analysed, [clock.stage(name, _runtime(steps, name), failed.get(name)) for name, clock in clocks.items()]


def _groups(steps: Steps) -> list[frozenset[str]]:
    """Each step that runs a model on pixels, with the derived steps that need its facts; the rest of those as one."""
    derived = [spec for spec in steps.runnable if not spec.needs_pixels]
    models = [spec.name for spec in steps.runnable if spec.task is not None and spec.needs_pixels]
    found = [frozenset({name, *(spec.name for spec in derived if name in spec.needs)}) for name in models]
    rest = frozenset(spec.name for spec in derived if not any(spec.name in group for group in found))
    return [*found, *([rest] if rest else [])]


def _until(ends: float, batches: Sequence[Sequence[Picture]]) -> Iterator[Sequence[Picture]]:
    """The batches again and again until the clock shows `ends`; one at least."""
    while True:
        for batch in batches:
            yield batch
            if time.perf_counter() > ends:
                return


def _run(batch: Sequence[Picture], steps: Steps, library: Library) -> tuple[list[Analysed], dict[str, float]]:
    analyser = Analyser(steps, library, _never)
    done = analyser.analyse(batch)
    return done, analyser.seconds


def _failures(analysed: Sequence[Analysed]) -> dict[str, str]:
    """What failed, by step: the first message of each."""
    found: dict[str, str] = {}
    for outcome in (outcome for item in analysed for outcome in item.outcomes):
        if outcome.status == "failed" and outcome.problem is not None:
            found.setdefault(outcome.step, outcome.problem.message)
    return found


def _runtime(steps: Steps, name: str) -> str | None:
    return steps.opened[name].runtime if name in steps.opened else None


def time_saving(analysed: Sequence[Analysed], library: Library, seconds: float) -> Stage:
    """Batches into the library, each photo under a new identity. The first, which makes the tables, does not count.

    Full-text documents do not either: a scan writes a thousand at once, which takes as long as a few do here.
    """
    if not analysed:
        return Stage(STORE, problem="no picture was analysed")
    clock, number = _Clock(), 0
    while clock.seconds < seconds:
        batch = [_renamed(analysed[(number + n) % len(analysed)], number + n) for n in range(DEFAULT_BATCH)]
        started = time.perf_counter()
        library.save(batch)
        if number:
            clock.add(len(batch), time.perf_counter() - started)
        number += len(batch)
    return clock.stage(STORE)


def _renamed(item: Analysed, number: int) -> Analysed:
    sha256 = hashlib.sha256(f"{item.sha256} {number}".encode()).hexdigest()
    return replace(item, sha256=sha256, file=replace(item.file, path=f"{item.file.path}.{number}"))


def _never() -> bool:
    return False
