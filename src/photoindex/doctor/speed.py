"""What measured stages mean: the bottleneck, what a whole scan would do, and processors that work in a GPU's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from photoindex.doctor.measure import DECODE, STORE, Stage
from photoindex.doctor.models import ModelFacts
from photoindex.doctor.records import Finding, Machine

_ADVICE = {
    DECODE: "Decoding gains from more cores, and from a faster disk where photos come over a network.",
    STORE: "Saving gains from a library on a local SSD.",
}


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """`share`: the part of a scan's time that `stage` takes, 0 to 1; `expected`: pictures a second of a whole scan."""

    stage: str
    share: float
    expected: float


def other_work(load: float | None, cores: float) -> str | None:
    """A sentence where others keep half of the cores busy, which makes every figure low; else None."""
    if load is None or load < 0.5 * cores:
        return None
    busy = "all" if load >= cores else f"{load:.1f}"
    return f"Other programs kept {busy} of {cores:g} cores busy at the start: figures are low and spread widely."


def find_bottleneck(stages: Sequence[Stage], shared_cores: bool) -> Bottleneck | None:
    """The slowest stage. None where nothing could be measured.

    `shared_cores`: all stages compete for the same cores, so that their seconds add up; else decoding, models and
    saving run side by side, and the slowest of the three decides.
    """
    times = {stage.name: 1.0 / stage.rate for stage in stages if stage.rate}
    if not times:
        return None
    name = max(times, key=lambda stage: times[stage])
    models = sum(seconds for stage, seconds in times.items() if stage not in (DECODE, STORE))
    side_by_side = max(times.get(DECODE, 0.0), models, times.get(STORE, 0.0))
    total = sum(times.values())
    return Bottleneck(name, times[name] / total, 1.0 / (total if shared_cores else side_by_side))


def check_speed(stages: Sequence[Stage], machine: Machine) -> list[Finding]:
    """The bottleneck, stages that failed, and models on the processor of a machine whose GPU a runtime can use."""
    found = [_fallback(stage, machine) for stage in stages if _fell_back(stage, machine)]
    for stage in stages:
        if stage.skipped == "model_unusable":
            found.append(Finding("problem", "speed", "model_unusable", f"{stage.name} does not run: {stage.problem}"))
        elif stage.problem and stage.rate:
            text = f"{stage.name}: not every sample picture got through: {stage.problem}"
            found.append(Finding("warning", "speed", "stage_failed", text))
    slowest = find_bottleneck(stages, shared_cores=not uses_gpu(stages))
    if slowest is not None:
        text = f"The bottleneck is {slowest.stage}, with {slowest.share:.0%} of the time."
        advice = _ADVICE.get(slowest.stage, "A model gains from a GPU, or choose a smaller one (`--profile fast`).")
        found.append(Finding("ok", "speed", "bottleneck", text, advice))
    return found


def check_choice(
    models: Sequence[ModelFacts], stages: Sequence[Stage], why: Callable[[str, str], str]
) -> list[Finding]:
    """Models that did not run on what was first for them. `why(task, runtime)`: the reason, asked only then."""
    ran = {stage.name: stage.runtime for stage in stages if stage.runtime}
    found = []
    for facts in models:
        have = ran.get(facts.task)
        if facts.runtime and have and facts.runtime not in have.split(" + "):
            reason = why(facts.task, facts.runtime)
            text = f"{facts.model} was to run on {facts.runtime}, and runs on {have}: {reason}"
            found.append(Finding("warning", "speed", "runtime_fell", text))
    return found


def uses_gpu(stages: Sequence[Stage]) -> bool:
    """Whether any model ran elsewhere than on the processor."""
    return any(_devices(stage) - {"cpu"} for stage in stages)


def _devices(stage: Stage) -> set[str]:
    """The devices in a runtime's name, such as `cuda` in `torch-cuda-f16-compiled`; none for stages without a model."""
    names = [name.split("-") for name in (stage.runtime or "").split(" + ")]
    return {parts[1] for parts in names if len(parts) >= 3 and parts[0] != "numpy"}


def _fell_back(stage: Stage, machine: Machine) -> bool:
    """A runtime that could have run it says that it reaches a GPU, and the model runs on the processor all the same."""
    if "cpu" not in _devices(stage):
        return False
    return any(gpu.usable for gpu in machine.gpus) and any(runtime.accelerated for runtime in machine.runtimes)


def _fallback(stage: Stage, machine: Machine) -> Finding:
    gpu = next(gpu.name for gpu in machine.gpus if gpu.usable)
    text = f"{stage.name} runs on {stage.runtime}, although {gpu} can be used."
    able = {runtime.name for runtime in machine.runtimes if runtime.accelerated}
    if "onnxruntime" not in able:
        advice = "Models in ONNX form need the ONNX Runtime for GPUs:"
        command = "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"
        return Finding("warning", "speed", "cpu_fallback", text, advice, (command,))
    return Finding("warning", "speed", "cpu_fallback", text, "The table of models says why.")
