"""The narrow waist between steps and what executes a model: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.generic]]


class Interrupted(Exception):
    """A run was broken off on purpose, from inside: no fault of the runtime."""


class Session(Protocol):
    """A loaded model. `runtime` is kept in the ledger, e.g. `openvino-cpu-bf16` or `onnxruntime-cpu-f32`."""

    @property
    def runtime(self) -> str: ...

    @property
    def inputs(self) -> Sequence[str]: ...

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Run one batch. Raises RuntimeUnavailable where the runtime gives up."""
        ...

    def close(self) -> None: ...
