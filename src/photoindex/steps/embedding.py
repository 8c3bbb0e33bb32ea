"""Pictures to vectors with an OpenCLIP image tower (Radford et al. 2021; Zhai et al. 2023 for SigLIP)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.models.spec import InstalledModel
from photoindex.records import Picture, Problem, Uint8Image
from photoindex.runtimes.candidates import FAMILIES
from photoindex.runtimes.choose import open_session
from photoindex.runtimes.session import Session
from photoindex.steps.forms import Forms, make_forms, read_forms

Vector = npt.NDArray[np.float16]

# One run stays well under a second, so that Ctrl-C is obeyed; more than 8 pictures gain nothing on a CPU.
_RUN_S = 0.5
_MOST = {"cpu": 8, "cuda": 64, "mps": 32}


class Embedding:
    """The embedding step. One view, prepared as OpenCLIP itself would; facts are float16 vectors (width,)."""

    def __init__(self, installed: InstalledModel, *, threads: int | None = None) -> None:
        """Prepares the model's forms where that has not happened, and opens the fastest runtime that agrees with torch.

        Raises ModelMissing, ModelBroken or RuntimeUnavailable.
        """
        make_forms(installed)
        forms = read_forms(installed)
        pixels, vectors = forms.check("visual")
        self._session = open_session(
            forms.visual, _allowed(installed, forms), threads=threads, probe=pixels, expected=vectors
        )
        self.model = installed.spec.name
        self.runtime = self._session.runtime
        self.views = (forms.view,)
        self.batch_size = _batch_size(self._session, np.asarray(pixels["pixels"], np.uint8))

    def run(self, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Vector | Problem]:  # noqa: ARG002
        """float16 (width,) for each picture, L2-normalised to float16's precision.

        A batch that the runtime cannot hold is halved until it fits; raises RuntimeUnavailable where one does not.
        """
        pixels = np.stack([picture.views["embedding"] for picture in pictures])
        return [_fact(row) for row in self._encode(pixels)]

    def close(self) -> None:
        self._session.close()

    def _encode(self, pixels: Uint8Image) -> npt.NDArray[np.float32]:
        try:
            return self._session.run({"pixels": pixels})["vectors"].astype(np.float32)
        except RuntimeUnavailable:
            if len(pixels) == 1:
                raise
        half = len(pixels) // 2
        self.batch_size = min(self.batch_size, half)
        return np.concatenate([self._encode(pixels[:half]), self._encode(pixels[half:])])


def _allowed(installed: InstalledModel, forms: Forms) -> tuple[str, ...]:
    """The model's runtimes; torch alone where the ONNX form was refused."""
    allowed = installed.spec.runtimes or FAMILIES
    if "visual" not in forms.refused:
        return tuple(allowed)
    if "torch" not in allowed:
        raise RuntimeUnavailable(installed.spec.name, f"{', '.join(allowed)}: {forms.refused['visual']}")
    return ("torch",)


def _batch_size(session: Session, pixels: Uint8Image) -> int:
    started = time.perf_counter()
    session.run({"pixels": pixels})
    each = (time.perf_counter() - started) / len(pixels)
    most = next(size for device, size in _MOST.items() if f"-{device}-" in session.runtime)
    return max(1, min(most, int(_RUN_S / each)))


def _fact(row: npt.NDArray[np.float32]) -> Vector | Problem:
    if not np.isfinite(row).all():
        return Problem("not_finite", "the embedding model gave no finite numbers for this picture")
    return row.astype(np.float16)
