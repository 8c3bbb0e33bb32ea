"""What could run a model on this machine: every runtime that is known, and why those that cannot, cannot."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.fingerprint import fingerprint
from photoindex.runtimes.onnx_session import PROVIDERS, OnnxSession, providers
from photoindex.runtimes.openvino_session import OpenVinoSession, devices
from photoindex.runtimes.session import Session
from photoindex.runtimes.torch_session import TorchSession, accelerators

Purpose = Literal["scan", "search"]
FAMILIES = ("openvino", "onnxruntime", "torch")

_NOT_ALLOWED = "the model's block in models.toml does not list it"
_NO_BF16 = "this processor has no fast bfloat16"
_NO_DEVICE = {"cuda": "the driver reports no NVIDIA GPU", "mps": "this is no Mac with an Apple GPU"}


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to execute models: `openvino` on the `cpu` in `bf16`. `absent`: why this machine cannot, or None."""

    family: str
    device: str
    precision: str
    absent: str | None = None

    @property
    def name(self) -> str:
        """What the ledger keeps and `--runtime` takes, e.g. `openvino-cpu-bf16`."""
        return f"{self.family}-{self.device}-{self.precision}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend for one model. `absent`: why it cannot run this model here, or None; then `open` loads it."""

    name: str
    open: Callable[[], Session]
    absent: str | None = None

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]

    @property
    def device(self) -> str:
        return self.name.split("-")[1]

    @property
    def precision(self) -> str:
        return self.name.rpartition("-")[2]


def machine_backends() -> tuple[Backend, ...]:
    """Every backend known, in the order in which they are tried where nothing was measured.

    Accelerators, then the CPU with OpenVINO (facts of many machines: the fastest there), ONNX Runtime and torch.
    Intel's GPU and NPU come after the CPU because many are slower; measuring may put them first.
    """
    return (
        *_torch_accelerators(),
        *_onnx_accelerators(),
        *_openvino_cpu(),
        *_openvino_others(),
        Backend("onnxruntime", "cpu", "f32", _absent_package("onnxruntime")),
        *_torch_cpu(),
    )


def candidates(
    path: Path, allowed: Sequence[str] = (), *, threads: int | None = None, purpose: Purpose = "scan"
) -> tuple[Candidate, ...]:
    """Each way to run the ONNX file `path`, best first where nothing was measured, those absent with their reason.

    `allowed`: families (openvino, onnxruntime, torch) that the model may use, none named means all of them.
    `threads`: None lets the runtime decide. `purpose`: search is for one short run in a fresh process (ONNX Runtime
    without further optimisation first, and nothing is imported to find out); scan for many batches.
    """
    if purpose == "search":
        return tuple(_for_search(path, allowed or FAMILIES, threads))
    return tuple(
        Candidate(backend.name, functools.partial(_open, path, backend, threads), _why_not(path, backend, allowed))
        for backend in machine_backends()
    )


def candidate_named(path: Path, name: str, *, threads: int | None = None, purpose: Purpose = "scan") -> Candidate:
    """The candidate called `name` (`openvino-cpu-bf16`), without looking whether the machine has it."""
    backend, search = Backend(*name.split("-")), purpose == "search"
    return Candidate(name, functools.partial(_open, path, backend, threads or (1 if search else None), latency=search))


def _for_search(path: Path, allowed: Sequence[str], threads: int | None) -> Iterator[Candidate]:
    for family in ("onnxruntime", "openvino"):
        refused = None if family in allowed else _NOT_ALLOWED
        found = candidate_named(path, f"{family}-cpu-f32", threads=threads, purpose="search")
        yield dataclasses.replace(found, absent=refused or _absent_package(family))


def _why_not(path: Path, backend: Backend, allowed: Sequence[str]) -> str | None:
    if allowed and backend.family not in allowed:
        return _NOT_ALLOWED
    if backend.absent is None and backend.family == "torch":
        if path.stem != "visual":
            return "torch runs image towers only"
        if not path.with_name("forms.json").is_file():
            return "no recipe for torch lies beside it"
    return backend.absent


def _open(path: Path, backend: Backend, threads: int | None, latency: bool = False) -> Session:
    if backend.absent is not None:
        raise RuntimeUnavailable(path.name, f"{backend.name}: {backend.absent}")
    precision: Any = backend.precision
    device: Any = backend.device
    if backend.family == "openvino":
        return OpenVinoSession(path, device=device, precision=precision, threads=threads)
    if backend.family == "onnxruntime":
        return OnnxSession(path, threads=threads, latency=latency, device=device)
    return TorchSession(path, device=device, precision=precision, threads=threads)


def _torch_accelerators() -> Iterator[Backend]:
    present = accelerators()
    for device in ("cuda", "mps"):
        reason = _absent_package("torch") or (None if device in present else _NO_DEVICE[device])
        if reason is None and device == "cuda" and torch_cuda_build() is None:
            reason = "the installed torch is a build without CUDA"
        for precision in ("f16", "bf16", "f32"):
            if device == "cuda" or precision != "bf16":
                yield Backend("torch", device, precision, reason)


def _torch_cpu() -> Iterator[Backend]:
    missing = _absent_package("torch")
    slow = None if any("bf16" in flag for flag in fingerprint().flags) else _NO_BF16
    yield Backend("torch", "cpu", "bf16", missing or slow)
    yield Backend("torch", "cpu", "f32", missing)


def _onnx_accelerators() -> Iterator[Backend]:
    missing = _absent_package("onnxruntime")
    listed = () if missing else providers()
    for device, (provider, precision, _) in PROVIDERS.items():
        if device == "cpu":
            continue
        reason = missing or (None if provider in listed else "the installed ONNX Runtime lacks it")
        if reason is None and device in ("cuda", "tensorrt") and "cuda" not in accelerators():
            reason = _NO_DEVICE["cuda"]
        yield Backend("onnxruntime", device, precision, reason)


def _openvino_cpu() -> Iterator[Backend]:
    reason = _openvino_problem()
    strengths = () if reason else devices().get("cpu", ())
    lacks = None if "BF16" in strengths else _NO_BF16
    yield Backend("openvino", "cpu", "bf16", reason or lacks)
    yield Backend("openvino", "cpu", "f32", reason)


def _openvino_others() -> Iterator[Backend]:
    reason = _openvino_problem()
    seen = {} if reason else devices()
    for device in ("gpu", "npu"):
        yield Backend("openvino", device, "f16", reason or (None if device in seen else "OpenVINO sees none"))


@functools.cache
def _openvino_problem() -> str | None:
    missing = _absent_package("openvino")
    if missing is not None:
        return missing
    try:
        devices()
    except (ImportError, RuntimeError, OSError) as error:
        return " ".join((str(error) or type(error).__name__).split())[:300]
    return None


def _absent_package(name: str) -> str | None:
    return None if importlib.util.find_spec(name) else f"the package {name} is not installed"


@functools.cache
def torch_cuda_build() -> str | None:
    """The CUDA version that the installed torch was built for, read without importing it; None for a CPU build."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8", errors="replace")
    match = re.search(r"^cuda[^=]*=\s*'([^']+)'", text, re.MULTILINE)
    return match[1] if match else None
