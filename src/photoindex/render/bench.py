"""What bench prints: a line a stage, beside an earlier run where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from photoindex.doctor.bench import BenchRun, Ratio, StageResult, differences, disturbed
from photoindex.render.doctor import NEGLIGIBLE
from photoindex.render.output import plain, print_table
from photoindex.render.text import note


def bench_object(run: BenchRun, before: BenchRun | None, ratios: Sequence[Ratio]) -> dict[str, Any]:
    """The JSON object that docs/json.md describes."""
    found: dict[str, Any] = plain(run)
    if before is not None:
        found["comparison"] = {"stages": plain(list(ratios)), "differences": differences(before, run)}
    return found


def print_bench(run: BenchRun, before: BenchRun | None, ratios: Sequence[Ratio]) -> None:
    old = {ratio.stage: ratio for ratio in ratios}
    headers = ["stage", "pictures/s", "spread", *(["before", "ratio", ""] if before else []), "runtime"]
    shown = [stage for stage in run.stages if (stage.median or 0.0) < NEGLIGIBLE]
    rows = [_row(stage, old.get(stage.stage) if before else None, bool(before)) for stage in shown]
    print_table(headers, rows, right=("pictures/s", "spread", "before", "ratio"))
    for text in differences(before, run) if before else ():
        note(text)
    busy = disturbed(run)
    if busy:
        note(busy)
    for stage in run.stages:
        if stage.problem:
            note(f"{stage.stage}: {stage.problem}")


def _row(stage: StageResult, ratio: Ratio | None, compared: bool) -> list[str]:
    spread = f"{_rate(stage.low)} to {_rate(stage.high)}" if stage.median else "-"
    beside = []
    if compared:
        known = ratio is not None and ratio.ratio is not None
        verdict = "?" if ratio is None or ratio.verdict == "unknown" else ratio.verdict
        beside = [_rate(ratio.before if ratio else None), f"{ratio.ratio:.2f}" if ratio and known else "-", verdict]
    return [stage.stage, _rate(stage.median), spread, *beside, stage.runtime or ""]


def _rate(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
