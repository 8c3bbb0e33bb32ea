"""What is remembered of a scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

RunOutcome = Literal["running", "done", "interrupted", "killed", "failed"]


@dataclass(frozen=True, slots=True)
class RunStep:
    """What a scan did in one step.

    `seconds`: the work on its photos, added up over the processes that did it at the same time; None where it is not
    known. `model` and `runtime` of the last photo.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float | None = None
    model: str | None = None
    runtime: str | None = None

    @property
    def ms_each(self) -> float | None:
        """Milliseconds of work for a photo."""
        count = self.done + self.failed
        return None if self.seconds is None or not count else self.seconds * 1000 / count


@dataclass(frozen=True, slots=True)
class Run:
    """A scan as the library remembers it. Times are UTC; those of a killed one reach to what it saved last, and are
    None where it had saved nothing.

    `seconds` by stage, as in ScanReport; `versions` of the packages it ran with; `error`: why it failed. What a
    photoindex before this noted less of is None or empty.
    """

    run: int
    outcome: RunOutcome
    command: str
    started_at: datetime
    ended_at: datetime | None
    wall_s: float | None
    photos_per_s: float | None
    found: int | None
    unchanged: int | None
    moved: int | None
    missing: int | None
    analysed: int | None
    failed: int | None
    roots: tuple[str, ...]
    profile: str | None
    program: str
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    notes: tuple[str, ...] = ()
    steps: Mapping[str, RunStep] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFailure:
    """What failed for a photo in one scan and has not been done since."""

    path: str
    step: str
    code: str
    message: str
