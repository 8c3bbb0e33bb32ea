"""The whole examination: one function, one record."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import photoindex
from photoindex.config import Settings
from photoindex.doctor.facts import read_machine
from photoindex.doctor.library import LibraryFacts, read_library
from photoindex.doctor.library_checks import check_library
from photoindex.doctor.machine import read_load
from photoindex.doctor.machine_checks import check_machine
from photoindex.doctor.measure import Stage, measure
from photoindex.doctor.model_checks import check_models
from photoindex.doctor.models import ModelFacts, failure_of, read_models
from photoindex.doctor.records import Finding, Level, Machine, worst
from photoindex.doctor.samples import find_samples, make_samples
from photoindex.doctor.speed import Bottleneck, check_choice, check_speed, find_bottleneck, other_work, uses_gpu
from photoindex.errors import MemoryTooSmall, PhotoindexError, UnknownModel, UnknownProfile
from photoindex.models.registry import DEFAULT_PROFILE, Registry
from photoindex.models.spec import ModelSpec, Task
from photoindex.records import AUTOMATIC, FoundFile, MemoryPlan, RuntimeOptions
from photoindex.scan.budget import describe_passes, plan_scan
from photoindex.scan.chosen import PROFILE, chosen_models, with_optional
from photoindex.scan.options import ScanOptions
from photoindex.scan.steps import Steps, resolve_steps
from photoindex.scan.switching import describe, pending_change
from photoindex.steps import STEPS, choose_steps
from photoindex.store.library import Library

_SAMPLES = 48


@dataclass(frozen=True, slots=True)
class Examination:
    """What `examine` found. `stages` is empty, and `samples` too, where nothing was measured.

    `memory`: how a scan with all steps would stay within its budget; None where that holds none.
    """

    version: str
    profile: str
    machine: Machine
    models: tuple[ModelFacts, ...]
    memory: MemoryPlan | None
    library: LibraryFacts | None
    stages: tuple[Stage, ...]
    samples: str
    bottleneck: Bottleneck | None
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        return worst([finding.level for finding in self.findings])


@dataclass(frozen=True, slots=True)
class Plan:
    """What to examine. `photos`: measure with pictures of this folder instead of the set that photoindex makes.

    `seconds`: about how long each stage is timed, None for no measurement; `runtime`: how models are run then.
    `option`: what a command needs to mean this library; `tell` is given a word for what happens now.
    """

    profile: str | None = None
    photos: Path | None = None
    seconds: float | None = 3.0
    runtime: RuntimeOptions = AUTOMATIC
    option: str = ""
    tell: Callable[[str], None] = lambda _: None


def examine(settings: Settings, registry: Registry, plan: Plan) -> Examination:
    """Look at the machine, the profile's models and the library, and time the stages of a scan.

    Writes to no library; samples and a library of their own go to a temporary folder. Raises UnknownProfile, and
    UsageError for a folder without pictures; what is wrong with the machine or the library is a finding.
    """
    plan.tell("looking at the machine")
    load = read_load()
    machine = read_machine(settings)
    library = read_library(settings.library, plan.option)
    chosen, choice = _chosen(settings, registry, plan.profile, library)
    steps = resolve_steps(with_optional(choose_steps(None), chosen), registry, chosen, settings.models_dir)
    memory, short = _memory(steps, plan.runtime)
    notes = len(steps.notes)  # from here on they tell of runtimes that failed at work
    stages, samples = _timed(settings, steps, plan) if plan.seconds else ((), "")
    models = read_models(registry, chosen, steps, settings.models_dir)  # after the timing, which prepares them
    free = next((disk.free for disk in machine.disks if disk.use == "models"), None)
    findings = [*check_machine(machine), *choice, *check_models(models, free), *short]
    findings += check_speed(stages, machine)
    if plan.runtime.runtime is None:
        findings += check_choice(models, stages, lambda task, runtime: failure_of(steps.installed[task], runtime))
    busy = other_work(load, machine.cpu.usable) if stages else None
    findings += [Finding("warning", "speed", "machine_busy", busy, "Measure again when it is idle.")] if busy else []
    findings += [Finding("warning", "speed", "runtime_changed", note) for note in steps.notes[notes:]]
    findings += check_library(library) if library else []
    findings += _change(settings, registry, library)
    return Examination(
        photoindex.__version__,
        plan.profile or _profile_of(settings, library),
        machine,
        tuple(models),
        memory,
        library,
        tuple(stages),
        samples,
        find_bottleneck(stages, shared_cores=not uses_gpu(stages)),
        tuple(findings),
    )


def _chosen(
    settings: Settings, registry: Registry, profile: str | None, library: LibraryFacts | None
) -> tuple[Mapping[Task, ModelSpec], list[Finding]]:
    """The models of `profile`, else those that the library's scans use. Raises UnknownProfile for `profile`."""
    if profile is None and library is not None and library.error is None:
        try:
            return chosen_models(Library.open(settings.library), registry), []
        except (UnknownModel, UnknownProfile) as error:
            text = f"The library was made with what models.toml no longer holds. {error}"
            advice = "Add the block again, or choose another:"
            command = library.command("scan", "FOLDER", "--profile", DEFAULT_PROFILE)
            finding = Finding("problem", "models", "library_model_unknown", text, advice, (command,))
            return registry.for_profile(DEFAULT_PROFILE), [finding]
    return registry.for_profile(profile or DEFAULT_PROFILE), []


def _change(settings: Settings, registry: Registry, library: LibraryFacts | None) -> list[Finding]:
    """A change of the embedding model that is not complete yet."""
    if library is None or library.error is not None:
        return []
    try:
        change = pending_change(Library.open(settings.library), registry, settings.models_dir)
    except PhotoindexError:  # models.toml no longer holds the model, which _chosen has told
        return []
    if change is None:
        return []
    text = f"New vectors are being made, {describe(change)}; the old ones are searched until then."
    return [
        Finding("warning", "library", "vectors_changing", text, "A scan goes on with it.", (library.scan_command(),))
    ]


def _memory(steps: Steps, runtime: RuntimeOptions) -> tuple[MemoryPlan | None, list[Finding]]:
    """How a scan with all steps would share out its memory; steps that fit in no way are skipped from here on."""
    try:
        plan = plan_scan(steps, list(STEPS), ScanOptions(runtime=runtime))
    except MemoryTooSmall as error:
        return None, [Finding("problem", "models", "memory_too_small", str(error))]
    found = [Finding("problem", "models", "over_memory", steps.skipped[name].message) for name in plan.refused]
    passes = describe_passes(plan)
    found += [Finding("warning", "models", "several_passes", passes)] if passes else []
    return plan, found


def _profile_of(settings: Settings, library: LibraryFacts | None) -> str:
    """The profile that the library was filled with, else the one that a new library would get."""
    if library is None or library.error is not None:
        return DEFAULT_PROFILE
    return Library.open(settings.library).catalog.settings().get(PROFILE, DEFAULT_PROFILE)


def _timed(settings: Settings, steps: Steps, plan: Plan) -> tuple[Sequence[Stage], str]:
    assert plan.seconds is not None
    with tempfile.TemporaryDirectory(prefix="photoindex-doctor-", dir=scratch_home(settings)) as temporary:
        scratch = Path(temporary)
        plan.tell("making sample pictures" if plan.photos is None else "choosing pictures")
        files = find_samples(plan.photos, _SAMPLES) if plan.photos else make_samples(scratch / "photos")
        return measure(files, steps, scratch, plan.seconds, plan.tell, plan.runtime), _said(files)


def scratch_home(settings: Settings) -> Path | None:
    """A folder of photoindex's own on the disk of the library, so that saving is timed there; None: the system's."""
    places = [folder for folder in (settings.models_dir, settings.models_dir.parent) if folder.is_dir()]
    there = next((folder for folder in (settings.library, *settings.library.parents) if folder.exists()), None)
    for folder in places:
        if there is not None and folder.stat().st_dev == there.stat().st_dev and os.access(folder, os.W_OK):
            return folder
    return None


def _said(files: Sequence[FoundFile]) -> str:
    size = sum(file.size for file in files) / len(files)
    said = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    return f"{len(files)} pictures of {said} on average"
