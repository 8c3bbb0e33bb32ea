"""ONNX Runtime: runs everywhere, and starts fast enough for a search command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.session import Arrays


class OnnxSession:
    """An ONNX file in ONNX Runtime, on one provider ("cpu" or "cuda")."""

    def __init__(self, path: Path, *, threads: int | None = None, latency: bool = False, device: str = "cpu") -> None:
        import onnxruntime

        self._path = path
        self._session: Any = onnxruntime.InferenceSession(
            str(path), _options(threads, latency), providers=_providers(device)
        )
        if device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise RuntimeUnavailable(path.name, "ONNX Runtime found no usable CUDA device")
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._inputs = tuple(each.name for each in self._session.get_inputs())
        self._runtime = f"onnxruntime-{device}-f32"

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


def cuda_provider_present() -> bool:
    """Whether the installed ONNX Runtime was built for CUDA (the device may still be missing)."""
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


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


def _providers(device: str) -> list[str]:
    return ["CUDAExecutionProvider"] if device == "cuda" else ["CPUExecutionProvider"]
