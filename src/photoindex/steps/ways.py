"""Every way to run an installed model on this machine, found without loading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from photoindex.models.spec import ZERO_SHOT, InstalledModel
from photoindex.records import RuntimeOptions
from photoindex.runtimes.candidates import Candidate, candidates
from photoindex.runtimes.selection import select
from photoindex.runtimes.torch_session import whole_model_rungs
from photoindex.steps.forms import forms_ready, read_forms
from photoindex.steps.forms_int8 import int8_asked, may_be_made

_OPENCV = ("yunet+sface", "yunet-sface")


@dataclass(frozen=True, slots=True)
class Way:
    """`absent`, `only_asked`: as of runtimes.candidates.Candidate, which this is without what loads it."""

    name: str
    absent: str | None = None
    only_asked: bool = False


def ways_of(installed: InstalledModel) -> Sequence[Way]:
    """In the order in which they are tried where nothing was measured, those that are absent with the reason.

    Of an embedding model whose forms have not been made, and of zero-shot tags, which run nothing: none. Raises
    ModelBroken.
    """
    spec = installed.spec
    if spec.architecture == ZERO_SHOT:
        return ()
    if spec.task == "embedding":
        return _named(_form_ways(installed)) if forms_ready(installed) else ()
    if spec.task == "ocr":
        from photoindex.steps.ocr import engines_of

        return _named(engines_of(installed).rungs)
    if spec.task == "faces":
        return [Way(name) for name in _face_runtimes(spec.architecture)]
    return [Way(f"torch-{device}-{precision}") for device, precision in whole_model_rungs()]


def check_override(installed: InstalledModel, wanted: str | None, make: RuntimeOptions | None = None) -> None:
    """Raises RuntimeRefused where the model cannot be run as `wanted`, as far as that shows without loading it.

    `make`: a form in 8 bits that is yet to be made is made first, since it may fail its check; RuntimeUnavailable where
    that is broken off.
    """
    if make is not None and wanted is not None and ways_of(installed) and _to_be_made(installed, wanted):
        from photoindex.steps.embedding import prepared_forms

        prepared_forms(installed, replace(make, runtime=wanted))
    ways = ways_of(installed) if wanted is not None else ()
    if wanted is None or not ways or _to_be_made(installed, wanted):
        return
    select(ways, wanted, installed.spec.name)


def _form_ways(installed: InstalledModel) -> Sequence[Candidate]:
    """Of an embedding model; torch alone where its ONNX form was refused."""
    forms, allowed = read_forms(installed), installed.spec.runtimes
    if "visual" in forms.refused:
        allowed = tuple(name for name in allowed or ("torch",) if name == "torch")
    return candidates(forms.visual, allowed)


def _named(found: Sequence[Candidate]) -> list[Way]:
    return [Way(each.name, each.absent, each.only_asked) for each in found]


def _face_runtimes(architecture: str) -> Sequence[str]:
    if architecture in _OPENCV:
        return ["opencv-cpu-f32"]
    from photoindex.steps.faces_insight import insight_providers

    return list(insight_providers())


def _to_be_made(installed: InstalledModel, wanted: str) -> bool:
    """Whether that is a form in 8 bits, which is made once it is asked for."""
    family = int8_asked(wanted) if installed.spec.task == "embedding" else None
    if family is None or (installed.spec.runtimes and family not in installed.spec.runtimes):
        return False
    return may_be_made(read_forms(installed), family)
