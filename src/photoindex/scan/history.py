"""What a scan notes of itself: in the library's history of runs, and as events for those who listen."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import platform
from collections.abc import Iterable, Sequence
from typing import Any

import photoindex
from photoindex.errors import PhotoindexError
from photoindex.events import hears, tell
from photoindex.records import Analysed, FoundFile, MemoryPlan, Problem, ScanReport
from photoindex.runtimes.fingerprint import fingerprint
from photoindex.scan.options import ScanOptions
from photoindex.scan.roots import Comparison
from photoindex.scan.steps import Steps
from photoindex.store.library import Library

_STORES = ("duckdb", "lancedb", "pylance", "pillow", "paddleocr", "rapidocr", "insightface")
KILLED = "The scan before this one was killed. What it had saved is kept."


def begin_run(library: Library, roots: Sequence[str], profile: str, steps: Steps, options: ScanOptions) -> int:
    """Note that a scan begins, and that those which never noted their end were killed. Returns its number."""
    found = versions()
    details = {"command": options.command, "versions": found}
    run_id, killed = library.runs.start(photoindex.__version__, roots, profile, details)
    tell(
        "run_started",
        run=run_id,
        command=options.command,
        library=str(library.folder),
        roots=[*roots],
        profile=profile,
        steps=[spec.name for spec in steps.specs],
        versions=found,
    )
    for name, problem in steps.skipped.items():
        tell("step_left_out", logging.WARNING, step=name, code=problem.code, message=problem.message)
    if killed:
        steps.notes.append(KILLED)  # said at the end alone
        tell("note", message=KILLED)
    return run_id


def end_run(library: Library, outcome: str, report: ScanReport, error: Exception | None = None) -> None:
    """Note how a scan ended. After an `error` that one is to be told, so what goes wrong here then is not."""
    said = _said(error)
    with contextlib.suppress(*([PhotoindexError] if error else [])):
        library.runs.end(report.run_id, outcome, summary(report), said)
    counts = {name: getattr(report, name) for name in ("found", "unchanged", "moved", "missing", "analysed", "failed")}
    tell(
        "run_ended",
        logging.ERROR if error else logging.INFO,
        run=report.run_id,
        outcome=outcome,
        **counts,
        seconds=dict(report.seconds),
        error=said,
        duration_s=round(report.wall_s, 3),
    )


def versions() -> dict[str, str]:
    """What a scan runs with: Python, the system, and the packages whose versions change what it does."""
    found = {"python": platform.python_version(), "system": platform.platform()} | dict(fingerprint().packages)
    for name in _STORES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def summary(report: ScanReport) -> dict[str, Any]:
    """What the library keeps of a report, as JSON values; `steps` has the fields of RunStep."""
    kept = ("found", "unchanged", "moved", "missing", "due", "analysed", "failed", "wall_s")
    steps = {
        name: {
            **{status: count for status, count in counts.items() if status in ("done", "failed", "skipped")},
            "seconds": report.work_s.get(name),
            "model": report.models.get(name),
            "runtime": report.runtimes.get(name),
        }
        for name, counts in report.steps.items()
    }
    return {
        **{name: getattr(report, name) for name in kept},
        "steps": steps,
        "seconds": dict(report.seconds),
        "notes": [*report.notes],
    }


def tell_walk(compared: Iterable[Comparison]) -> None:
    """What the walk found, and each file that is not as it was."""
    for result in compared:
        if hears():
            for file in result.unread:
                tell("file_found", logging.DEBUG, path=file.path, bytes=file.size)
            for file, _ in result.placed:
                tell("file_placed", logging.DEBUG, path=file.path)
            for path in result.missing:
                tell("file_missing", logging.DEBUG, path=path)
        for path, problem in result.problems.items():
            tell("file_skipped", logging.WARNING, path=path, code=problem.code, message=problem.message)
        tell(
            "walk_ended",
            root=result.root,
            found=result.found,
            unchanged=result.unchanged,
            unread=len(result.unread),
            moved=len(result.moved_from),
            missing=len(result.missing),
            problems=len(result.problems),
        )


def tell_plan(due: int, plan: MemoryPlan) -> None:
    tell(
        "memory_planned",
        due=due,
        bytes=plan.bytes,
        budget=plan.budget,
        workers=plan.workers,
        batch=plan.batch,
        passes=[sorted(one.models) for one in plan.passes],
    )


def tell_batch(batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]]) -> None:
    """What each step did with each photo. Failures are heard by those who hear no more than milestones, too."""
    for file, problem in unreadable:
        tell("file_skipped", logging.WARNING, path=file.path, code=problem.code, message=problem.message)
    for item in batch:
        if not item.outcomes and hears():
            tell("file_known", logging.DEBUG, path=item.file.path, photo=item.sha256)
        for outcome in item.outcomes:
            facts: dict[str, Any] = {"step": outcome.step, "path": item.file.path, "photo": item.sha256}
            facts |= {"model": outcome.model, "runtime": outcome.runtime, "duration_s": round(outcome.ms / 1000, 6)}
            if outcome.problem is not None:
                facts |= {"code": outcome.problem.code, "message": outcome.problem.message}
            level = logging.WARNING if outcome.status == "failed" else logging.DEBUG
            tell(f"step_{outcome.status}", level, **facts)


def _said(error: Exception | None) -> str | None:
    if error is None:
        return None
    return str(error) if isinstance(error, PhotoindexError) else f"{type(error).__name__}: {error}"
