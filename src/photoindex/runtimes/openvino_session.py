"""OpenVINO: on the CPU the fastest way through a vision model where the processor knows bfloat16; Intel's GPU, NPU."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.session import Arrays

Device = Literal["cpu", "gpu", "npu"]
Precision = Literal["bf16", "f16", "f32", "int8"]


class OpenVinoSession:
    """An ONNX file compiled by OpenVINO for a device. Weights stay float32 on disk; `precision` is that of the sums.

    `int8` is for a file that says itself where 8 bits are enough (QuantizeLinear); the rest is done in float32.
    """

    def __init__(
        self, path: Path, *, device: Device = "cpu", precision: Precision = "f32", threads: int | None = None
    ) -> None:
        core = _core()
        self._path = path
        self._runtime = f"openvino-{device}-{precision}"
        properties = _properties(device, precision, threads)
        self._model: Any = core.compile_model(core.read_model(str(path)), device.upper(), properties)
        self._request: Any = self._model.create_infer_request()
        self._inputs = tuple(each.get_any_name() for each in self._model.inputs)
        self._outputs = [each.get_any_name() for each in self._model.outputs]

    @property
    def runtime(self) -> str:
        return self._runtime

    @property
    def inputs(self) -> Sequence[str]:
        return self._inputs

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Named arrays in, named arrays out. Raises RuntimeUnavailable with OpenVINO's own words."""
        try:
            found = self._request.infer(dict(inputs))
        except (RuntimeError, TypeError, ValueError) as error:
            raise RuntimeUnavailable(self._path.name, f"{self._runtime}: {error}") from error
        # The request owns its output tensors and overwrites them on the next run.
        return {name: np.array(found[index]) for index, name in enumerate(self._outputs)}

    def close(self) -> None:
        self._request = self._model = None


@functools.cache
def devices() -> dict[str, tuple[str, ...]]:
    """The devices OpenVINO sees (cpu, gpu, npu), each with what it is good at in OpenVINO's words (BF16, INT8, ...)."""
    core = _core()
    found: dict[str, tuple[str, ...]] = {}
    for name in core.available_devices:
        strengths = core.get_property(name, "OPTIMIZATION_CAPABILITIES")
        found.setdefault(name.partition(".")[0].lower(), tuple(strengths))
    return found


@functools.cache
def _core() -> Any:
    """The one core of this process, kept until its end.

    Each core gives its thread a stack for signal handlers, and at its own end puts back the stack it found and frees
    its own. Two cores that end in the order in which they began leave a freed stack behind, and the next signal that
    Python handles (a worker's end, Ctrl-C) kills the process. One core that never ends cannot do that.
    """
    # Importing OpenVINO would send an event over the network from a forked process. It goes on without where its
    # telemetry package is not installed, so that is what it is told.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()


def _properties(device: Device, precision: Precision, threads: int | None) -> dict[str, Any]:
    hint = "f32" if precision == "int8" else precision
    chosen: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    if device != "cpu":
        return chosen
    chosen |= {
        # Kernels are kept for each shape met; pictures of text have thousands. 64 costs 5 % of time, saves 300 MB.
        "CPU_RUNTIME_CACHE_CAPACITY": 64,
    }
    if threads:
        chosen["INFERENCE_NUM_THREADS"] = threads
    return chosen
