"""OpenVINO: on the CPU the fastest way through a vision model where the processor knows bfloat16; Intel's GPU, NPU."""

from __future__ import annotations

import contextlib
import functools
import itertools
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
Variant = Literal["", "streams"]


class OpenVinoSession:
    """An ONNX file compiled by OpenVINO for a device. Weights stay float32 on disk; `precision` is that of the sums.

    `int8` is for a file that says itself where 8 bits are enough (QuantizeLinear); the rest is done in float32.
    `variant`: with `streams` the rows of a batch are shared out among groups of cores that work side by side: more
    rows a second, and a single row takes longer.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: Device = "cpu",
        precision: Precision = "f32",
        threads: int | None = None,
        variant: Variant = "",
    ) -> None:
        core = _core()
        self._path = path
        self._runtime = "-".join(filter(None, ("openvino", device, precision, variant)))
        properties = _properties(device, precision, threads, variant)
        self._model: Any = core.compile_model(core.read_model(str(path)), device.upper(), properties)
        count = self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") if variant == "streams" else 1
        self._requests: list[Any] = [self._model.create_infer_request() for _ in range(count)]
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
            if len(self._requests) > 1:
                return self._side_by_side(inputs)
            found = self._requests[0].infer(dict(inputs))
        except (RuntimeError, TypeError, ValueError) as error:
            raise RuntimeUnavailable(self._path.name, f"{self._runtime}: {error}") from error
        # The request owns its output tensors and overwrites them on the next run.
        return {name: np.array(found[index]) for index, name in enumerate(self._outputs)}

    def _side_by_side(self, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Each request takes its share of the rows, the first dimension of every input and output."""
        rows = len(next(iter(inputs.values())))
        bounds = np.linspace(0, rows, min(rows, len(self._requests)) + 1).astype(int)
        shares = [{name: each[low:high] for name, each in inputs.items()} for low, high in itertools.pairwise(bounds)]
        busy = self._requests[: len(shares)]
        with contextlib.ExitStack() as waits:  # for all of them, also where one fails
            for request, share in zip(busy, shares, strict=True):
                request.start_async(share)
                waits.callback(request.wait)
        return {
            name: np.concatenate([request.get_output_tensor(index).data for request in busy])
            for index, name in enumerate(self._outputs)
        }

    def close(self) -> None:
        self._requests, self._model = [], None


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


def _properties(device: Device, precision: Precision, threads: int | None, variant: Variant) -> dict[str, Any]:
    hint, aim = "f32" if precision == "int8" else precision, "THROUGHPUT" if variant == "streams" else "LATENCY"
    chosen: dict[str, Any] = {"PERFORMANCE_HINT": aim, "INFERENCE_PRECISION_HINT": hint}
    if device != "cpu":
        return chosen
    chosen |= {
        # Kernels are kept for each shape met; pictures of text have thousands. 64 costs 5 % of time, saves 300 MB.
        "CPU_RUNTIME_CACHE_CAPACITY": 64,
    }
    if threads:
        chosen["INFERENCE_NUM_THREADS"] = threads
    return chosen
