"""Forms of an image tower in 8 bits: made once when they are asked for, checked against torch, kept beside the others.

    visual.int8-dynamic.onnx   for ONNX Runtime: weights of 8 bits, what they meet is rounded to 8 bits run by run
    visual.int8-static.onnx    for OpenVINO: the ranges of all values are fixed beforehand, from drawn pictures
    int8.json                  by family the agreement with torch, and why a form may not be used

Both by ONNX Runtime's own quantiser (its documentation, "Quantize ONNX models"), weights channel by channel, matrix
products only: the convolution of a vision transformer is a small part of it. `python -m photoindex.steps.forms_int8
FOLDER FAMILY WORK` does the work in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.apart import Disturbed, run_module
from photoindex.runtimes.candidates import INT8_KEPT, INT8_KINDS, Candidate, candidate_named, int8_form, read_int8
from photoindex.runtimes.faults import agreement, disagreement, not_numbers, one_line
from photoindex.runtimes.session import Arrays
from photoindex.steps.forms import Forms, as_forms

_OPERATORS = ["MatMul", "Gemm"]
_LARGE = 1_000_000_000  # bytes; a larger form keeps its weights in a file beside it, as protobuf ends at two gigabytes
_PICTURES = 16  # from which ranges are taken; others than the form is then judged by


def int8_asked(runtime: str | None) -> str | None:
    """The family whose form in 8 bits `runtime` (what `--runtime` says for the step) means, or None."""
    return next((family for family in INT8_KINDS if runtime == f"{family}-cpu-int8"), None)


def may_be_made(forms: Forms, family: str) -> bool:
    """Whether the form for `family` is neither there nor refused."""
    known = read_int8(forms.visual).get(family)
    return known is None or (known.get("refused") is None and not int8_form(forms.visual, family).is_file())


def make_int8(forms: Forms, family: str, stop: Callable[[], bool] = lambda: False) -> None:
    """Make the form for `family` unless it was made, or refused, before. Minutes for a large model.

    One that fails its check is not used, and the reason is kept: asking for it again says so at once. Raises
    RuntimeUnavailable where making it was broken off, by `stop` or for want of memory, say: another time it may work.
    """
    if not may_be_made(forms, family):
        return
    with tempfile.TemporaryDirectory(prefix=".int8-", dir=forms.folder) as work:  # goes even if the process is killed
        try:
            done = run_module("photoindex.steps.forms_int8", [str(forms.folder), family, work], stop=stop)
        except Disturbed as error:
            reason = f"{family}-cpu-int8: making its form in 8 bits: {error}"
            raise RuntimeUnavailable(forms.model, reason) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["killed; too little memory?"])[-1]
        raise RuntimeUnavailable(forms.model, f"{family}-cpu-int8: making its form in 8 bits failed ({last})")


def quantise(forms: Forms, family: str, within: Path | None = None) -> dict[str, Any]:
    """Write the form and compare it with torch. What int8.json keeps: `cosine`, `centred`, `refused` (or None).

    `within`: a folder on the disk of the forms for what is not finished; None means the folder of the forms.
    """
    target = int8_form(forms.visual, family)
    work = (within or forms.folder) / f".{INT8_KINDS[family]}-{os.getpid()}"
    work.mkdir()
    try:
        _write(forms, family, work / target.name)
        for part in sorted(work.iterdir(), reverse=True):  # weights beside the form before the form
            part.replace(target.with_name(part.name))
        found = _compared(candidate_named(forms.visual, f"{family}-cpu-int8"), *forms.check("visual"))
    except Exception as error:  # noqa: BLE001 - quantisers raise anything: such a model has no form in 8 bits
        found = {"cosine": None, "centred": None, "refused": f"it could not be made ({one_line(error)})"}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for part in target.parent.glob(f"{target.name}*") if found["refused"] is not None else ():
        part.unlink()
    return found


def _compared(rung: Candidate, pixels: Arrays, expected: Arrays) -> dict[str, Any]:
    session = rung.open()
    outputs = session.run(pixels)
    session.close()
    complaint = not_numbers(outputs)
    if complaint is not None:
        return {"cosine": None, "centred": None, "refused": complaint}
    raw, centred = agreement(outputs, expected)
    return {"cosine": raw, "centred": centred, "refused": disagreement(outputs, expected, rung.name)}


def _write(forms: Forms, family: str, target: Path) -> None:
    from onnxruntime import quantization

    shared: dict[str, Any] = {
        "per_channel": True,
        "weight_type": quantization.QuantType.QInt8,
        "op_types_to_quantize": _OPERATORS,
        "use_external_data_format": _bytes_of(forms.visual) > _LARGE,
    }
    with _without_advice():
        if INT8_KINDS[family] == "int8-dynamic":
            quantization.quantize_dynamic(forms.visual, target, **shared)
            return
        quantization.quantize_static(
            forms.visual, target, _Pictures(forms.view.size), quant_format=quantization.QuantFormat.QDQ, **shared
        )


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """ONNX Runtime advises, by the root of all loggers, to prepare the model, which gains nothing here."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


class _Pictures:
    """What ONNX Runtime calls a CalibrationDataReader: drawn pictures, one by one, then None."""

    def __init__(self, size: int) -> None:
        self._left: Iterator[npt.NDArray[np.uint8]] = iter(_drawn(size))

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        picture = next(self._left, None)
        return None if picture is None else {"pixels": picture[None]}


def _drawn(size: int) -> npt.NDArray[np.uint8]:
    from photoindex.steps.forms_export import check_pictures

    return check_pictures(size, seed=11, count=_PICTURES)


def _bytes_of(form: Path) -> int:
    return sum(path.stat().st_size for path in form.parent.glob(f"{form.name}*"))


def main(folder: Path, family: str, within: Path | None = None) -> int:
    """Make the form for `family` in the folder of a model's forms, and note what came of it in int8.json."""
    forms = as_forms(folder, json.loads((folder / "forms.json").read_text(encoding="utf-8")))
    kept = {**read_int8(forms.visual), family: quantise(forms, family, within)}
    work = folder / f".{os.getpid()}-{INT8_KEPT}"
    work.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    work.replace(folder / INT8_KEPT)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
