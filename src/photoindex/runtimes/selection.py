"""What the user asked for: `--runtime NAME`, for all models or for those of single steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from photoindex.errors import RuntimeRefused, UsageError
from photoindex.runtimes.candidates import FAMILIES

_ALSO = ("paddleocr", "opencv")  # what runs the models of helper libraries


def runtime_for(asked: str | None, step: str) -> str | None:
    """What `asked` says of one step: `openvino`, or `embedding=torch-cpu-f32,ocr=openvino`, or both.

    A name without a step is for all steps that are not named. Raises UsageError for what is neither.
    """
    found = None
    for part in (asked or "").split(","):
        name, separator, value = part.strip().rpartition("=")
        if separator and (not name or not value):
            raise UsageError(f"--runtime: {part!r} is no choice. Write NAME or STEP=NAME, such as embedding=openvino.")
        if name == step or (not separator and value and found is None):
            found = value
    return found


def check_runtime(asked: str | None, steps: Sequence[str]) -> None:
    """Raises UsageError where `asked` names a family or a step that does not exist."""
    for part in (asked or "").split(","):
        name, separator, value = part.strip().rpartition("=")
        if separator and name not in steps:
            raise UsageError(f"--runtime: no step is called {name!r}. There are: {', '.join(steps)}.")
        if (asked or "").strip() and value.partition("-")[0] not in (*FAMILIES, *_ALSO):
            raise UsageError(f"--runtime: no runtime is called {value!r}. The families are: {', '.join(FAMILIES)}.")


def matches(wanted: str, name: str) -> bool:
    """Whether `name` (openvino-cpu-bf16) is what `wanted` (openvino, openvino-cpu, openvino-cpu-bf16) asks for."""
    return name == wanted or name.startswith(f"{wanted}-")


class Choice(Protocol):
    """What can be selected: a Candidate, or a step's own way to run its model. See Candidate for the fields."""

    @property
    def name(self) -> str: ...

    @property
    def absent(self) -> str | None: ...

    @property
    def only_asked(self) -> bool: ...


C = TypeVar("C", bound=Choice)


def select(found: Sequence[C], wanted: str | None, model: str) -> list[C]:
    """Those of `found` that the user allows and the machine has. Raises RuntimeRefused where that is none.

    A whole name is that one alone; some are never chosen but by it.
    """
    usable = [each for each in found if each.absent is None]
    plain = [each for each in usable if not each.only_asked]
    if wanted is None:
        return plain
    exact = [each for each in usable if each.name == wanted]
    chosen = exact or [each for each in plain if matches(wanted, each.name)]
    if not chosen:
        reasons = {each.absent for each in found if each.absent and matches(wanted, each.name)}
        raise refusal(model, wanted, "; ".join(sorted(reasons)), [each.name for each in usable])
    return chosen


def honour(wanted: str | None, have: str, model: str) -> None:
    """For models that a helper library runs in its own way. Raises RuntimeRefused unless that is what is wanted."""
    if wanted is not None and not matches(wanted, have):
        raise refusal(model, wanted, "its library runs it in one way only", [have])


def refusal(model: str, wanted: str, reason: str, others: Sequence[str]) -> RuntimeRefused:
    """The error that names the alternatives."""
    return RuntimeRefused(model, wanted, reason or "it knows no such runtime", ", ".join(others) or "nothing")
