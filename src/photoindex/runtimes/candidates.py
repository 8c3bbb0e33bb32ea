"""What could run a model on this machine: every runtime that is known, and why those that cannot, cannot."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.fingerprint import fingerprint, usable_cores
from photoindex.runtimes.onnx_session import PROVIDERS, OnnxSession, providers
from photoindex.runtimes.openvino_session import OpenVinoSession, devices
from photoindex.runtimes.session import Session
from photoindex.runtimes.torch_session import TorchSession, accelerators

Purpose = Literal["scan", "search"]
FAMILIES = ("openvino", "onnxruntime", "torch")
# The form in 8 bits that a family runs best, by the word in its file's name; see steps.forms_int8.
INT8_KINDS: Mapping[str, str] = {"onnxruntime": "int8-dynamic", "openvino": "int8-static"}
INT8_KEPT = "int8.json"
ONLY_ASKED = "used only where it is asked for by its whole name"
CHANNELS_LAST, COMPILED, STREAMS = "channelslast", "compiled", "streams"

_NOT_ALLOWED = "the model's block in models.toml does not list it"
_NO_BF16 = "this processor has no fast bfloat16"
_NO_DEVICE = {"cuda": "the driver reports no NVIDIA GPU", "mps": "this is no Mac with an Apple GPU"}


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to execute models: `openvino` on the `cpu` in `bf16`. `absent`: why this machine cannot, or None.

    `variant`: how it is done, where not plainly: by torch `channelslast` (colours of a pixel side by side in memory) or
    `compiled` (by torch.compile), by OpenVINO `streams` (parts of a batch side by side on groups of cores).
    `only_asked`: never chosen by itself, because it rarely pays, starts slowly, or gives vectors that are a little off
    and must not mix with others unasked.
    """

    family: str
    device: str
    precision: str
    absent: str | None = None
    variant: str = ""
    only_asked: bool = False

    @property
    def name(self) -> str:
        """What the ledger keeps and `--runtime` takes, e.g. `openvino-cpu-bf16`, `torch-cuda-f16-compiled`."""
        return "-".join(filter(None, (self.family, self.device, self.precision, self.variant)))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend for one model. `absent`: why it cannot run this model here, or None; then `open` loads it.

    `only_asked`: see Backend.
    """

    name: str
    open: Callable[[], Session]
    absent: str | None = None
    only_asked: bool = False

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]

    @property
    def device(self) -> str:
        return self.name.split("-")[1]

    @property
    def precision(self) -> str:
        return self.name.split("-")[2]


def machine_backends() -> tuple[Backend, ...]:
    """Every backend known, in the order in which they are tried where nothing was measured.

    Accelerators, then the CPU with OpenVINO (facts of many machines: the fastest there), ONNX Runtime and torch.
    Variants of torch on CUDA come after every plain accelerator: compiling could use up the time for measuring.
    Intel's GPU and NPU come after the CPU because many are slower; measuring may put them first. What is used
    only where it is asked for comes last.
    """
    return (
        *_torch_accelerators(),
        *_onnx_accelerators(),
        *_torch_cuda_variants(),
        *_openvino_cpu(),
        *_openvino_others(),
        Backend("onnxruntime", "cpu", "f32", _absent_package("onnxruntime")),
        *_torch_cpu(),
        *_torch_cpu_variants(),
        Backend("onnxruntime", "cpu", "int8", _absent_package("onnxruntime"), only_asked=True),
        Backend("openvino", "cpu", "int8", _openvino_problem(), only_asked=True),
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
        Candidate(
            backend.name,
            functools.partial(_open, path, backend, threads),
            _why_not(path, backend, allowed),
            backend.only_asked,
        )
        for backend in machine_backends()
    )


def candidate_named(path: Path, name: str, *, threads: int | None = None, purpose: Purpose = "scan") -> Candidate:
    """The candidate called `name` (`openvino-cpu-bf16`), without looking whether the machine has it."""
    family, device, precision, *variant = name.split("-")
    backend, search = Backend(family, device, precision, variant="".join(variant)), purpose == "search"
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
    if backend.absent is None and backend.precision == "int8":
        return _no_int8(path, backend)
    if backend.absent is None and backend.variant == STREAMS and path.stem != "visual":
        return "only image towers are known to have rows that can be shared out"
    return backend.absent


def int8_form(path: Path, family: str) -> Path:
    """Where the form in 8 bits of the ONNX file `path` lies that `family` runs."""
    return path.with_name(f"{path.stem}.{INT8_KINDS[family]}.onnx")


def read_int8(path: Path) -> dict[str, dict[str, Any]]:
    """What is known of the forms in 8 bits beside `path`, by family: `refused`: why it may not be used, or None."""
    try:
        kept: dict[str, dict[str, Any]] = json.loads(path.with_name(INT8_KEPT).read_text(encoding="utf-8"))
        return {family: dict(kept[family]) for family in INT8_KINDS if family in kept}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _no_int8(path: Path, backend: Backend) -> str | None:
    if path.stem != "visual":
        return "only image towers have a form in 8 bits"
    known = read_int8(path).get(backend.family)
    if known is None or (known.get("refused") is None and not int8_form(path, backend.family).is_file()):
        return f"its form in 8 bits is made once it is asked for: --runtime embedding={backend.name}"
    refused = known.get("refused")
    return None if refused is None else str(refused)


def _open(path: Path, backend: Backend, threads: int | None, latency: bool = False) -> Session:
    if backend.absent is not None:
        raise RuntimeUnavailable(path.name, f"{backend.name}: {backend.absent}")
    precision: Any = backend.precision
    device: Any = backend.device
    variant: Any = backend.variant
    int8 = backend.precision == "int8"
    if int8:
        path = int8_form(path, backend.family)
    if backend.family == "openvino":
        return OpenVinoSession(path, device=device, precision=precision, threads=threads, variant=variant)
    if backend.family == "onnxruntime":
        return OnnxSession(path, threads=threads, latency=latency, device=device, int8=int8)
    return TorchSession(path, device=device, precision=precision, threads=threads, variant=variant)


def _torch_accelerators() -> Iterator[Backend]:
    for device in ("cuda", "mps"):
        for precision in ("f16", "bf16", "f32"):
            if device == "cuda" or precision != "bf16":
                yield Backend("torch", device, precision, _no_accelerator(device))


def _torch_cuda_variants() -> Iterator[Backend]:
    reason = _no_accelerator("cuda")
    for precision in ("f16", "bf16"):
        yield Backend("torch", "cuda", precision, reason, CHANNELS_LAST)
    for precision in ("f16", "bf16"):
        yield Backend("torch", "cuda", precision, reason or _no_compiler("cuda"), COMPILED)


def _no_accelerator(device: str) -> str | None:
    """Why torch cannot use this device here, or None."""
    reason = _absent_package("torch") or (None if device in accelerators() else _NO_DEVICE[device])
    if reason is None and device == "cuda" and torch_cuda_build() is None:
        return "the installed torch is a build without CUDA"
    return reason


def _torch_cpu() -> Iterator[Backend]:
    missing = _absent_package("torch")
    slow = None if any("bf16" in flag for flag in fingerprint().flags) else _NO_BF16
    yield Backend("torch", "cpu", "bf16", missing or slow)
    yield Backend("torch", "cpu", "f32", missing)


def _torch_cpu_variants() -> Iterator[Backend]:
    for plain in _torch_cpu():
        yield dataclasses.replace(plain, variant=CHANNELS_LAST, only_asked=True)
        yield dataclasses.replace(plain, absent=plain.absent or _no_compiler("cpu"), variant=COMPILED, only_asked=True)


@functools.cache
def _no_compiler(device: str) -> str | None:
    """Why torch.compile cannot work here: it writes C++ for the CPU, and has Triton write kernels for CUDA."""
    if sys.platform == "win32":
        found = shutil.which(os.environ.get("CXX", "cl"))
    else:
        asked = os.environ.get("CXX" if device == "cpu" else "CC")
        names = [asked] if asked else ["g++", "clang++"] if device == "cpu" else ["gcc", "cc", "clang"]
        found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        return "torch.compile needs a compiler, and none is found (install g++)"
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return "torch.compile needs the package triton for CUDA"
    return None


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
    # In the precision that is fastest here alone: each more takes its time of measuring.
    single = None if usable_cores() > 1 else "with one core there is nothing to share out"
    yield Backend("openvino", "cpu", "f32" if lacks else "bf16", reason or single, STREAMS)


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
