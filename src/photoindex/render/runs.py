"""What `photoindex runs` shows of the scans of a library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from photoindex.records import Run, RunFailure, RunStep
from photoindex.render.output import ObjectFormat, RowFormat, plain, print_json, print_rows, print_table
from photoindex.render.text import console, note, short_path, visible

COLUMNS = (
    "run",
    "outcome",
    "command",
    "started_at",
    "ended_at",
    "wall_s",
    "photos_per_s",
    "found",
    "unchanged",
    "moved",
    "missing",
    "analysed",
    "failed",
    "profile",
    "program",
    "roots",
    "error",
)
_NUMBERS = ("run", "found", "analysed", "failed", "photos/s")
_LEFT_OUT = ("photos/s", "folders", "found", "failed")  # in this order, where there is no room
_GAP = 3  # columns of a terminal between those of a table


def run_object(run: Run) -> dict[str, Any]:
    """A run as JSON has it: with the milliseconds of each step for a photo."""
    steps = {name: {**plain(step), "ms_each": step.ms_each} for name, step in run.steps.items()}
    return {**plain(run), "steps": steps}


def print_runs(runs: Sequence[Run], output: RowFormat) -> None:
    def table() -> None:
        rows = [
            (
                str(run.run),
                f"{run.started_at:%Y-%m-%d %H:%M}",
                _took(run),
                run.outcome,
                *(count(value) for value in (run.found, run.analysed, run.failed)),
                rate(run.photos_per_s),
                ", ".join(short_path(root) for root in run.roots),
            )
            for run in runs
        ]
        headers = ["run", "began (UTC)", "took", "ended", "found", "analysed", "failed", "photos/s", "folders"]
        _print_fitting(headers, rows)

    print_rows([run_object(run) for run in runs], output, COLUMNS, table)


def _print_fitting(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """On a terminal too narrow for all columns, without the last that `_LEFT_OUT` names: no date is broken."""
    left, out = [*headers], iter(_LEFT_OUT)
    while sys.stdout.isatty() and _width(headers, rows, left) > console().width and (name := next(out, None)):
        left.remove(name)
    chosen = [headers.index(name) for name in left]
    print_table(left, [[row[at] for at in chosen] for row in rows], right=(*_NUMBERS, "took"))
    if len(left) < len(headers):
        note("The window is too narrow for all columns: `photoindex runs show RUN` has everything.")


def _width(headers: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[str]) -> int:
    from rich.cells import cell_len

    columns = dict(zip(headers, zip(headers, *rows, strict=True), strict=True))
    return sum(max(map(cell_len, columns[name])) + _GAP for name in shown) - _GAP


def print_run(run: Run, failures: Sequence[RunFailure], output: ObjectFormat) -> None:
    if output is ObjectFormat.json:
        print_json({**run_object(run), "failures": plain([*failures])})
        return
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    found = [(name, getattr(run, name)) for name in ("unchanged", "moved", "missing")]
    details = ", ".join(f"{value:,} {name}" for name, value in found if value)
    facts = [
        ("run", str(run.run)),
        ("began", f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC, by `{run.command}`"),
        ("ended", _ended(run)),
        ("folders", ", ".join(short_path(root) for root in run.roots)),
        ("found", count(run.found) + (f"  ({details})" if details else "")),
        ("analysed", count(run.analysed) + (f"  ({rate(run.photos_per_s)} photos/s)" if run.photos_per_s else "")),
        ("failed", count(run.failed)),
        ("profile", run.profile or ""),
        ("program", f"photoindex {run.program}" + (f"; {versions}" if versions else "")),
        ("time", ", ".join(f"{name} {lasted(spent)}" for name, spent in run.seconds.items())),
    ]
    print_table(["", ""], [(name, value) for name, value in facts if value])
    if run.steps:
        numbers = ("done", "failed", "skipped", "work", "ms a photo")
        rows = [_step(name, step) for name, step in run.steps.items()]
        print_table(["step", *numbers, "model", "runtime"], rows, right=numbers)
    if failures:
        print_table(["failed", "step", "why"], [(short_path(f.path), f.step, visible(f.message)) for f in failures])


def _took(run: Run) -> str:
    """When a scan was killed nobody knows: after what it saved last."""
    if run.outcome == "killed":
        return "-" if run.wall_s is None else f"> {lasted(run.wall_s)}"
    return lasted(run.wall_s)


def _ended(run: Run) -> str:
    if run.outcome == "running":
        return f"not yet: it has run for {lasted(run.wall_s)}"
    if run.outcome == "killed":
        return (
            "killed before it had saved anything"
            if run.wall_s is None
            else f"killed after {lasted(run.wall_s)} or more"
        )
    return f"{run.outcome} after {lasted(run.wall_s)}" + (f": {visible(run.error)}" if run.error else "")


def _step(name: str, step: RunStep) -> tuple[str, ...]:
    each = "" if step.ms_each is None else f"{step.ms_each:,.1f}"
    spent = "" if step.seconds is None else lasted(step.seconds)
    numbers = (f"{step.done:,}", f"{step.failed:,}", f"{step.skipped:,}")
    return (name, *numbers, spent, each, step.model or "", step.runtime or "")


def count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def lasted(seconds: float | None) -> str:
    """`0.4 s`, `3 min 12 s`, `2 h 5 min`"""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
