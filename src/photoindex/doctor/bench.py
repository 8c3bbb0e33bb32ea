"""The stages of a scan timed at length over the same pictures everywhere, to compare machines and releases."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import photoindex
from photoindex.config import Settings
from photoindex.doctor.facts import package_versions
from photoindex.doctor.machine import read_load
from photoindex.doctor.measure import Stage, measure
from photoindex.doctor.report import scratch_home
from photoindex.doctor.samples import SET, content_of, make_samples
from photoindex.doctor.speed import other_work
from photoindex.errors import UsageError
from photoindex.models.registry import Registry
from photoindex.records import AUTOMATIC, RuntimeOptions
from photoindex.runtimes.fingerprint import fingerprint
from photoindex.scan.steps import resolve_steps
from photoindex.steps import choose_steps

FORMAT = 1
# Fewer parts than this tell nothing of the spread.
_FEWEST_PARTS = 4


@dataclass(frozen=True, slots=True)
class StageResult:
    """Pictures a second: the median of the parts timed, and what a tenth of them were below (`low`), above (`high`)."""

    stage: str
    median: float | None
    low: float | None = None
    high: float | None = None
    parts: int = 0
    runtime: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class BenchRun:
    """`set` and `content`: which pictures, and a checksum of their bytes; `fingerprint`: the key of `machine`, which
    is what measurements depend on; `load`: what else ran at the start, in cores, where the system tells."""

    format: int
    version: str
    made_at: str
    profile: str
    seconds: float
    set: int
    content: str
    fingerprint: str
    machine: Mapping[str, Any]
    packages: Mapping[str, str]
    load: float | None
    stages: tuple[StageResult, ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A stage now (`after`) against an earlier run. `verdict`: faster, slower, same (within the spread of both), or
    unknown where one of them was not measured, or in too few parts to know its spread."""

    stage: str
    before: float | None
    after: float | None
    ratio: float | None
    verdict: str


def bench(
    settings: Settings,
    registry: Registry,
    profile: str,
    seconds: float,
    tell: Callable[[str], None],
    runtime: RuntimeOptions = AUTOMATIC,
) -> BenchRun:
    """Time every stage in about `seconds` in all, beside loading and preparing.

    Raises UnknownProfile, and RuntimeRefused where `runtime` cannot be honoured.
    """
    models = registry.for_profile(profile)
    steps = resolve_steps(choose_steps(None), registry, models, settings.models_dir)
    load = read_load()
    opened = sum(spec.task is not None and spec.name not in steps.skipped for spec in steps.specs)
    with tempfile.TemporaryDirectory(prefix="photoindex-bench-", dir=scratch_home(settings)) as temporary:
        tell("making the pictures")
        files = make_samples(Path(temporary) / "photos")
        content = content_of(files)
        stages = measure(files, steps, Path(temporary), seconds / (2 + max(1, opened)), tell, runtime)
    return BenchRun(
        FORMAT,
        photoindex.__version__,
        datetime.now(UTC).isoformat(timespec="seconds"),
        profile,
        seconds,
        SET,
        content,
        fingerprint().key,
        asdict(fingerprint()),
        package_versions(),
        load,
        tuple(map(summary, stages)),
    )


def summary(stage: Stage) -> StageResult:
    """The median of a stage's parts and their spread."""
    if not stage.rates:
        return StageResult(stage.name, None, runtime=stage.runtime, problem=stage.problem)
    tenths = statistics.quantiles(stage.rates, n=10, method="inclusive") if len(stage.rates) > 1 else stage.rates
    middle = statistics.median(stage.rates)
    return StageResult(stage.name, middle, tenths[0], tenths[-1], len(stage.rates), stage.runtime, stage.problem)


def read_run(file: Path) -> BenchRun:
    """An earlier run, as `photoindex bench --format json` wrote it. Raises UsageError."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        found = {name: kept[name] for name in BenchRun.__slots__}
        found["stages"] = tuple(
            StageResult(**{name: each[name] for name in StageResult.__slots__}) for each in kept["stages"]
        )
        run = BenchRun(**found)
    except OSError as error:
        raise UsageError(f"--compare: cannot read {file}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        text = f"--compare: {file} holds no result of `photoindex bench --format json`."
        raise UsageError(text) from error
    if (run.format, run.set) != (FORMAT, SET):
        raise UsageError(
            f"--compare: {file} is of another release, which measured with other pictures. Run that again."
        )
    return run


def compare(before: BenchRun, after: BenchRun) -> list[Ratio]:
    """Each stage that one of the two runs has, in the order of the later one."""
    old = {stage.stage: stage for stage in before.stages}
    new = {stage.stage: stage for stage in after.stages}
    return [_ratio(name, old.get(name), new.get(name)) for name in {**new, **old}]


def _ratio(name: str, old: StageResult | None, new: StageResult | None) -> Ratio:
    before, after = (old.median if old else None), (new.median if new else None)
    if old is None or new is None or not before or not after:
        return Ratio(name, before, after, None, "unknown")
    if min(old.parts, new.parts) < _FEWEST_PARTS:
        return Ratio(name, before, after, after / before, "unknown")
    apart = not (_within(after, old) or _within(before, new))
    verdict = "same" if not apart else "faster" if after > before else "slower"
    return Ratio(name, before, after, after / before, verdict)


def _within(rate: float, stage: StageResult) -> bool:
    return stage.low is not None and stage.high is not None and stage.low <= rate <= stage.high


def differences(before: BenchRun, after: BenchRun) -> list[str]:
    """What else is not the same between two runs, in sentences: without them ratios mislead."""
    found = []
    if before.version != after.version:
        found.append(f"photoindex {before.version} then, {after.version} now.")
    if before.profile != after.profile:
        found.append(f"The profile was {before.profile}, now it is {after.profile}.")
    if before.content != after.content:
        found.append("The pictures were encoded by another version of Pillow: their bytes differ a little.")
    found += _hardware(before.machine, after.machine)
    names = sorted({*before.packages, *after.packages})
    changed = [
        f"{name} {before.packages.get(name, 'none')} -> {after.packages.get(name, 'none')}"
        for name in names
        if before.packages.get(name) != after.packages.get(name)
    ]
    if changed:
        found.append(f"Packages: {', '.join(changed)}.")
    return [*found, *_runtimes(before.stages, after.stages)]


def _hardware(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    names = {"cpu": "Processor", "cores": "Cores", "gpus": "GPUs", "system": "System"}
    pairs = [(label, _plain(before.get(name)), _plain(after.get(name))) for name, label in names.items()]
    return [f"{label}: {old} then, {new} now." for label, old, new in pairs if old != new]


def _plain(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


def _runtimes(before: Sequence[StageResult], after: Sequence[StageResult]) -> list[str]:
    old = {stage.stage: stage.runtime for stage in before}
    return [
        f"{stage.stage} ran on {old[stage.stage]} then, on {stage.runtime} now."
        for stage in after
        if stage.stage in old and old[stage.stage] != stage.runtime and stage.runtime and old[stage.stage]
    ]


def disturbed(run: BenchRun) -> str | None:
    """A sentence where other work was going on, else None."""
    return other_work(run.load, int(run.machine.get("cores", 1)))
