"""Running the steps of the main process on a batch: models on prepared views, derived steps on facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from photoindex.events import during
from photoindex.records import Analysed, FoundFile, Outcome, Picture, Problem
from photoindex.scan.steps import Steps
from photoindex.steps import StepSpec, Stopped
from photoindex.store.library import Library
from photoindex.store.vectors import image_table

_FAILED = "step_failed"
_NO_FILE = FoundFile("", "", 0, 0, 0, 0)
NEEDS_FAILED = Problem("needs_failed", "The step it builds on failed for this photo.")


def _failed(needs: Sequence[str], outcomes: Sequence[Outcome]) -> bool:
    """Whether a needed step failed just now; one that was never asked for leaves what builds on it due."""
    return any(o.step in needs and o.status == "failed" for o in outcomes)


def _is_failure(result: Any) -> bool:
    """Whether a step raised on a picture; what it says itself of a picture is a result."""
    return isinstance(result, Problem) and result.code == _FAILED


class Analyser:
    """Takes pictures as the workers deliver them and adds what the main process contributes."""

    def __init__(
        self, steps: Steps, library: Library, stop: Callable[[], bool], at_most: Mapping[str, int] | None = None
    ) -> None:
        """`at_most`: how many pictures a run of a step may take, where memory limits them."""
        self._steps = steps
        self._library = library
        self._stop = stop
        self._at_most = at_most or {}
        self.seconds: dict[str, float] = {}

    def analyse(self, pictures: Sequence[Picture]) -> list[Analysed]:
        """One batch through every due step of the main process. Once told to stop, what is done is kept."""
        outcomes: dict[int, list[Outcome]] = {p.photo_id: list(p.outcomes) for p in pictures}
        for spec in self._steps.runnable:
            if spec.task is None and spec.needs_pixels:
                continue  # done in the worker
            mine = [p for p in pictures if spec.name in p.due]
            if mine and not self._stop() and (spec.task is None or spec.name in self._steps.opened):
                started = time.perf_counter()
                with during(f"the step {spec.name}", [p.file.path for p in mine]):
                    self._run(spec, mine, outcomes)
                spent = time.perf_counter() - started
                self.seconds[spec.name] = self.seconds.get(spec.name, 0.0) + spent
        return [
            Analysed(p.file, p.sha256, (*outcomes[p.photo_id], *self._skips(p, outcomes[p.photo_id]))) for p in pictures
        ]

    def _run(self, spec: StepSpec, pictures: Sequence[Picture], outcomes: dict[int, list[Outcome]]) -> None:
        facts = self._needed(spec, pictures, outcomes)
        ready = [p for p in pictures if facts[p.photo_id] is not None]
        for picture in pictures:
            if facts[picture.photo_id] is None and _failed(spec.needs, outcomes[picture.photo_id]):
                outcomes[picture.photo_id].append(self._outcome(spec, NEEDS_FAILED, 0.0))
        at = 0
        while at < len(ready) and not self._stop():
            part = ready[at : at + self._size(spec, len(ready))]
            at += len(part)
            started = time.perf_counter()
            try:
                results = self._call(spec, part, [facts[p.photo_id] or {} for p in part])
            except Stopped:
                return
            died = self._has_died(spec, results, facts[part[0].photo_id] or {})
            while died and results and _is_failure(results[-1]):
                results.pop()
            ms = (time.perf_counter() - started) * 1000 / len(part)
            for picture, result in zip(part, results, strict=not died):
                outcomes[picture.photo_id].append(self._outcome(spec, result, ms))
            if died:
                self._steps.skip(spec.name, died)
                return

    def _size(self, spec: StepSpec, ready: int) -> int:
        """How many pictures the next run takes; it may become less on the way, when memory is short."""
        if spec.name not in self._steps.opened:
            return ready
        size = self._steps.opened[spec.name].batch_size
        return max(1, min(size, self._at_most.get(spec.name, size)))

    def _has_died(self, spec: StepSpec, results: Sequence[Any], facts: Mapping[str, Any]) -> Problem | None:
        """Whether the last picture failed and a plain grey one does, too: then no picture is to blame, but the model.

        Such a step is skipped from here on; what it was to do stays due.
        """
        step = self._steps.opened.get(spec.name)
        if step is None or not _is_failure(results[-1]):
            return None
        views = {view.name: np.full((view.size, view.size, 3), 128, np.uint8) for view in step.views}
        trial = Picture(_NO_FILE, "0" * 64, views)
        try:
            step.run([trial], [facts])
        except Stopped:
            return None
        except Exception as error:  # noqa: BLE001 - whatever a library raises: it works no more
            reason = f"{step.model} stopped working: {' '.join(str(error).split())[:300]}"
            self._steps.note(f"{spec.name}: {reason} The scan goes on without it.")
            return Problem("model_died", f"{reason} Scan again to do what is left.")
        return None

    def _call(self, spec: StepSpec, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The step on a part of the batch; where that fails as a whole, on each picture alone."""
        try:
            if spec.task is None:
                derive = spec.load()
                return [derive(given[spec.needs[0]]) for given in facts]
            return self._steps.opened[spec.name].run(pictures, facts)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - libraries raise anything; one picture must cost that picture only
            if len(pictures) > 1:
                return [self._call(spec, [p], [f])[0] for p, f in zip(pictures, facts, strict=True)]
            text = " ".join(str(error).split())[:200]
            return [Problem(_FAILED, f"{type(error).__name__}: {text}")]

    def _needed(
        self, spec: StepSpec, pictures: Sequence[Picture], outcomes: Mapping[int, Sequence[Outcome]]
    ) -> dict[int, dict[str, Any] | None]:
        """For each photo the facts of the steps that `spec` needs, from this batch or the store; None if lacking."""
        facts: dict[int, dict[str, Any] | None] = {p.photo_id: {} for p in pictures}
        for need in spec.needs:
            fresh = {i: o.facts for i in facts for o in outcomes[i] if o.step == need and o.status == "done"}
            stored = self._stored(need, [i for i in facts if i not in fresh])
            for photo_id, given in facts.items():
                value = fresh.get(photo_id, stored.get(photo_id))
                facts[photo_id] = None if value is None or given is None else {**given, need: value}
        return facts

    def _stored(self, step: str, photo_ids: Sequence[int]) -> Mapping[int, Any]:
        if not photo_ids:
            return {}
        if step == "metadata":
            return self._library.queries.metadata(photo_ids)
        return self._library.vectors.vectors_of(image_table(self._steps.embedding_model or ""), photo_ids)

    def _outcome(self, spec: StepSpec, result: Any, ms: float) -> Outcome:
        opened = self._steps.opened.get(spec.name)
        names = (self._steps.model_of(spec), opened.runtime if opened else None)
        made_by = self._steps.fingerprints.get(spec.name)
        if isinstance(result, Problem):
            return Outcome(spec.name, spec.version, "failed", None, *names, ms=ms, problem=result, fingerprint=made_by)
        return Outcome(spec.name, spec.version, "done", result, *names, ms=ms, fingerprint=made_by)

    def _skips(self, picture: Picture, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Ledger rows for the steps that cannot run; only for a photo that is looked at for the first time."""
        if not picture.is_new:
            return []
        versions, had = {spec.name: spec.version for spec in self._steps.specs}, {o.step for o in outcomes}
        left = {name: problem for name, problem in self._steps.skipped.items() if name not in had}
        return [Outcome(name, versions[name], "skipped", problem=problem) for name, problem in left.items()]
