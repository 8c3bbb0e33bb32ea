"""ONNX Runtime: runs everywhere, and starts fast enough for a search command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.session import Arrays

Device = Literal["cpu", "cuda", "tensorrt", "coreml", "dml"]
# Each device's provider, the precision it computes in, and its settings; accelerators first.
PROVIDERS: Mapping[Device, tuple[str, str, dict[str, Any]]] = {
    "tensorrt": ("TensorrtExecutionProvider", "f16", {"trt_fp16_enable": True}),
    "cuda": ("CUDAExecutionProvider", "f32", {}),
    "coreml": ("CoreMLExecutionProvider", "f16", {"ModelFormat": "MLProgram"}),
    "dml": ("DmlExecutionProvider", "f32", {}),
    "cpu": ("CPUExecutionProvider", "f32", {}),
}


class OnnxSession:
    """An ONNX file in ONNX Runtime, on one provider. `int8`: the file's weights are of 8 bits, which its name says."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        latency: bool = False,
        device: Device = "cpu",
        int8: bool = False,
    ) -> None:
        import onnxruntime

        provider, precision, settings = PROVIDERS[device]
        self._path = path
        self._session: Any = onnxruntime.InferenceSession(
            str(path), _options(threads, latency), providers=[(provider, settings)]
        )
        if provider not in self._session.get_providers():  # it falls back to the CPU without a word
            raise RuntimeUnavailable(path.name, f"ONNX Runtime could not use its {provider}")
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._inputs = tuple(each.name for each in self._session.get_inputs())
        self._runtime = f"onnxruntime-{device}-{'int8' if int8 else precision}"

    @property
    def runtime(self) -> str:
        return self._runtime

    @property
    def inputs(self) -> Sequence[str]:
        return self._inputs

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings a model file carries about itself (RapidOCR keeps its characters there)."""
        found: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        return found

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """Named arrays in, named arrays out. Raises RuntimeUnavailable with ONNX Runtime's own words."""
        try:
            found = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # its exception classes share no public base
            raise RuntimeUnavailable(self._path.name, f"{self._runtime}: {error}") from error
        return dict(zip(self._outputs, found, strict=True))

    def close(self) -> None:
        self._session = None


def providers() -> tuple[str, ...]:
    """What the installed ONNX Runtime was built for, in its own words (the device may still be missing)."""
    import onnxruntime

    return tuple(onnxruntime.get_available_providers())


def _options(threads: int | None, latency: bool) -> Any:
    """Session options; `latency` is for files optimised beforehand, which gain nothing from being optimised again."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    if latency:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
    return options
