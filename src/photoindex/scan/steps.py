"""The chosen steps of one scan: which can run, with which model, and why the others cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from photoindex.errors import ModelMissing, PhotoindexError, RuntimeRefused, RuntimeUnavailable
from photoindex.events import tell, timed
from photoindex.models.download import Progress, unheard
from photoindex.models.identity import fingerprint
from photoindex.models.install import locate
from photoindex.models.registry import Registry
from photoindex.models.spec import InstalledModel, ModelSpec, Task
from photoindex.records import AUTOMATIC, ModelShare, Problem, RuntimeOptions, View
from photoindex.runtimes.selection import runtime_for
from photoindex.runtimes.session import Interrupted
from photoindex.scan.kept import KeptModels, Key
from photoindex.steps import Interruptible, ModelStep, StepSpec, open_model_step, step_with
from photoindex.steps.ways import check_override
from photoindex.store.catalog import Wanted


@dataclass(slots=True)
class Steps:
    """`installed`: the model of each model step; `opened`: those that a due photo needed loaded.

    `fingerprints`: the version of each step's model; of the embedding model also where only its vectors are needed;
    `kept`: models that the scan before left loaded.
    """

    specs: Sequence[StepSpec]
    embedding_model: str | None = None
    installed: dict[str, InstalledModel] = field(default_factory=dict)
    opened: dict[str, ModelStep] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, Problem] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tell: Callable[[str], None] = lambda _: None
    kept: KeptModels | None = None
    _keys: dict[str, Key] = field(default_factory=dict)

    @property
    def runnable(self) -> list[StepSpec]:
        return [spec for spec in self.specs if spec.name not in self.skipped]

    @property
    def views(self) -> dict[str, tuple[View, ...]]:
        return {name: step.views for name, step in self.opened.items() if step.views}

    def derived_names(self) -> list[str]:
        return [spec.name for spec in self.runnable if not spec.needs_pixels]

    def model_of(self, spec: StepSpec) -> str | None:
        return self.installed[spec.name].spec.name if spec.name in self.installed else None

    def wanted(self) -> list[Wanted]:
        """What the ledger must show for a photo to be up to date."""
        return [
            Wanted(spec.name, spec.version, self.model_of(spec), self.fingerprints.get(spec.name))
            for spec in self.runnable
        ]

    def versions(self) -> list[Wanted]:
        """What is wanted of the steps that run a model, and of the embedding where only tags build on it."""
        known = [want for want in self.wanted() if want.fingerprint]
        if "embedding" in self.fingerprints and not any(want.step == "embedding" for want in known):
            known.append(Wanted("embedding", 0, self.embedding_model, self.fingerprints["embedding"]))
        return known

    def check_overrides(self, names: Collection[str], asked: str | None, make: RuntimeOptions | None = None) -> None:
        """Raises RuntimeRefused where `asked` (of `--runtime`) is what one of these steps cannot run on, as far as that
        shows without loading a model. `make`: a form that is yet to be made is made now (see ways.check_override).
        """
        for spec in self.runnable:
            if spec.name in names and spec.name in self.installed:
                try:
                    check_override(self.installed[spec.name], runtime_for(asked, spec.name), make)
                except (RuntimeRefused, RuntimeUnavailable):
                    raise
                except PhotoindexError:  # a model that is broken is left out when it is opened, with its reason
                    continue

    def open(
        self,
        names: Collection[str],
        stop: Callable[[], bool],
        runtime: RuntimeOptions = AUTOMATIC,
        shares: Mapping[str, ModelShare] | None = None,
    ) -> None:
        """Load the models of these steps. One that cannot be used is skipped from here on, with its reason.

        What happens to their runtimes later is told, and added to `notes`. `shares`: the memory each may take, by
        step. Raises RuntimeRefused where `runtime` asks for what a model or this machine does not have.
        """
        for spec in self.runnable:
            if stop():
                return
            if spec.name in names and spec.name in self.installed and spec.name not in self.opened:
                share = (shares or {}).get(spec.name)
                try:
                    self._open(spec, replace(self._told(runtime, spec.name, share), stop=stop))
                except RuntimeRefused as error:
                    if runtime_for(runtime.runtime, spec.name) is not None:
                        raise
                    self._leave_out(spec, Problem("over_memory", f"Only a leaner runtime would fit: {error}"))
                except PhotoindexError as error:
                    if stop():  # it was broken off: nothing is wrong with the model
                        return
                    self._leave_out(spec, Problem("model_unusable", str(error)))
                except Exception as error:  # noqa: BLE001 - libraries raise anything; the other steps go on
                    text = f"{self.installed[spec.name].spec.name} cannot be loaded: {type(error).__name__}: {error}"
                    self._leave_out(spec, Problem("model_unusable", text))
        self._skip_dependents()

    def _open(self, spec: StepSpec, runtime: RuntimeOptions) -> None:
        """Load a model, or take it as the scan before left it."""
        model = self.installed[spec.name].spec.name
        key = self._keys[spec.name] = (spec.name, self.fingerprints.get(spec.name), runtime.runtime)
        if self.kept is not None:
            self.kept.note = self.note
        opened = self.kept.take(key) if self.kept is not None else None
        if opened is None:
            runtime.doing(f"load {model}")
            with timed("model_loaded", step=spec.name, model=model) as facts:
                opened = open_model_step(spec, self.installed[spec.name], runtime)
                facts["runtime"] = opened.runtime
        self.opened[spec.name] = opened
        if isinstance(opened, Interruptible):
            opened.stop_when(runtime.stop)

    def _leave_out(self, spec: StepSpec, problem: Problem) -> None:
        self.skipped[spec.name] = problem
        tell("step_left_out", logging.WARNING, step=spec.name, code=problem.code, message=problem.message)

    def _told(self, runtime: RuntimeOptions, step: str, share: ModelShare | None) -> RuntimeOptions:
        asked = runtime_for(runtime.runtime, step)
        say = self.note if self.kept is None else self.kept.say

        def changed(text: str) -> None:
            tell("runtime_changed", logging.WARNING, step=step, message=text)
            say(f"{step}: {text}")

        told = replace(runtime, runtime=asked, tell=changed, doing=lambda what: runtime.doing(f"{step}: {what}"))
        if share is None:
            return told
        return replace(told, runtime=asked or share.runtime, memory_bytes=share.bytes)

    def note(self, line: str) -> None:
        """Say it now, and once more in the report; the same line only once."""
        if line not in self.notes:
            self.notes.append(line)
            self.tell(line)
            tell("note", message=line)

    def skip(self, name: str, problem: Problem) -> None:
        """Leave out this step, and what builds on it, from here on."""
        if name in self.opened:
            self.opened.pop(name).close()
        self.skipped.setdefault(name, problem)
        self._skip_dependents()

    def close(self, keep: bool = False) -> None:
        """Let go of all models, or `keep` them for the next scan where somebody does; `open` may load some again."""
        while self.opened:
            name, model = self.opened.popitem()
            if keep and self.kept is not None:
                self.kept.give(self._keys[name], model)
            else:
                model.close()

    def _skip_dependents(self) -> None:
        """A step whose need is skipped cannot run on new photos either."""
        for spec in self.specs:
            for need in spec.needs:
                if need in self.skipped:
                    self.skipped.setdefault(spec.name, self.skipped[need])


def _bundled(registry: Registry, task: Task, models_dir: Path) -> InstalledModel | None:
    """A model of the task whose weights are inside an installed package, where there is one."""
    spec = next((spec for spec in registry.models.values() if spec.task == task and spec.package), None)
    return locate(registry, spec, models_dir) if spec else None


def told_and_stopped(stop: Callable[[], bool], doing: Callable[[str], None]) -> Progress:
    """For reading weights: says which, and how far it is in tenths; raises Interrupted once `stop` answers True."""
    said = ""

    def follow(name: str, done: int, total: int | None) -> None:
        nonlocal said
        if stop():
            raise Interrupted
        line = f"check {name}" + (f" ({10 * done // total * 10}%)" if total else "")
        if line != said:
            said = line
            doing(line)

    return follow


def resolve_steps(
    specs: Sequence[StepSpec],
    registry: Registry,
    profile: Mapping[Task, ModelSpec],
    models_dir: Path,
    progress: Progress = unheard,
) -> Steps:
    """Find each step's model without loading any. A step without weights is skipped with the command that helps.

    `progress` is told of weights that are read for the first time; see `fingerprint`.
    """
    specs = [step_with(spec, profile[spec.task]) if spec.task and spec.task in profile else spec for spec in specs]
    steps = Steps(specs, profile["embedding"].name if "embedding" in profile else None)
    missing = dict[str, None]()  # those to be pulled, in their order
    for spec in specs:
        if spec.task is None:
            continue
        if spec.task not in profile:
            steps.skipped[spec.name] = Problem("no_model", f"The profile names no model for {spec.task}.")
            continue
        try:
            steps.installed[spec.name] = locate(registry, profile[spec.task], models_dir)
        except ModelMissing as error:
            bundled = _bundled(registry, spec.task, models_dir)
            if bundled is None:
                steps.skipped[spec.name] = Problem("weights_missing", str(error))
                name, command = error.args
                missing |= {name: None} if command == f"photoindex models pull {name}" else {}
            else:
                steps.installed[spec.name] = bundled
                steps.notes.append(f"{spec.name} ran with {bundled.spec.name}, which comes along. {error}")
        except PhotoindexError as error:
            steps.skipped[spec.name] = Problem("model_unusable", str(error))
    if len(missing) > 1:
        steps.notes.append(f"All of these at once: `photoindex models pull {' '.join(missing)}`")
    _identify(steps, progress)
    steps._skip_dependents()
    return steps


def _identify(steps: Steps, progress: Progress) -> None:
    """Note the version of each model; one that cannot be read is not run."""
    for name, model in list(steps.installed.items()):
        try:
            steps.fingerprints[name] = fingerprint(model, progress)
            if model.base is not None and model.base.spec.name == steps.embedding_model:
                steps.fingerprints["embedding"] = fingerprint(model.base, progress)
        except PhotoindexError as error:
            del steps.installed[name]
            steps.skipped[name] = Problem("model_unusable", str(error))
