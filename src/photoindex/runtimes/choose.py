"""Chooses what runs a model: a ladder of runtimes, tried in order until one gives believable numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from photoindex.errors import PhotoindexError, RuntimeUnavailable
from photoindex.runtimes.session import Arrays, Session

RUNTIMES = ("openvino", "onnxruntime", "torch")
MIN_COSINE = 0.999

Opener = Callable[[], Session]


def open_session(
    path: Path,
    runtimes: Sequence[str],
    *,
    threads: int | None = None,
    latency: bool = False,
    probe: Arrays | None = None,
    expected: Arrays | None = None,
) -> Session:
    """The first runtime that loads `path` (an ONNX file) and, given a `probe`, runs it well.

    `runtimes`: which of openvino, onnxruntime and torch the model allows, none named means all of them.
    An accelerator goes first, then OpenVINO, ONNX Runtime and torch on the CPU. `threads`: None lets the runtime
    decide. `latency`: for a search command; ONNX Runtime on one thread, `path` optimised beforehand.
    `probe`: inputs of a trial run, whose outputs must be finite and, where `expected` names them, point the same way
    (cosine of each row at least 0.999). Raises RuntimeUnavailable with the reason of every rung that failed.
    """
    failures = []
    for name, opener in _rungs(path, tuple(runtimes) or RUNTIMES, threads, latency):
        try:
            session = opener()
            complaint = _try(session, probe, expected)
        except PhotoindexError as error:
            complaint = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a runtime throws means the next one's turn
            complaint = _one_line(error)
        if complaint is None:
            return session
        failures.append(f"{name}: {complaint}")
    raise RuntimeUnavailable(path.name, "; ".join(failures) or f"no runtime of {', '.join(runtimes)} fits")


def _rungs(path: Path, allowed: Sequence[str], threads: int | None, latency: bool) -> Iterator[tuple[str, Opener]]:
    if latency:
        yield "onnxruntime-cpu", partial(_onnx, path, threads or 1, True, "cpu")
        return
    yield from _accelerated(path, allowed)
    if "openvino" in allowed:
        yield from _openvino(path, threads)
    if "onnxruntime" in allowed:
        yield "onnxruntime-cpu", partial(_onnx, path, threads, False, "cpu")
    if "torch" in allowed:
        yield "torch-cpu", partial(_torch, path, "cpu", "f32", threads)


def _accelerated(path: Path, allowed: Sequence[str]) -> Iterator[tuple[str, Opener]]:
    from photoindex.runtimes.onnx_session import cuda_provider_present
    from photoindex.runtimes.torch_session import accelerators

    for device in accelerators():
        if "torch" in allowed and path.with_name("forms.json").is_file():
            yield f"torch-{device}-f16", partial(_torch, path, device, "f16", None)
            yield f"torch-{device}-f32", partial(_torch, path, device, "f32", None)
        if "onnxruntime" in allowed and device == "cuda" and cuda_provider_present():
            yield "onnxruntime-cuda", partial(_onnx, path, None, False, "cuda")


def _openvino(path: Path, threads: int | None) -> Iterator[tuple[str, Opener]]:
    try:
        from photoindex.runtimes.openvino_session import OpenVinoSession, precisions

        tried = precisions()
    except (ImportError, RuntimeError) as error:
        reason = _one_line(error)
        yield "openvino", partial(_refuse, path, reason)
        return
    for precision in tried:
        opener = partial(OpenVinoSession, path, precision=precision, threads=threads)
        yield f"openvino-cpu-{precision}", opener


def _onnx(path: Path, threads: int | None, latency: bool, device: str) -> Session:
    from photoindex.runtimes.onnx_session import OnnxSession

    return OnnxSession(path, threads=threads, latency=latency, device=device)


def _torch(path: Path, device: str, precision: str, threads: int | None) -> Session:
    from photoindex.runtimes.torch_session import TorchSession

    return TorchSession(path, device=device, precision=precision, threads=threads)  # type: ignore[arg-type]


def _refuse(path: Path, reason: str) -> Session:
    raise RuntimeUnavailable(path.name, reason)


def _try(session: Session, probe: Arrays | None, expected: Arrays | None) -> str | None:
    """What is wrong with a trial run, or None. Output rows are L2-normalised where `expected` names them."""
    if probe is None:
        return None
    outputs = session.run(probe)
    for name, array in outputs.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            return f"{name} is not a number"
    for name, wanted in (expected or {}).items():
        found = np.sum(outputs[name].astype(np.float32) * wanted.astype(np.float32), axis=-1)
        if float(found.min()) < MIN_COSINE:
            return f"{name} deviates from torch (cosine {float(found.min()):.4f})"
    return None


def _one_line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:300]
