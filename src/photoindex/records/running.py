"""How the models of one command are to be run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _say_nothing(_: str) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How the models of one command are to be run; made by the command, passed down.

    `runtime`: a family (`openvino`) or an exact name (`openvino-cpu-f32`); None lets photoindex choose.
    `memory_bytes`: what models and their batches may take; `threads` of a model on the CPU; None leaves each to
    the machine. `photos`: how many will go through, by which it is decided whether measuring pays. `tell` is given
    one line for each change of runtime on the way, `doing` what takes long, before it begins. Measuring ends early
    once `stop` answers True.
    """

    runtime: str | None = None
    memory_bytes: int | None = None
    threads: int | None = None
    photos: int | None = None
    tell: Callable[[str], None] = _say_nothing
    doing: Callable[[str], None] = _say_nothing
    stop: Callable[[], bool] = _never


AUTOMATIC = RuntimeOptions()
