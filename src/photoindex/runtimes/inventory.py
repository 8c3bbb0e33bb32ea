"""Which runtimes are installed, what they were built for, and which devices of this machine they can use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from photoindex.runtimes.candidates import torch_cuda_build
from photoindex.runtimes.onnx_session import providers
from photoindex.runtimes.openvino_session import devices

_GPU_PROVIDERS = ("CUDA", "TensorRT", "NvTensorRtRtx", "ROCM", "MIGraphX", "CoreML", "Dml", "OpenVINO")


@dataclass(frozen=True, slots=True)
class InstalledRuntime:
    """`build`: what it was made for (`CUDA 13.2`, `CPU only`); `devices`: what it says it can use here.

    `accelerated`: whether one of those is a GPU or NPU; `problem`: why it does not load.
    """

    name: str
    version: str
    build: str = ""
    devices: tuple[str, ...] = ()
    accelerated: bool = False
    problem: str | None = None


def installed_runtimes(ask_torch: bool) -> tuple[InstalledRuntime, ...]:
    """OpenVINO, ONNX Runtime and torch as they are installed.

    `ask_torch`: whether to import torch (two seconds) to learn if it reaches its GPUs; pointless where none answers.
    """
    return (
        _guarded("openvino", "openvino", _openvino),
        _guarded("onnxruntime", onnxruntime_package(), _onnxruntime),
        _guarded("torch", "torch", lambda version: _torch(version, ask_torch)),
    )


def onnxruntime_packages() -> list[str]:
    """The installed distributions that bring an `onnxruntime`: two of them overwrite each other's files."""
    names = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-rocm")
    return [name for name in names if _version(name)]


def onnxruntime_package() -> str:
    return next(iter(onnxruntime_packages()), "onnxruntime")


def _guarded(name: str, package: str, ask: Callable[[str], InstalledRuntime]) -> InstalledRuntime:
    version = _version(package)
    if version is None:
        return InstalledRuntime(name, "", problem="it is not installed")
    try:
        return ask(version)
    except Exception as error:  # noqa: BLE001 - a broken library raises anything, and that is what is asked here
        return InstalledRuntime(name, version, problem=" ".join(f"{type(error).__name__}: {error}".split())[:300])


def _openvino(version: str) -> InstalledRuntime:
    found = tuple(devices())
    return InstalledRuntime("openvino", version, "CPU, Intel GPU and NPU", found, any(name != "cpu" for name in found))


def _onnxruntime(version: str) -> InstalledRuntime:
    # Azure's provider calls a service, which nothing here ever does.
    found = tuple(name.removesuffix("ExecutionProvider") for name in providers() if not name.startswith("Azure"))
    return InstalledRuntime("onnxruntime", version, "", found, any(name in _GPU_PROVIDERS for name in found))


def _torch(version: str, ask: bool) -> InstalledRuntime:
    cuda = torch_cuda_build()
    build = f"CUDA {cuda}" if cuda else "ROCm" if "+rocm" in version else "CPU only"
    found = _torch_devices() if ask else ()
    return InstalledRuntime("torch", version, build, (*found, "cpu"), bool(found))


def _torch_devices() -> tuple[str, ...]:
    import torch

    found: Any = []
    if torch.cuda.is_available():
        found = [f"cuda: {torch.cuda.get_device_name(number)}" for number in range(torch.cuda.device_count())]
    elif torch.backends.mps.is_available():
        found = ["mps"]
    return tuple(found)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
