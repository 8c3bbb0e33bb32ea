"""What a scan would take of memory, and the plan that keeps it within what it may take.

The figures are for memory that processes share counted once, as the kernel counts it. Measured with the largest build
of torch there is, the one for CUDA; with others a scan takes some hundred megabytes less than planned.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from photoindex.models.memory import memory_of
from photoindex.models.spec import InstalledModel, Task
from photoindex.pure.memory_plan import DecodeNeed, ModelNeed, Way, plan_memory
from photoindex.pure.sizes import show_size
from photoindex.records import MemoryPass, MemoryPlan, Problem
from photoindex.runtimes.candidates import FAMILIES, Backend, machine_backends
from photoindex.runtimes.machine_memory import default_budget, read_machine_memory
from photoindex.runtimes.selection import matches, runtime_for
from photoindex.scan.options import DEFAULT_BATCH, ScanOptions, default_workers
from photoindex.scan.room import PIXEL
from photoindex.scan.steps import Steps
from photoindex.steps import StepSpec
from photoindex.steps.work_view import WORK

_MB = 1_000_000
# The main process with the stores, torch and what it reads and writes; the server that the workers come from; a worker
# between two pictures, with the freed memory that it keeps for the next.
_MAIN, _SERVER, _WORKER = 680 * _MB, 160 * _MB, 300 * _MB
_CUDA_CONTEXT = 1_000 * _MB  # estimated
# How often a runtime holds a model's weights (OpenVINO maps the file and keeps them packed for the processor; torch
# loads an OpenCLIP model whole to keep its image tower), and what its library takes. Measured with ViT-B-32.
_HELD = {"openvino": (2.1, 80 * _MB), "onnxruntime": (1.1, 40 * _MB), "torch": (1.1, 0)}
_HELD_WHOLE = 2.7
# Tasks whose models take a batch at once, by device; the others look at one picture after the other.
_TOGETHER: dict[Task, dict[str, int]] = {
    "embedding": {"cpu": 8, "cuda": 64},
    "tags": {"cpu": 4, "cuda": 32},
    "captions": {"cpu": 4, "cuda": 32},
}
_OF_LIBRARIES = {"faces": "onnxruntime"}  # tasks whose library decides what runs them


def plan_scan(steps: Steps, due: Collection[str], options: ScanOptions) -> MemoryPlan:
    """The plan for the steps that are due. Raises MemoryTooSmall where the budget of `options` holds no scan at all.

    Steps whose models fit in no way are skipped from here on, with the reason.
    """
    budget = options.max_memory or default_budget(read_machine_memory())
    specs = [spec for spec in steps.runnable if spec.name in due and spec.name in steps.installed]
    needs = [_model_need(spec, steps.installed[spec.name], options.runtime.runtime) for spec in specs]
    plan = plan_memory(budget, _decode_need(specs, steps, options), needs)
    for name, least in plan.refused.items():
        steps.skip(name, Problem("over_memory", _refusal(steps.installed[name].spec.name, least, budget)))
    return plan


def batch_limits(steps: Steps, one: MemoryPass) -> dict[str, int]:
    """How many pictures a run may take, by step; those that look at one after the other are not limited."""
    together = {spec.name for spec in steps.specs if spec.task in _TOGETHER and not spec.needs}
    return {step: share.batch for step, share in one.models.items() if step in together}


def describe_passes(plan: MemoryPlan) -> str | None:
    """Why the library is worked off more than once, where it is."""
    if len(plan.passes) < 2:
        return None
    turns = "; then ".join(" and ".join(one.models) for one in plan.passes)
    return (
        f"The models do not fit into {show_size(plan.budget)} of memory together, so the photos are gone through "
        f"{len(plan.passes)} times: {turns}. More --max-memory makes it one."
    )


def _refusal(model: str, least: int, budget: int) -> str:
    return (
        f"{model} does not fit into memory: the scan would take {show_size(least)} and may take {show_size(budget)}. "
        f"Scan with --max-memory {show_size(least)}, or choose smaller models with --profile."
    )


def _decode_need(specs: Sequence[StepSpec], steps: Steps, options: ScanOptions) -> DecodeNeed:
    views = {_view_bytes(steps.installed[spec.name]) for spec in specs if not spec.needs}
    if {"ocr", "faces"} & {spec.task for spec in specs}:
        views.add(3 * WORK.size**2)
    on_cuda = any(backend.device == "cuda" and backend.absent is None for backend in machine_backends()) and specs
    return DecodeNeed(
        main=_MAIN + _SERVER + (_CUDA_CONTEXT if on_cuda else 0),
        worker=_WORKER,
        pixel=PIXEL,
        picture=sum(views),
        workers=options.workers or default_workers(),
        batch=options.batch_size or DEFAULT_BATCH,
    )


def _view_bytes(model: InstalledModel) -> int:
    """Of the squares that OCR and faces do not share."""
    return 3 * (model.spec.input_size or 384) ** 2 if model.spec.task in _TOGETHER else 0


def _model_need(spec: StepSpec, model: InstalledModel, asked: str | None) -> ModelNeed:
    """`asked`: what the user said of runtimes, which then is the only way."""
    wanted = runtime_for(asked, spec.name)
    if model.base is not None:  # a zero-shot tagger: numpy does it
        return ModelNeed(spec.name, (Way(memory_of(model).weights, 0),), 1, spec.needs)
    usable = [each for each in _backends(model) if wanted is None or matches(wanted, each.name)] or _backends(model)
    first = usable[0]
    ways = [_way(model, first, None)]
    leaner = [each for each in usable if each.family == "onnxruntime" and each.device == first.device == "cpu"]
    if wanted is None and first.family != "onnxruntime" and leaner and model.spec.task not in _OF_LIBRARIES:
        ways.append(_way(model, leaner[0], leaner[0].name))
    batch = _TOGETHER.get(model.spec.task, {}) if not spec.needs else {}
    return ModelNeed(spec.name, tuple(ways), batch.get(first.device, batch.get("cpu", 1)), spec.needs)


def _backends(model: InstalledModel) -> list[Backend]:
    """What could run this model here, in the order in which it is tried."""
    allowed = model.spec.runtimes or FAMILIES
    if model.spec.task in _OF_LIBRARIES:
        allowed = (_OF_LIBRARIES[model.spec.task],)
    here = [backend for backend in machine_backends() if backend.absent is None]
    fitting = [backend for backend in here if backend.family in allowed]
    return fitting or [Backend("torch", "cpu", "f32")]


def _way(model: InstalledModel, backend: Backend, runtime: str | None) -> Way:
    needs = memory_of(model)
    times, library = _HELD[backend.family]
    if model.spec.task == "embedding" and backend.family == "torch":
        times = _HELD_WHOLE
    weights = round(needs.weights * times) + library
    picture = needs.for_picture(backend.precision) if backend.device == "cpu" else 0
    return Way(weights, picture, runtime)
