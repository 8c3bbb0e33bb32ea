"""The scan, as the list of its stages."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from photoindex.models.registry import Registry
from photoindex.models.spec import ModelSpec, Task
from photoindex.models.words import read_categories
from photoindex.records import ScanReport
from photoindex.runtimes.selection import check_runtime
from photoindex.runtimes.session import Interrupted
from photoindex.scan.calibrate import prepare_search
from photoindex.scan.chosen import chosen_models, models_asked_for, remember_profile, with_optional
from photoindex.scan.history import begin_run, end_run, tell_walk
from photoindex.scan.options import ScanOptions
from photoindex.scan.roots import Comparison, check_roots, compare
from photoindex.scan.steps import Steps, resolve_steps, told_and_stopped
from photoindex.scan.switching import EMBEDDING, describe, settle_embedding, take_back_vectors
from photoindex.scan.tagging import begin_tagging
from photoindex.scan.touched import compare_parts
from photoindex.scan.work import Tally, Work
from photoindex.steps import STEPS, choose_steps, with_dependents
from photoindex.store.library import Library

CATEGORIES = "categories"


def scan(
    library: Library, roots: Sequence[str], registry: Registry, models_dir: Path, options: ScanOptions
) -> ScanReport:
    """Bring `library` up to date with the pictures below `roots`.

    Needs the library opened with `Library.writing`. Photos are only ever read. Raises the Root*, Unknown* and
    Library* errors; what goes wrong with a single photo is in the ledger and counted in the report, and never
    stops the scan. Raises MemoryTooSmall where `options.max_memory` is too little for any scan. A scan that ends by
    an error is noted as failed; what it had saved is kept. Where `options.only` says what to look at and nothing has
    changed there, or a scan is stopped before it knows its models, no run is noted and the report's `run_id` is 0.
    """
    started = time.monotonic()
    specs = choose_steps(options.steps)
    choose_steps(options.rescan)
    check_runtime(options.runtime.runtime, [spec.name for spec in STEPS.values() if spec.task])
    folders = check_roots(roots)
    models = chosen_models(library, registry, options.profile)
    expected = with_optional(choose_steps(None), models)
    if options.steps is None:
        specs = expected
    asked, follow = models_asked_for(registry, models, options.steps), told_and_stopped(options.stop, options.doing)
    try:
        steps = resolve_steps(specs, registry, asked, models_dir, follow)
    except Interrupted:
        return _report(0, [], Tally(), Steps(specs), started, options)
    compared = [_compared(library, root, options) for root in folders]
    steps.tell, steps.kept = options.tell, options.kept
    tally = Tally(seconds={"walk": time.monotonic() - started})
    if options.only is not None and not any(result.changed for result in compared):
        return _report(0, compared, tally, steps, started, options)
    if options.dry_run:
        planned = Work(library, steps, compared, 0, tally, options).plan()
        steps.check_overrides(planned.steps(), options.runtime.runtime)
        return _report(0, compared, tally, steps, started, options)
    if options.rescan or options.retry_failed:  # what is in the way shows before anything done is forgotten
        plan = Work(library, steps, compared, 0, Tally(), replace(options, dry_run=True)).plan()
        steps.check_overrides(plan.steps(), options.runtime.runtime, replace(options.runtime, stop=options.stop))
    _found_categories(library)
    run_id = begin_run(library, folders, remember_profile(library, options.profile), steps, options)
    try:
        library.catalog.set_setting("steps", ",".join(spec.name for spec in expected))
        _prepare(library, steps, models_dir)
        if options.only is None:
            _sweep(library)
        _record_files(library, compared, models, options)
        try:
            Work(library, steps, compared, run_id, tally, options).run()
        finally:
            steps.close(keep=tally.passes <= 1)  # what fits only in turns must not wait in memory
        _settle(library, steps, options)
        steps.notes += prepare_search(library, registry, models_dir, options.stop, options.doing)
    except Exception as error:
        end_run(library, "failed", _report(run_id, compared, tally, steps, started, options), error)
        raise
    report = _report(run_id, compared, tally, steps, started, options)
    end_run(library, "interrupted" if report.interrupted else "finished", report)
    return report


def _compared(library: Library, root: str, options: ScanOptions) -> Comparison:
    if options.only is not None:
        return compare_parts(library, root, options.only.get(root, {}), options)
    return compare(root, library.catalog.known_files(root), library.folder, options)


def _prepare(library: Library, steps: Steps, models_dir: Path) -> None:
    """Bring catalog and vectors in line with each other and with the models in use."""
    library.expect_versions(steps.versions())
    take_back_vectors(library, steps)
    if "tags" in steps.installed:
        steps.notes += begin_tagging(library, steps.installed["tags"].spec, models_dir)
    if "embedding" in steps.installed and EMBEDDING not in library.catalog.settings():
        library.catalog.set_setting(EMBEDDING, steps.embedding_model or "")  # searched as soon as there are vectors


def _found_categories(library: Library) -> None:
    """A new library begins with the categories that come with photoindex; from then on they are the user's."""
    if CATEGORIES not in library.catalog.settings():
        library.catalog.set_categories(read_categories())
        library.catalog.set_setting(CATEGORIES, "set")


def _sweep(library: Library) -> None:
    """Drop what a killed scan had written to the vectors but not yet to the catalog."""
    known = np.array(library.catalog.photo_ids(), np.int64)
    for table in library.vectors.tables():
        library.vectors.sweep(table, known)


def _record_files(
    library: Library, compared: Sequence[Comparison], models: Mapping[Task, ModelSpec], options: ScanOptions
) -> None:
    """Everything that the walk alone tells: no file is read for it."""
    tell_walk(compared)
    for result in compared:
        catalog = library.catalog
        if result.placed or result.moved_from:
            catalog.place_files(result.placed, result.moved_from)
        if result.residecared:
            catalog.sidecars_changed(result.residecared, with_dependents("metadata", models))
        if result.missing:
            catalog.mark_missing(result.missing)
        if not options.stop():
            for folder, deep in result.looked_at.items():
                catalog.replace_walk_problems(folder, result.problems_in(folder, deep), deep)
        among = result.seen if options.include or options.exclude or result.parts is not None else None
        for step in {name for asked in options.rescan for name in with_dependents(asked, models)}:
            catalog.make_due(result.root, step=step, among=among)
        if options.retry_failed:
            catalog.make_due(result.root, failed=True, among=among)


def _settle(library: Library, steps: Steps, options: ScanOptions) -> None:
    """Remember which vectors to search, and tidy the vector store after new rows."""
    if (change := settle_embedding(library, steps)) is not None:
        done = "Searching uses the new vectors now" if change.complete else "Searching uses the old vectors until then"
        steps.notes.append(f"{describe(change)}. {done}.")
    if not options.stop():  # even where no photo was analysed: moved files and an upgrade change texts, too
        library.vectors.compact(options.doing)


def _report(
    run_id: int,
    compared: Sequence[Comparison],
    tally: Tally,
    steps: Steps,
    started: float,
    options: ScanOptions,
) -> ScanReport:
    return ScanReport(
        run_id=run_id,
        found=sum(c.found for c in compared),
        unchanged=sum(c.unchanged for c in compared),
        moved=sum(len(c.moved_from) for c in compared),
        missing=sum(len(c.missing) for c in compared),
        due=tally.due,
        analysed=tally.analysed,
        failed=tally.failed + sum(len(c.problems) for c in compared),
        interrupted=options.stop(),
        wall_s=time.monotonic() - started,
        steps={name: dict(counts) for name, counts in tally.steps.items()},
        seconds=dict(tally.seconds),
        skipped=dict(steps.skipped),
        notes=tuple(steps.notes),
        memory=tally.memory,
        work_s=dict(tally.work_s),
        models=dict(tally.models),
        runtimes=dict(tally.runtimes),
        copies=tally.copies,
    )
