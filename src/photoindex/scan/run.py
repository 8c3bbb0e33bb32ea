"""The scan, as the list of its stages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

import photoindex
from photoindex.errors import PhotoindexError
from photoindex.models.registry import DEFAULT_PROFILE, Registry
from photoindex.models.words import read_categories
from photoindex.records import Analysed, FoundFile, Picture, Problem, ScanReport
from photoindex.runtimes.selection import check_runtime
from photoindex.scan.analyse import Analyser
from photoindex.scan.calibrate import calibrate
from photoindex.scan.documents import write_due_documents
from photoindex.scan.options import DEFAULT_BATCH, ScanOptions, ScanProgress, default_workers
from photoindex.scan.plan import Plan, make_plan
from photoindex.scan.roots import Comparison, check_roots, compare
from photoindex.scan.steps import Steps, resolve_steps
from photoindex.scan.tagging import begin_tagging
from photoindex.scan.task import DECODE_VERSION
from photoindex.scan.writer import Writer
from photoindex.steps import STEPS, choose_steps, with_dependents
from photoindex.store.library import Library
from photoindex.store.vectors import DOCUMENTS, image_table

PROFILE, EMBEDDING, CATEGORIES = "profile", "embedding_model", "categories"
_STORED_AT_ONCE = 512


@dataclass(slots=True)
class _Tally:
    """What has happened so far; becomes the report."""

    steps: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    analysed: int = 0
    failed: int = 0
    total: int = 0

    def add(self, batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]]) -> None:
        self.analysed += len(batch) + len(unreadable)
        self.failed += len(unreadable)
        for item in batch:
            self.failed += any(o.status == "failed" for o in item.outcomes)
            for outcome in item.outcomes:
                self.steps.setdefault(outcome.step, Counter())[outcome.status] += 1


def scan(
    library: Library, roots: Sequence[str], registry: Registry, models_dir: Path, options: ScanOptions
) -> ScanReport:
    """Bring `library` up to date with the pictures below `roots`.

    Needs the library opened with `Library.writing`. Photos are only ever read. Raises the Root*, Unknown* and
    Library* errors; what goes wrong with a single photo is in the ledger and counted in the report, and never
    stops the scan.
    """
    started = time.monotonic()
    specs = choose_steps(options.steps)
    choose_steps(options.rescan)
    check_runtime(options.runtime.runtime, [spec.name for spec in STEPS.values() if spec.task])
    folders = check_roots(roots)
    profile_name = options.profile or library.catalog.settings().get(PROFILE, DEFAULT_PROFILE)
    steps = resolve_steps(specs, registry, registry.for_profile(profile_name), models_dir)
    compared = [compare(root, library.catalog.known_files(root), library.folder, options) for root in folders]
    tally = _Tally(seconds={"walk": time.monotonic() - started})
    if options.dry_run:
        plan = make_plan(library, steps, compared, options)
        tally.total = len(plan)
        return _report(0, compared, tally, steps, started, options)
    _found_categories(library)
    run_id = library.catalog.start_run(photoindex.__version__, folders, profile_name)
    library.catalog.set_setting(PROFILE, profile_name)
    library.catalog.set_setting("steps", ",".join(STEPS))
    library.expect_versions(steps.versions())
    if "tags" in steps.installed:
        steps.notes += begin_tagging(library, steps.installed["tags"].spec, models_dir)
    if "embedding" in steps.installed and EMBEDDING not in library.catalog.settings():
        library.catalog.set_setting(EMBEDDING, steps.embedding_model or "")  # searched as soon as there are vectors
    _sweep(library)
    _record_files(library, compared, options)
    try:
        _analyse_due(library, steps, compared, run_id, tally, options)
    finally:
        steps.close()
    _settle(library, steps, tally.analysed, options)
    if not options.stop():
        steps.notes += _calibrate(library, registry, models_dir, options)
    report = _report(run_id, compared, tally, steps, started, options)
    outcome = "interrupted" if report.interrupted else "finished"
    library.catalog.end_run(run_id, outcome, report.found, report.analysed, report.failed)
    return report


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


def _record_files(library: Library, compared: Sequence[Comparison], options: ScanOptions) -> None:
    """Everything that the walk alone tells: no file is read for it."""
    for result in compared:
        catalog = library.catalog
        if result.placed or result.moved_from:
            catalog.place_files(result.placed, result.moved_from)
        if result.residecared:
            catalog.sidecars_changed(result.residecared, with_dependents("metadata"))
        if result.missing:
            catalog.mark_missing(result.missing)
        if not options.stop():
            catalog.replace_walk_problems(result.root, result.problems)
        among = result.seen if options.include or options.exclude else None
        for step in {name for asked in options.rescan for name in with_dependents(asked)}:
            catalog.make_due(result.root, step=step, among=among)
        if options.retry_failed:
            catalog.make_due(result.root, failed=True, among=among)


def _analyse_due(
    library: Library,
    steps: Steps,
    compared: Sequence[Comparison],
    run_id: int,
    tally: _Tally,
    options: ScanOptions,
) -> None:
    """Work off what is due. A second round takes photos that the first one found under new names only."""
    plan = make_plan(library, steps, compared, options)
    tally.total = len(plan)
    if plan and not options.stop():
        options.progress(ScanProgress("load models", 0, tally.total))
        from photoindex.scan.loader import warm_up

        if plan.tasks:
            warm_up()
        steps.open(plan.steps(), options.stop, replace(options.runtime, photos=len(plan)))
        if options.stop():
            return
        linked = _work(library, steps, plan.without(steps.skipped), run_id, tally, options)
        if linked and options.limit is None and not options.stop():
            again = make_plan(library, steps, compared, options, only=linked).without(steps.skipped)
            tally.total += len(again)
            steps.open(again.steps(), options.stop, replace(options.runtime, photos=len(again)))
            _work(library, steps, again, run_id, tally, options)
    write_due_documents(library)


def _work(library: Library, steps: Steps, plan: Plan, run_id: int, tally: _Tally, options: ScanOptions) -> set[int]:
    """Analyse and save what is planned. Returns the ids of known photos met in files never read before."""
    analyser = Analyser(steps, library, options.stop)
    writer = Writer(library, run_id)
    linked: set[int] = set()
    seen: set[int] = set()
    try:
        for pictures in _pictures(plan, steps, library, tally, options):
            readable = [p for p in pictures if p.sha256]
            unreadable = [(p.file, p.problem) for p in pictures if not p.sha256 and p.problem]
            fresh, copies = _first_of_each(readable, seen)
            linked |= {p.photo_id for p in fresh if not p.due and not p.problem}
            batch = [*analyser.analyse(fresh), *(Analysed(p.file, p.sha256, ()) for p in copies)]
            writer.put(batch, unreadable)
            tally.add(batch, unreadable)
            tally.seconds |= analyser.seconds | {"save": writer.waited_s}
            options.progress(ScanProgress("analyse", tally.analysed, tally.total, tally.failed, dict(tally.seconds)))
            if options.stop():
                break
    finally:
        writer.close()
        tally.seconds["save"] = writer.waited_s
    return linked


def _first_of_each(pictures: Sequence[Picture], seen: set[int]) -> tuple[list[Picture], list[Picture]]:
    """Pictures whose content was not met before in this scan, and the copies of those that were."""
    fresh: list[Picture] = []
    copies: list[Picture] = []
    for picture in pictures:
        (copies if picture.photo_id in seen else fresh).append(picture)
        seen.add(picture.photo_id)
    return fresh, copies


def _pictures(
    plan: Plan, steps: Steps, library: Library, tally: _Tally, options: ScanOptions
) -> Iterator[list[Picture]]:
    """Batches from the decode workers, then those that need no pixels; the time waited for them is counted."""
    if plan.tasks:
        from photoindex.scan.loader import batches
        from photoindex.scan.worker import WorkerJob

        known = np.array(library.catalog.photo_ids(), np.int64)
        names = tuple(spec.name for spec in steps.runnable if spec.task is None and spec.needs_pixels)
        job = WorkerJob(names, tuple(steps.derived_names()), steps.views, known, options.time_limit_s)
        workers = options.workers or default_workers()
        loaded = batches(plan.tasks, job, options.batch_size or DEFAULT_BATCH, workers, options.stop)
        while True:
            started = time.perf_counter()
            pictures = next(loaded, None)
            tally.seconds["decode"] = tally.seconds.get("decode", 0.0) + time.perf_counter() - started
            if pictures is None:
                break
            yield pictures
    stored = iter(plan.stored)
    while part := list(islice(stored, _STORED_AT_ONCE)):
        yield part


def _settle(library: Library, steps: Steps, analysed: int, options: ScanOptions) -> None:
    """Remember which vectors to search, and tidy the vector store after new rows."""
    model = steps.embedding_model
    before = library.catalog.settings().get(EMBEDDING)
    if model and model != before and _may_replace(library, steps, before):
        library.catalog.set_setting(EMBEDDING, model)
    if analysed and not options.stop() and library.vectors.has(DOCUMENTS):
        library.vectors.compact()


def _calibrate(library: Library, registry: Registry, models_dir: Path, options: ScanOptions) -> list[str]:
    """Measure what everyday words reach, for the vectors that are searched. Returns what there is to say."""
    model = library.catalog.settings().get(EMBEDDING)
    try:
        if model is not None:
            calibrate(library, registry, models_dir, model, options.stop)
    except PhotoindexError as error:
        return [f"Searches by meaning show every photo, good match or not: {error}"]
    return []


def _may_replace(library: Library, steps: Steps, before: str | None) -> bool:
    """Another model's vectors are searched once no photo that is present lacks one."""
    wanted = [want for want in steps.wanted() if want.step == "embedding"]
    if not wanted or not library.vectors.has(image_table(wanted[0].model or "")):
        return False
    return before is None or not library.catalog.due(wanted, DECODE_VERSION)


def _report(
    run_id: int,
    compared: Sequence[Comparison],
    tally: _Tally,
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
        due=tally.total,
        analysed=tally.analysed,
        failed=tally.failed + sum(len(c.problems) for c in compared),
        interrupted=options.stop(),
        wall_s=time.monotonic() - started,
        steps={name: dict(counts) for name, counts in tally.steps.items()},
        seconds=dict(tally.seconds),
        skipped=dict(steps.skipped),
        notes=tuple(steps.notes),
    )
