"""What doctor and bench print: calm, in order, within 80 columns, each problem followed by what to do."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from photoindex.doctor.measure import Stage
from photoindex.doctor.models import ModelFacts
from photoindex.doctor.records import Finding, Gpu, Machine
from photoindex.doctor.report import Examination
from photoindex.records import MemoryPlan
from photoindex.render.output import plain
from photoindex.render.text import console, short_path, size, visible

if TYPE_CHECKING:
    from photoindex.runtimes.inventory import InstalledRuntime

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_WIDEST, _USUAL, _LABEL, _BAR = 100, 80, 12, 20
NEGLIGIBLE = 5_000.0  # pictures a second; such a stage says nothing to people
_WHY_NOT = {"weights_missing": "skipped: its weights are not installed", "model_unusable": "skipped: see below"}
_SHOWN_PACKAGES = ("lancedb", "duckdb", "pillow", "open-clip-torch", "transformers")


def examination_object(found: Examination) -> dict[str, Any]:
    """The JSON object that docs/json.md describes."""
    library = None
    if found.library is not None:
        library = plain(found.library)
        library["error"] = str(found.library.error) if found.library.error else None
        del library["option"]
    return {
        "version": found.version,
        "level": found.level,
        "profile": found.profile,
        "machine": plain(found.machine),
        "models": [plain(model) for model in found.models],
        "memory": plain(found.memory),
        "stages": [_stage_object(stage) for stage in found.stages],
        "samples": found.samples or None,
        "bottleneck": plain(found.bottleneck),
        "library": library,
        "findings": [plain(finding) for finding in found.findings],
    }


def _stage_object(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = plain(stage)
    return {"name": found.pop("name"), "rate": stage.rate, "parts": len(found.pop("rates")), **found}


def print_examination(found: Examination) -> None:
    page = _Page()
    page.heading(f"photoindex {found.version}, Python {found.machine.python}, {found.machine.system}")
    page.rows(_machine_rows(found.machine))
    page.findings(_of(found, "machine"))
    page.heading(f"Models of the profile {found.profile}")
    for model in found.models:
        page.rows([(model.task, _model_text(model))])
    page.rows([("memory", _memory_text(found.memory))] if found.memory else [])
    page.findings(_of(found, "models"))
    if found.stages:
        page.heading(f"Pictures a second ({found.samples})")
        page.rows(_stage_rows(found.stages))
        page.rows(_expected(found))
        page.findings(_of(found, "speed"))
    page.heading("Library")
    page.rows([("place", short_path(found.library.folder) if found.library else "none yet: photoindex scan FOLDER")])
    page.findings(_of(found, "library"), shown=("ok", "warning", "problem"))
    page.summary(found.findings)


class _Page:
    """Lines of bounded width; where stdout is a terminal, the words of levels have colours."""

    def __init__(self) -> None:
        self._console = console()
        terminal = sys.stdout.isatty()
        self._width = min(_WIDEST, shutil.get_terminal_size((_USUAL, 24)).columns) if terminal else _USUAL
        self._begun = False

    def heading(self, text: str) -> None:
        if self._begun:
            self._line("")
        self._begun = True
        self._line(text, style="bold")

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        for label, text in rows:
            self._wrapped(f"  {label:<{_LABEL}}", text)

    def findings(self, findings: Sequence[Finding], shown: Sequence[str] = ("warning", "problem")) -> None:
        for finding in findings:
            if finding.level in shown:
                self._finding(finding)

    def summary(self, findings: Sequence[Finding]) -> None:
        counts = {level: sum(finding.level == level for finding in findings) for level in ("problem", "warning")}
        said = [f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts.items() if count]
        self.heading(", ".join(said) + "." if said else "All is well.")

    def _finding(self, finding: Finding) -> None:
        self._wrapped(f"  {finding.level:<{_LABEL}}", finding.message, _STYLES[finding.level])
        if finding.level == "ok":
            return
        if finding.advice:
            self._wrapped(" " * (_LABEL + 2), finding.advice)
        for command in finding.commands:  # never wrapped, so that it can be copied
            self._line(" " * (_LABEL + 4) + visible(command))

    def _wrapped(self, label: str, text: str, style: str | None = None) -> None:
        room = self._width - len(label)
        lines = textwrap.wrap(visible(text), room, break_long_words=False, break_on_hyphens=False) or [""]
        self._line(label, lines[0], style=style)
        for line in lines[1:]:
            self._line(" " * len(label) + line)

    def _line(self, first: str, rest: str = "", style: str | None = None) -> None:
        from rich.text import Text

        self._console.print(Text.assemble((first, style or ""), rest), no_wrap=True, overflow="ignore", crop=False)


def _of(found: Examination, area: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.area == area]


def _machine_rows(machine: Machine) -> Iterator[tuple[str, str]]:
    cpu, memory = machine.cpu, machine.memory
    yield "processor", ", ".join([cpu.name, *cpu.features])
    limit = "" if cpu.usable >= cpu.cores else " (limited)"
    yield "cores", f"{cpu.usable:g} of {cpu.cores}{limit}"
    bounded = " (limited)" if memory.limited else ""
    yield "memory", f"{size(memory.total)}{bounded}, {size(memory.available)} free"
    yield "GPU", "; ".join(map(_gpu_text, machine.gpus)) or "none"
    for runtime in machine.runtimes:
        yield runtime.name, _runtime_text(runtime)
    packages = [f"{name} {machine.packages[name]}" for name in _SHOWN_PACKAGES if name in machine.packages]
    yield "packages", ", ".join([*_opencv_text(machine), *packages])
    yield "disks", "; ".join(f"{disk.use} {size(disk.free)} free" for disk in machine.disks)


def _gpu_text(gpu: Gpu) -> str:
    facts = [gpu.name, *([size(gpu.memory)] if gpu.memory else []), *([f"driver {gpu.driver}"] if gpu.driver else [])]
    return ", ".join(facts) + ("" if gpu.usable or gpu.vendor != "NVIDIA" else " (its driver does not answer)")


def _runtime_text(runtime: InstalledRuntime) -> str:
    if runtime.problem:
        return f"{runtime.version} {runtime.problem}".strip()
    build = f", built for {runtime.build}" if runtime.build else ""
    return f"{runtime.version}{build}; uses {', '.join(runtime.devices)}"


def _opencv_text(machine: Machine) -> list[str]:
    if machine.opencv_problem or len(machine.opencvs) != 1:
        return []
    return [f"OpenCV {machine.packages.get(machine.opencvs[0], '')} (one, and it works)"]


def _model_text(model: ModelFacts) -> str:
    if model.stand_in:
        return f"{model.model}: not installed; {model.stand_in}, which comes along, stands in"
    if model.state != "installed":
        return f"{model.model}: {'not installed' if model.state == 'missing' else 'cannot be used'}"
    runs = f" on {model.runtime}" if model.runtime else ""
    said = f"{model.model}{runs}: {model.why}" if model.why else f"{model.model}{runs}"
    others = [way.runtime + (f" {way.rate:.1f}/s" if way.rate else "") for way in model.ways if way.usable]
    others = [name for name in others if name.split()[0] != model.runtime]
    failed = [f"{way.runtime} ({way.refused})" for way in model.ways if way.refused and not way.absent]
    then = f"; then {', '.join(others)}" if others else ""
    searches = f"; searches on {model.search_runtime}" if model.search_runtime else ""
    return said + then + (f"; not {'; '.join(failed)}" if failed else "") + searches


def _memory_text(plan: MemoryPlan) -> str:
    times = "once" if len(plan.passes) < 2 else f"{len(plan.passes)} times"
    workers = f"{plan.workers} decode worker{'s' if plan.workers > 1 else ''}"
    return f"a scan takes {size(plan.bytes)} of at most {size(plan.budget)}: {workers}, photos gone through {times}"


def _stage_rows(stages: Sequence[Stage]) -> Iterator[tuple[str, str]]:
    slowest = max((1 / stage.rate for stage in stages if stage.rate), default=1.0)
    for stage in stages:
        if stage.rate and stage.rate > NEGLIGIBLE:
            continue
        if stage.rate:
            bar = "#" * max(1, round(_BAR / stage.rate / slowest))
            yield stage.name, f"{_rate(stage.rate):>8}  {bar:<{_BAR}}  {stage.runtime or ''}".rstrip()
        else:
            yield stage.name, f"{'-':>8}  {_WHY_NOT.get(stage.skipped or '', stage.problem or 'not measured')}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _expected(found: Examination) -> Iterator[tuple[str, str]]:
    slowest = found.bottleneck
    if slowest is not None:
        yield "bottleneck", f"{slowest.stage}, with {slowest.share:.0%} of the time (the bars show each stage's share)"
        yield "a scan", f"of such pictures would do about {_rate(slowest.expected)} a second"
