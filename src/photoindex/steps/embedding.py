"""Pictures to vectors with an OpenCLIP image tower (Radford et al. 2021; Zhai et al. 2023 for SigLIP)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, Picture, Problem, RuntimeOptions
from photoindex.runtimes.calibration import RUN_S
from photoindex.runtimes.candidates import FAMILIES
from photoindex.runtimes.choose import open_session
from photoindex.runtimes.ladder import Ladder
from photoindex.steps.forms import Forms, forms_ready, make_forms, read_forms
from photoindex.steps.forms_int8 import int8_asked, make_int8, may_be_made

Vector = npt.NDArray[np.float16]

# More than 8 pictures gain nothing on a CPU.
_MOST = {"cpu": 8, "cuda": 64, "mps": 32}


class Embedding:
    """The embedding step. One view, prepared as OpenCLIP itself would; facts are float16 vectors (width,)."""

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        """Prepares the model's forms where that has not happened, and opens the fastest runtime that agrees with torch.

        Raises ModelMissing, ModelBroken, RuntimeRefused or RuntimeUnavailable.
        """
        forms = prepared_forms(installed, options)
        pixels, vectors = forms.check("visual")
        self._session = open_session(
            forms.visual,
            _allowed(installed, forms),
            options=options,
            probe=pixels,
            expected=vectors,
            kept_in=forms.folder,
        )
        self.model = installed.spec.name
        self.views = (forms.view,)
        self._timed: dict[str, int] = {}

    @property
    def runtime(self) -> str:
        return self._session.runtime

    @property
    def batch_size(self) -> int:
        """As measured for the runtime that is in use, else from how long one of its runs took; memory may limit it."""
        size = self._session.batch_size or self._timed.get(self.runtime)
        if size is None:
            size = self._timed[self.runtime] = _batch_size(self._session, self.views[0].size)
        return min(size, self._session.most or size)

    def run(self, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Vector | Problem]:  # noqa: ARG002
        """float16 (width,) for each picture, L2-normalised to float16's precision.

        Raises RuntimeUnavailable where no runtime is left that can do it.
        """
        pixels = np.stack([picture.views["embedding"] for picture in pictures])
        return [_fact(row) for row in self._session.run({"pixels": pixels})["vectors"].astype(np.float32)]

    def close(self) -> None:
        self._session.close()


def prepared_forms(installed: InstalledModel, options: RuntimeOptions) -> Forms:
    """The model's forms, made where that has not happened; the form in 8 bits too where `options.runtime` asks for it.

    Raises ModelMissing, ModelBroken or RuntimeUnavailable.
    """
    if not forms_ready(installed):
        options.doing(f"prepare {installed.spec.name} for this machine, once")
    make_forms(installed, options.stop)
    forms = read_forms(installed)
    if (family := int8_asked(options.runtime)) is not None and "visual" not in forms.refused:
        if may_be_made(forms, family):
            options.doing(f"make the form of {installed.spec.name} in 8 bits, once")
        make_int8(forms, family, options.stop)
    return forms


def _allowed(installed: InstalledModel, forms: Forms) -> tuple[str, ...]:
    """The model's runtimes; torch alone where the ONNX form was refused."""
    allowed = installed.spec.runtimes or FAMILIES
    if "visual" not in forms.refused:
        return tuple(allowed)
    if "torch" not in allowed:
        raise RuntimeUnavailable(installed.spec.name, f"{', '.join(allowed)}: {forms.refused['visual']}")
    return ("torch",)


def _batch_size(session: Ladder, side: int) -> int:
    """How many pictures a run takes in half a second, by the time of two, at most what the device gains from."""
    pixels = np.full((2, side, side, 3), 128, np.uint8)
    session.run({"pixels": pixels})
    started = time.perf_counter()
    session.run({"pixels": pixels})
    each = (time.perf_counter() - started) / len(pixels)
    return max(1, min(_MOST.get(session.runtime.split("-")[1], _MOST["cpu"]), int(RUN_S / each)))


def _fact(row: npt.NDArray[np.float32]) -> Vector | Problem:
    if not np.isfinite(row).all():
        return Problem("not_finite", "the embedding model gave no finite numbers for this picture")
    return row.astype(np.float16)
