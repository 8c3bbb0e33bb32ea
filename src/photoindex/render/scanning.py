"""A scan as a person follows it: progress on stderr while it runs, a summary at the end."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Protocol

from photoindex.pure.sizes import show_size
from photoindex.records import MemoryPlan, ModelShare, ScanReport
from photoindex.render.output import ObjectFormat, ScanFormat, plain, print_json, print_table
from photoindex.render.text import console, hung, remark, visible
from photoindex.scan.options import ScanProgress

_LINE_EVERY_S = 10.0
DECODE = "decode"
_SILENCE_S = 2.0  # after so long, what is about to take long is told at once
_STAGES = {"decode": "decoding", "save": "saving", "walk": "walking"}


class ProgressView(Protocol):
    def show(self, progress: ScanProgress) -> None: ...
    def note(self, line: str) -> None: ...
    def __enter__(self) -> ProgressView: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress_view() -> ProgressView:
    """A live bar where stderr is a terminal, a plain line now and then where it is not."""
    return _Bar() if sys.stderr.isatty() else _Lines()


class _Bar:
    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[extra]}"),
        )
        self._progress = Progress(*columns, console=console(error=True), transient=True)
        self._task = self._progress.add_task("walk", total=None, rate="", extra="")
        self._started: float | None = None

    def show(self, progress: ScanProgress) -> None:
        rate = ""
        if progress.stage == "analyse":
            self._started = self._started or time.monotonic()
            spent = time.monotonic() - self._started
            rate = f"{progress.done / spent:.1f}/s" if spent > 1 else ""
        self._progress.update(
            self._task,
            description=visible(progress.stage),
            completed=progress.done,
            total=progress.total,
            rate=rate,
            extra=_extra(progress),
        )

    def note(self, line: str) -> None:
        target = self._progress.console
        target.print(hung(visible(line), target.width, 2), markup=False, soft_wrap=True)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


class _Lines:
    def __init__(self) -> None:
        self._last = time.monotonic()
        self._started = self._last

    def show(self, progress: ScanProgress) -> None:
        now = time.monotonic()
        starts_waiting = progress.is_waiting and now - self._last > _SILENCE_S
        if now - self._last < _LINE_EVERY_S and progress.done != progress.total and not starts_waiting:
            return
        self._last = now
        if progress.is_waiting:
            print(visible(progress.stage), file=sys.stderr, flush=True)
            return
        total = f" of {progress.total}" if progress.total is not None else ""
        extra = _extra(progress)
        rate = f", {progress.done / (now - self._started):.1f}/s" if progress.stage == "analyse" else ""
        line = f"{progress.stage}: {progress.done}{total}{rate}{', ' + extra if extra else ''}"
        print(line, file=sys.stderr, flush=True)

    def note(self, line: str) -> None:
        print(visible(line), file=sys.stderr, flush=True)

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _extra(progress: ScanProgress) -> str:
    parts = [f"{progress.failed} with problems"] if progress.failed else []
    slowest = bottleneck(progress.seconds)
    return ", ".join([*parts, f"busiest: {slowest}"] if slowest else parts)


def bottleneck(seconds: dict[str, float]) -> str | None:
    """The stage that the scan spent most time in, or waiting for; None while there is nothing to compare."""
    spent = {name: value for name, value in seconds.items() if name not in ("walk", "load")}
    if not spent or sum(spent.values()) < 1:
        return None
    name = max(spent, key=lambda n: spent[n])
    return f"{_STAGES.get(name, name)} {spent[name] / sum(spent.values()):.0%}"


def print_report(report: ScanReport, output: ObjectFormat | ScanFormat) -> None:
    """The end of a scan: counts, what each step did, why a step did not run and what to do."""
    if output is ScanFormat.ndjson:
        print(json.dumps(plain(report)), flush=True)
        return
    if output in (ObjectFormat.json, ScanFormat.json):
        print_json(plain(report))
        return
    if report.run_id == 0:
        if report.interrupted:
            remark("Stopped as asked; nothing was saved yet.")
        else:
            _print_dry_run(report)
        return
    rate = f"  ({report.analysed / report.wall_s:.1f}/s)" if report.analysed and report.wall_s else ""
    facts = [
        ("found", f"{report.found:,}"),
        ("unchanged", f"{report.unchanged:,}"),
        *([("moved", f"{report.moved:,}")] if report.moved else []),
        *([("missing", f"{report.missing:,}")] if report.missing else []),
        ("analysed", f"{report.analysed:,} in {report.wall_s:.1f} s{rate}"),
        *([("copies", f"{report.copies:,} of these, analysed once with what they copy")] if report.copies else []),
        ("problems", f"{report.failed:,}" + ("  see `photoindex failures`" if report.failed else "")),
    ]
    slowest = bottleneck(dict(report.seconds))
    print_table(["", ""], [*facts, *([("busiest", slowest)] if slowest else [])])
    _print_steps(report)
    _print_notes(report)


def _print_dry_run(report: ScanReport) -> None:
    facts = [
        ("found", report.found),
        ("unchanged", report.unchanged),
        ("moved", report.moved),
        ("missing", report.missing),
        ("to analyse", report.due),
    ]
    print_table(["", ""], [(name, f"{count:,}") for name, count in facts])
    if report.memory is not None:
        _print_memory(report.memory)
    _print_notes(report)
    remark("A dry run: nothing was read or saved.")


def _print_memory(plan: MemoryPlan) -> None:
    facts = [
        ("memory", f"{show_size(plan.bytes)} of the {show_size(plan.budget)} that it may take (--max-memory)"),
        ("decoding", f"workers: {plan.workers}, photos a batch: {plan.batch}, batches ready a worker: {plan.prefetch}"),
        ("pictures", f"up to {plan.max_pixels / 1e6:,.0f} megapixels decoded"),
    ]
    for number, one in enumerate(plan.passes, start=1):
        name = f"pass {number}" if len(plan.passes) > 1 else "models"
        facts.append((name, f"{', '.join(map(_shared, one.models.items()))}: {show_size(one.bytes)}"))
    print_table(["", ""], facts)


def _shared(model: tuple[str, ModelShare]) -> str:
    step, share = model
    parts = [f"{share.batch} at once"] if share.batch > 1 else []
    parts += [f"on {share.runtime}, which takes less"] if share.runtime else []
    return f"{step} ({', '.join(parts)})" if parts else step


def _print_steps(report: ScanReport) -> None:
    states = ("done", "failed", "skipped")
    rows = [[name, *(f"{counts.get(state, 0):,}" for state in states)] for name, counts in report.steps.items()]
    rows.sort(key=lambda row: row[0] != DECODE)  # it comes first, and is noted where it failed only
    if rows and rows[0][0] == DECODE:
        rows[0] = [DECODE, "", rows[0][2], ""]
    if rows:
        print_table(["step", *states], rows, right=states)


def _print_notes(report: ScanReport) -> None:
    if not report.found and not report.interrupted:
        remark("No pictures there. Hidden files, links and other kinds of files are left alone.")
    reasons: dict[str, list[str]] = {}
    for name, problem in report.skipped.items() if report.found or report.interrupted else ():
        reasons.setdefault(problem.message, []).append(name)
    for message, names in reasons.items():
        remark(f"{', '.join(names)} did not run: {message}")
    for message in report.notes:
        remark(message)
    if report.interrupted:
        remark("Stopped as asked. What was analysed is saved; run the same command to go on.")
