"""Working off what is due: decoded, analysed and saved, once for each pass that memory calls for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from photoindex.records import Analysed, FoundFile, MemoryPass, MemoryPlan, Outcome, Picture, Problem
from photoindex.scan.analyse import Analyser
from photoindex.scan.budget import batch_limits, describe_passes, plan_scan
from photoindex.scan.documents import write_due_documents
from photoindex.scan.history import tell_batch, tell_plan
from photoindex.scan.memory import give_back
from photoindex.scan.options import ScanOptions, ScanProgress
from photoindex.scan.plan import Plan, make_plan
from photoindex.scan.roots import Comparison, check_still_there
from photoindex.scan.steps import Steps
from photoindex.scan.writer import Writer
from photoindex.steps import STEPS, with_dependents
from photoindex.store.library import Library
from photoindex.store.vectors import DOCUMENTS

_STORED_AT_ONCE = 512
# What a file cannot be read for that may be its whole folder's trouble.
_GONE = "vanished"  # since the walk: no problem of the file's, and the next scan sees that it is missing
_MAYBE_LOST = {_GONE, "io_error", "no_answer"}
_SMALL = 20_000  # documents: their words are counted within a second


@dataclass(slots=True)
class Tally:
    """What has happened so far; becomes the report. `done` and `total` are of the present pass."""

    steps: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    memory: MemoryPlan | None = None
    due: int = 0
    analysed: int = 0
    copies: int = 0
    failed: int = 0
    done: int = 0
    total: int = 0
    passes: int = 0
    failures: set[int] = field(default_factory=set)
    work_s: dict[str, float] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    runtimes: dict[str, str] = field(default_factory=dict)

    def begin_pass(self, total: int) -> None:
        self.passes += 1
        self.done, self.total = 0, total

    def add(self, batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]], gone: int) -> None:
        """Photos count once, in the first pass, those with problems as well; files that have `gone` not at all."""
        self.done += len(batch) + len(unreadable) + gone
        self.analysed += len(batch) + len(unreadable) if self.passes <= 1 else 0
        self.failed += len(unreadable)
        for item in batch:
            if any(o.status == "failed" for o in item.outcomes) and (self.passes <= 1 or self._is_new(item.photo_id)):
                self.failures.add(item.photo_id)
                self.failed += 1
            for outcome in item.outcomes:
                self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        step = outcome.step
        self.steps.setdefault(step, Counter())[outcome.status] += 1
        self.work_s[step] = self.work_s.get(step, 0.0) + outcome.ms / 1000
        if outcome.model:
            self.models[step] = outcome.model
        if outcome.runtime:
            self.runtimes[step] = outcome.runtime

    def _is_new(self, photo_id: int) -> bool:
        return photo_id not in self.failures


@dataclass(slots=True)
class Work:
    """One scan's work on what is due in `compared`."""

    library: Library
    steps: Steps
    compared: Sequence[Comparison]
    run_id: int
    tally: Tally
    options: ScanOptions

    def plan(self) -> Plan:
        """What is due, and how memory suffices for it: some steps may be skipped from here on."""
        plan = make_plan(self.library, self.steps, self.compared, self.options)
        self.tally.due = len(plan)
        if plan:
            self.tally.memory = plan_scan(self.steps, plan.steps(), self.options)
            tell_plan(len(plan), self.tally.memory)
        return plan

    def run(self) -> None:
        """Work off all that is due, forget what edited files held before, then bring the full-text index up to date."""
        plan = self.plan()
        memory = self.tally.memory
        if memory is not None and not self.options.stop():
            self.options.doing("load models")
            if plan.tasks:
                from photoindex.scan.loader import warm_up

                warm_up()
            if (line := describe_passes(memory)) is not None:
                self.steps.note(line)
            self._passes(plan, memory)
        self.library.drop_unheld()
        is_small = self.library.vectors.count(DOCUMENTS) < _SMALL
        more = (self.options.only is not None and not is_small) or self.options.stop()
        write_due_documents(self.library, more_to_come=more, stop=self.options.stop, doing=self.options.doing)

    def _passes(self, plan: Plan, memory: MemoryPlan) -> None:
        passes = memory.passes or (MemoryPass({}, memory.bytes),)
        photos = plan.photo_ids()
        for number, one in enumerate(passes):
            later = {step for other in passes[number + 1 :] for step in other.models}
            if number == 0:
                photos |= self._first(plan, one, later)
            elif not self.options.stop():
                self.steps.close()
                give_back()
                again = make_plan(self.library, self.steps, self.compared, self.options, only=photos)
                self._pass(again, one, {spec.name for spec in self.steps.specs} - set(one.models))

    def _first(self, plan: Plan, one: MemoryPass, later: set[str]) -> set[int]:
        """The first pass, which reads what was never read, and the ids of the photos it met.

        A second round takes known photos that it found under new names only.
        """
        linked, met = self._pass(plan, one, later)
        if linked and self.options.limit is None and not self.options.stop():
            again = make_plan(self.library, self.steps, self.compared, self.options, only=linked)
            self.tally.due += len(again)
            before, analysed = (self.tally.done, self.tally.total), self.tally.analysed
            self._pass(again, one, later, more=before)
            self.tally.analysed = analysed  # they were counted when they were met
        return met

    def _pass(
        self, plan: Plan, one: MemoryPass, others: set[str], more: tuple[int, int] | None = None
    ) -> tuple[set[int], set[int]]:
        """Open the models of one pass and do what is due for them, and in the first pass for steps without models."""
        plan = plan.without(others | set(self.steps.skipped))
        runtime = replace(self.options.runtime, photos=len(plan), doing=self.options.doing)
        began = time.perf_counter()
        self.steps.open(plan.steps() & set(one.models), self.options.stop, runtime, one.models)
        self.tally.seconds["load"] = self.tally.seconds.get("load", 0.0) + time.perf_counter() - began
        plan = plan.without(self.steps.skipped)
        if more is None:
            self.tally.begin_pass(len(plan))
        else:
            self.tally.total = more[1] + len(plan)
        return (set(), set()) if self.options.stop() else self._work(plan, one)

    def _work(self, plan: Plan, one: MemoryPass) -> tuple[set[int], set[int]]:
        """Analyse and save what is planned. Returns known photos met in files never read before, and all photos met."""
        tally, stop, saving = self.tally, self.options.stop, self.tally.seconds.get("save", 0.0)
        analyser = Analyser(self.steps, self.library, stop, batch_limits(self.steps, one))
        analyser.seconds = {name: spent for name, spent in tally.seconds.items() if name in STEPS}
        writer = Writer(self.library, self.run_id)
        linked: set[int] = set()
        seen: set[int] = set()
        try:
            for pictures in self._pictures(plan):
                readable = [p for p in pictures if p.sha256]
                tried = [(p.file, p.problem) for p in pictures if not p.sha256 and p.problem]
                _check_roots_of(tried)
                unreadable = [(file, problem) for file, problem in tried if problem.code != _GONE]
                fresh, copies = _first_of_each(readable, seen)
                known = [p for p in fresh if not p.due and not p.problem]
                linked |= {p.photo_id for p in known}
                tally.copies += len(known) + len(copies) if tally.passes <= 1 else 0
                linked |= {p.photo_id for p in copies if p.file.sidecars}
                batch = [*analyser.analyse(fresh), *(Analysed(p.file, p.sha256, ()) for p in copies)]
                batch = _with_sidecars_read(batch)
                writer.put(batch, unreadable)
                tell_batch(batch, unreadable)
                tally.add(batch, unreadable, len(tried) - len(unreadable))
                self._show(analyser.seconds, saving + writer.waited_s)
                if stop():
                    break
        finally:
            writer.close()
            tally.seconds["save"] = saving + writer.waited_s
        return linked, seen

    def _show(self, seconds: dict[str, float], waited_s: float) -> None:
        tally = self.tally
        tally.seconds |= seconds | {"save": waited_s}
        passes = len(tally.memory.passes) if tally.memory else 1
        stage = f"analyse ({tally.passes} of {passes})" if passes > 1 else "analyse"
        self.options.progress(ScanProgress(stage, tally.done, tally.total, tally.failed, dict(tally.seconds)))

    def _pictures(self, plan: Plan) -> Iterator[list[Picture]]:
        """Batches from the decode workers, then those that need no pixels; the time waited for them is counted."""
        if plan.tasks:
            yield from self._decoded(plan)
        stored = iter(plan.stored)
        while part := list(islice(stored, _STORED_AT_ONCE)):
            yield part

    def _decoded(self, plan: Plan) -> Iterator[list[Picture]]:
        from photoindex.scan.loader import batches
        from photoindex.scan.room import Room
        from photoindex.scan.worker import WorkerJob

        memory, seconds, steps = self.tally.memory, self.tally.seconds, self.steps
        assert memory is not None
        known = np.array(self.library.catalog.photo_ids(), np.int64)
        names = tuple(spec.name for spec in steps.runnable if spec.task is None and spec.needs_pixels)
        room = Room.of(memory, str(self.library.folder / "decode.lock"))
        job = WorkerJob(names, tuple(steps.derived_names()), steps.views, known, self.options.time_limit_s, room)
        loaded = batches(plan.tasks, job, memory.batch, memory.workers, self.options.stop, memory.prefetch)
        while True:
            started = time.perf_counter()
            pictures = next(loaded, None)
            seconds["decode"] = seconds.get("decode", 0.0) + time.perf_counter() - started
            if pictures is None:
                return
            yield pictures


def _check_roots_of(unreadable: Sequence[tuple[FoundFile, Problem]]) -> None:
    """Raises RootLost where the folder went, so that thousands of files are not blamed for it."""
    for root in {file.root for file, problem in unreadable if problem.code in _MAYBE_LOST}:
        check_still_there(root)


def _with_sidecars_read(batch: Sequence[Analysed]) -> list[Analysed]:
    """What a sidecar beside another copy of a photo says was not read with the first: metadata is due again."""
    again = frozenset(with_dependents("metadata", {}))
    return [replace(a, again=again) if not a.outcomes and a.file.sidecars else a for a in batch]


def _first_of_each(pictures: Sequence[Picture], seen: set[int]) -> tuple[list[Picture], list[Picture]]:
    """Pictures whose content was not met before in this pass, and the copies of those that were."""
    fresh: list[Picture] = []
    copies: list[Picture] = []
    for picture in pictures:
        (copies if picture.photo_id in seen else fresh).append(picture)
        seen.add(picture.photo_id)
    return fresh, copies
