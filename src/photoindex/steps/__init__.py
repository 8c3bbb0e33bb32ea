"""The steps, each declared once: its name, its version, what it needs and where its code is.

Three kinds. A *picture step* runs in a decode worker, on the bytes and the upright picture: a function
`(SourcePicture) -> facts`. A *model step* runs in the main process on batches of prepared views: a class
that follows `ModelStep`. A *derived step* needs no pixels, only the facts of another step: a function
`(facts of that step) -> facts`. None of them saves anything.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from photoindex.errors import UnknownStep
from photoindex.models.spec import InstalledModel, ModelSpec, Task
from photoindex.records import AUTOMATIC, Picture, Problem, RuntimeOptions, View
from photoindex.runtimes.session import Interrupted


class ModelStep(Protocol):
    """A step that runs a model.

    `views` are prepared by the decode workers; `batch_size` is how many pictures one `run` takes
    (short enough that Ctrl-C is obeyed within a second).
    """

    model: str
    views: tuple[View, ...]

    @property
    def runtime(self) -> str: ...

    @property
    def batch_size(self) -> int: ...

    def run(self, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Any | Problem]:
        """Facts (or the problem) for each picture, in order. `facts[i]` holds what `needs` gave for picture i."""
        ...

    def close(self) -> None: ...


class Stopped(Interrupted):
    """A run was broken off because the scan is to stop; what it had is dropped and stays due."""


@runtime_checkable
class Interruptible(Protocol):
    """A model step whose run may take long: it asks `stop` now and then, and raises Stopped once that is True."""

    def stop_when(self, stop: Callable[[], bool]) -> None: ...


@dataclass(frozen=True, slots=True)
class StepSpec:
    """`entry` is "module:name"; `task` the kind of model a model step runs, None for the other kinds.

    An `optional` step runs only where it is asked for by name, or a model was chosen for its task.
    """

    name: str
    version: int
    entry: str
    task: Task | None = None
    needs: tuple[str, ...] = ()
    optional: bool = False

    @property
    def needs_pixels(self) -> bool:
        """False where the facts of other steps are enough."""
        return not self.needs

    def load(self) -> Callable[..., Any]:
        module, name = self.entry.split(":")
        loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return loaded


_ALL = (
    StepSpec("metadata", 1, "photoindex.steps.metadata:read"),
    StepSpec("place", 1, "photoindex.steps.place:nearest_place", needs=("metadata",)),
    StepSpec("thumbnail", 1, "photoindex.steps.thumbnail:render"),
    StepSpec("hash", 2, "photoindex.steps.hash:hashes"),
    StepSpec("ocr", 1, "photoindex.steps.ocr:Ocr", task="ocr"),
    StepSpec("embedding", 1, "photoindex.steps.embedding:Embedding", task="embedding"),
    StepSpec("tags", 1, "photoindex.steps.tags:Tags", task="tags", needs=("embedding",)),
    StepSpec("faces", 1, "photoindex.steps.faces:Faces", task="faces"),
    StepSpec("captions", 1, "photoindex.steps.captions:Captions", task="captions", optional=True),
)
STEPS: Mapping[str, StepSpec] = {spec.name: spec for spec in _ALL}
# Steps that are other code with other needs when their model is of this architecture.
STEPS_BY_ARCHITECTURE: Mapping[tuple[str, str], StepSpec] = {
    ("tags", "ram-plus"): StepSpec("tags", 1, "photoindex.steps.ram_plus:RamPlusTags", task="tags"),
}


def choose_steps(names: Sequence[str] | None) -> list[StepSpec]:
    """The steps called `names` (all that are not optional when None) in running order. Raises UnknownStep."""
    for name in names or ():
        if name not in STEPS:
            raise UnknownStep(name, STEPS)
    return [spec for spec in STEPS.values() if (not spec.optional if names is None else spec.name in names)]


def step_with(spec: StepSpec, model: ModelSpec) -> StepSpec:
    """The step as it runs with this model: what code, and what it needs, may depend on the architecture."""
    return STEPS_BY_ARCHITECTURE.get((spec.name, model.architecture), spec)


def with_dependents(step: str, models: Mapping[Task, ModelSpec]) -> list[str]:
    """A step and those that build on its facts, as they run with `models`."""
    specs = [
        step_with(spec, models[spec.task]) if spec.task and spec.task in models else spec for spec in STEPS.values()
    ]
    return [spec.name for spec in specs if spec.name == step or step in spec.needs]


def open_model_step(spec: StepSpec, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> ModelStep:
    """Load a model step with its weights. Raises ModelBroken, RuntimeUnavailable, RuntimeRefused, DependencyBroken."""
    step: ModelStep = step_with(spec, installed.spec).load()(installed, options)
    return step
