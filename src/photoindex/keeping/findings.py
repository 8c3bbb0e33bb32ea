"""What a check finds and a repair does, as records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `code` is a stable word for scripts, `message` a sentence, `count` how many of them
    there are, `advice` what to do about it: a warning mends itself with the next scan, a problem does not."""

    level: Level
    code: str
    message: str
    count: int = 0
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Repaired:
    """One thing that was mended, in words, and of how many."""

    code: str
    message: str
    count: int


def worst(findings: Iterable[Finding]) -> Level:
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")


REPAIR = "`photoindex check --repair` mends it."
