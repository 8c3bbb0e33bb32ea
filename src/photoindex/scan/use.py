"""Changing the model that does a task in a library, and building what has to be there before it is used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from photoindex.models.download import Progress, unheard
from photoindex.models.identity import fingerprint
from photoindex.models.install import locate
from photoindex.models.registry import Registry
from photoindex.models.spec import ZERO_SHOT, ModelSpec, Task
from photoindex.records import ModelChange, ScanReport
from photoindex.scan.chosen import choose_model, chosen_models
from photoindex.scan.documents import write_due_documents
from photoindex.scan.options import ScanOptions
from photoindex.scan.run import scan
from photoindex.scan.steps import resolve_steps
from photoindex.scan.switching import due_photos, pending_change, settle_embedding, take_back_vectors
from photoindex.steps import STEPS
from photoindex.store.library import Library


@dataclass(frozen=True, slots=True)
class Used:
    """What choosing a model did.

    `chosen`: the model of each task that changed; `change`: vectors that are not complete yet; `due`: photos that the
    next scan does again, by task; `report`: of the scan that was made at once; `unreachable`: folders of the library
    that are not there now; `switched`: the change that was complete without a scan, as vectors lay there from before.
    """

    chosen: Mapping[Task, str]
    change: ModelChange | None
    due: Mapping[Task, int]
    report: ScanReport | None = None
    unreachable: tuple[str, ...] = ()
    switched: ModelChange | None = None


def use_model(
    library: Library,
    registry: Registry,
    models_dir: Path,
    spec: ModelSpec,
    options: ScanOptions | None,
    progress: Progress = unheard,
) -> Used:
    """Let `spec` do its task in `library` from now on, and remember that.

    New vectors are built at once as `options` say (not with None), and searched when they are complete; broken off,
    the next scan goes on. Those that lie there complete from before are searched at once. Other tasks are done again
    by the next scan. `progress` is told of weights that are read for the first time; where it raises, nothing has been
    chosen. Needs the library opened with `Library.writing`. Raises ModelMissing, ModelBroken, UsageError, and what
    `scan` raises.
    """
    fingerprint(locate(registry, spec, models_dir), progress)
    chosen = choose_model(library, registry, spec)
    tasks = _with_dependents(library, registry, spec.task)
    switched = _take_back(library, registry, models_dir)
    roots = library.queries.status().roots
    there = [root for root in roots if os.path.isdir(root)]
    report = None
    if (
        spec.task == "embedding"
        and options is not None
        and there
        and any(due_photos(library, registry, models_dir, task) for task in tasks)
    ):
        report = scan(library, there, registry, models_dir, replace(options, steps=tasks))
    if report is None:
        stop, doing = (options.stop, options.doing) if options else (lambda: False, lambda _: None)
        write_due_documents(library, stop=stop, doing=doing)  # which a run killed at its very end has left
    return Used(
        chosen={task: model.name for task, model in chosen.items()},
        change=pending_change(library, registry, models_dir),
        due={task: due_photos(library, registry, models_dir, task) for task in tasks},
        report=report,
        unreachable=tuple(root for root in roots if root not in there),
        switched=switched,
    )


def _with_dependents(library: Library, registry: Registry, task: Task) -> tuple[Task, ...]:
    """A task, and tags where they build on the vectors that it makes."""
    tags = chosen_models(library, registry).get("tags")
    return (task, "tags") if task == "embedding" and tags and tags.architecture == ZERO_SHOT else (task,)


def _take_back(library: Library, registry: Registry, models_dir: Path) -> ModelChange | None:
    """Returns the change that is complete by what was taken back."""
    steps = resolve_steps([STEPS["embedding"]], registry, chosen_models(library, registry), models_dir)
    library.expect_versions(steps.versions())
    take_back_vectors(library, steps)
    change = settle_embedding(library, steps)
    return change if change is not None and change.complete else None
