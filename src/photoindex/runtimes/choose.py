"""Chooses what runs a model: a ladder of runtimes, tried in order until one gives believable numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from photoindex.errors import PhotoindexError, RuntimeUnavailable
from photoindex.runtimes.candidates import candidates
from photoindex.runtimes.session import Arrays, Session

MIN_COSINE = 0.999


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
    for candidate in candidates(path, runtimes, threads=threads, purpose="search" if latency else "scan"):
        if candidate.absent is not None:
            continue
        session: Session | None = None
        try:
            session = candidate.open()
            complaint = _try(session, probe, expected)
        except PhotoindexError as error:
            complaint = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a runtime throws means the next one's turn
            complaint = _one_line(error)
        if session is not None and complaint is None:
            return session
        if session is not None:
            session.close()
        failures.append(f"{candidate.name}: {complaint}")
    raise RuntimeUnavailable(path.name, "; ".join(failures) or f"no runtime of {', '.join(runtimes)} fits")


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
