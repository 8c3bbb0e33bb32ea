"""What each model of a profile would run on, and why: its weights, its forms, its candidates on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from photoindex.errors import ModelBroken, ModelMissing, PhotoindexError
from photoindex.models.install import download_bytes, locate
from photoindex.models.registry import Registry
from photoindex.models.spec import ZERO_SHOT, InstalledModel, ModelSpec, Task
from photoindex.records import AUTOMATIC
from photoindex.runtimes.calibration import known_of, rank
from photoindex.runtimes.candidates import ONLY_ASKED, Candidate, candidates
from photoindex.runtimes.faults import disagreement, not_numbers, one_line
from photoindex.runtimes.measure import Measurement
from photoindex.scan.steps import Steps
from photoindex.steps.forms import forms_ready, read_forms
from photoindex.steps.ocr import engines_of
from photoindex.steps.ocr_choice import measured_of
from photoindex.steps.search_runtimes import search_runtime
from photoindex.steps.ways import ways_of

_OPENCV = "opencv-cpu-f32"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run a model. `absent`: why this machine or this model cannot; `refused`: why it failed its
    measurement; `rate`: rows a second as measured on this machine, at its best batch size."""

    runtime: str
    absent: str | None = None
    refused: str | None = None
    rate: float | None = None

    @property
    def usable(self) -> bool:
        return self.absent is None and self.refused is None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model of a task. `state`: installed, missing or broken; `bytes` of its download where known, perhaps about.

    `stand_in`: a model that comes along and does the task until this one is installed.

    `prepared`: whether its forms for this machine are made (None where it needs none); `refused_forms`: form to the
    reason why it failed its check against torch. `runtime`: what a scan tries first, `why` in a sentence; `measured`:
    whether that was measured here (else it is the order of experience). `search_runtime`: that of searches.
    """

    task: str
    model: str
    state: str
    problem: str | None = None
    command: str | None = None
    bytes: int | None = None
    stand_in: str | None = None
    prepared: bool | None = None
    refused_forms: Mapping[str, str] = field(default_factory=dict)
    ways: tuple[Way, ...] = ()
    measured: bool = False
    runtime: str | None = None
    why: str = ""
    search_runtime: str | None = None


def read_models(
    registry: Registry, models: Mapping[Task, ModelSpec], steps: Steps, models_dir: Path
) -> list[ModelFacts]:
    """The model of each task. `steps`: as a scan resolves them, which may put another model in the place of one."""
    found = [_read(registry, spec, models_dir) for spec in models.values()]
    used = {name: installed.spec.name for name, installed in steps.installed.items()}
    return [
        replace(facts, stand_in=used[facts.task]) if used.get(facts.task, facts.model) != facts.model else facts
        for facts in found
    ]


def failure_of(installed: InstalledModel, runtime: str) -> str:
    """Why `runtime` does not run a model that it should run: it is opened and tried once more."""
    try:
        found = _candidates(installed)
    except ModelBroken as error:
        return one_line(str(error))
    candidate = next((each for each in found if each.name == runtime and each.absent is None), None)
    if candidate is None:
        return "it is not there"
    try:
        session = candidate.open()
        probe, expected = read_forms(installed).check("visual") if installed.spec.task == "embedding" else ({}, {})
        outputs = session.run(probe) if probe else {}
        session.close()
        return not_numbers(outputs) or disagreement(outputs, expected, runtime) or "it did work when tried once more"
    except Exception as error:  # noqa: BLE001 - whatever a runtime throws is the answer
        return one_line(error)


def _read(registry: Registry, spec: ModelSpec, models_dir: Path) -> ModelFacts:
    size = download_bytes(spec)
    if size is None and spec.about_mb is not None:
        size = spec.about_mb * 10**6
    try:
        installed = locate(registry, spec, models_dir)
    except (ModelMissing, ModelBroken) as error:
        state = "missing" if isinstance(error, ModelMissing) else "broken"
        return ModelFacts(spec.task, spec.name, state, str(error), str(error.args[-1]), size)
    except PhotoindexError as error:
        return ModelFacts(spec.task, spec.name, "broken", str(error), bytes=size)
    try:
        return _installed(installed, size)
    except ModelBroken as error:
        return ModelFacts(spec.task, spec.name, "broken", str(error), str(error.args[-1]), size)


def _installed(installed: InstalledModel, size: int | None) -> ModelFacts:
    spec = installed.spec
    facts = ModelFacts(spec.task, spec.name, "installed", bytes=size)
    if spec.architecture == ZERO_SHOT and installed.base is not None:
        return replace(facts, why=f"compares words with the vectors of {installed.base.spec.name}; runs no model")
    if spec.task == "embedding" and not forms_ready(installed):
        why = "its forms for this machine are made at the first scan, which takes about a minute"
        return replace(facts, prepared=False, command=f"photoindex models pull {spec.name}", why=why)
    if spec.architecture in ("yunet+sface", "yunet-sface"):
        return replace(facts, runtime=_OPENCV, why="OpenCV runs its own models")
    return _with_ways(facts, installed)


def _with_ways(facts: ModelFacts, installed: InstalledModel) -> ModelFacts:
    forms = read_forms(installed) if installed.spec.task == "embedding" else None
    if forms:
        refused = dict(forms.refused)
        facts = replace(facts, prepared=True, refused_forms=refused, search_runtime=search_runtime(installed)[0])
    found = ways_of(installed)
    kept, decided = _kept(installed, [each.name for each in found if not (each.absent or each.only_asked)])
    ways = tuple(_way(each.name, each.absent or (ONLY_ASKED if each.only_asked else None), kept) for each in found)
    facts = replace(facts, ways=ways, measured=decided)
    usable = [way.runtime for way in ways if way.usable]
    return _chosen(facts, next((pick.runtime for pick in rank(kept, "scan") if pick.runtime in usable), None))


def _kept(installed: InstalledModel, usable: Sequence[str]) -> tuple[list[Measurement], bool]:
    """What was measured of the model on this machine, as known_of says; nothing for those that know one way only."""
    if installed.spec.task == "embedding":
        forms = read_forms(installed)
        return known_of(usable, forms.visual, forms.folder)
    if installed.spec.task == "ocr":
        return measured_of(usable, engines_of(installed), installed, AUTOMATIC)
    return [], False


def _candidates(installed: InstalledModel) -> Sequence[Candidate]:
    """Those of models that are run through sessions."""
    if installed.spec.task == "embedding":
        return candidates(read_forms(installed).visual, installed.spec.runtimes)
    return engines_of(installed).rungs if installed.spec.task == "ocr" else ()


def _way(runtime: str, absent: str | None, kept: list[Measurement]) -> Way:
    mine = next((each for each in kept if each.runtime == runtime), None)
    if mine is None:
        return Way(runtime, absent)
    rates = [size / took for size, took in mine.seconds.items() if took > 0]
    return Way(runtime, absent, mine.refused, max(rates, default=None))


def _chosen(facts: ModelFacts, measured_best: str | None) -> ModelFacts:
    usable = [way.runtime for way in facts.ways if way.usable]
    if not usable:
        reasons = "; ".join(f"{way.runtime}: {way.absent or way.refused}" for way in facts.ways)
        return replace(facts, problem=f"Nothing on this machine can run it: {reasons}")
    if measured_best in usable:
        return replace(facts, runtime=measured_best, why="the fastest of those measured here")
    why = "first choice here, not measured yet" if len(usable) > 1 else "the one way to run it here"
    return replace(facts, runtime=usable[0], why=why)
