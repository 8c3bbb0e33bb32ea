"""What can be wrong with a runtime, told from what it raises and from what it gives."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from photoindex.runtimes.session import Arrays

# A raw cosine alone proves little where all vectors of a model look alike; the one after removing the mean does.
MIN_COSINE, MIN_CENTRED = 0.999, 0.99
# Forms in 8 bits are nearly right only: they must reach this by both.
MIN_INT8 = 0.995
_NO_MEMORY = re.compile(
    r"out of memory|not enough memory|bad.?alloc|failed to allocate|could not allocate|cannot allocate"
    r"|alloc\w* failed|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED|E_OUTOFMEMORY",
    re.IGNORECASE,
)


def out_of_memory(error: BaseException) -> bool:
    """Whether `error`, or what it came from, says that memory was the reason. Runtimes say it in words only."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or _NO_MEMORY.search(str(seen)):
            return True
        seen = seen.__cause__
    return False


def not_numbers(outputs: Arrays) -> str | None:
    """The first output with NaN or infinity, in a sentence's words; None where all are finite."""
    for name, array in outputs.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            return f"{name} is not a number"
    return None


def agreement(outputs: Arrays, expected: Arrays) -> tuple[float, float | None]:
    """The smallest cosine of any row of `outputs` with `expected`, and the same after removing the mean of the rows.

    The second is None for a single row, and where the expected rows are all the same.
    """
    raw, centred = 1.0, None
    for name, wanted in expected.items():
        a, b = outputs[name].astype(np.float64), wanted.astype(np.float64)
        raw = min(raw, _cosine(a, b))
        spread = np.linalg.norm(b - b.mean(0), axis=-1).min()
        if len(b) > 1 and spread > 1e-6 * np.linalg.norm(b, axis=-1).max():
            found = _cosine(a - b.mean(0), b - b.mean(0))
            centred = found if centred is None else min(centred, found)
    return raw, centred


def disagreement(outputs: Arrays, expected: Arrays, runtime: str = "") -> str | None:
    """Why these outputs of `runtime` may not stand in for the expected ones, or None."""
    least, least_centred = (MIN_INT8, MIN_INT8) if "-int8" in runtime else (MIN_COSINE, MIN_CENTRED)
    raw, centred = agreement(outputs, expected)
    if not raw >= least:
        return f"{', '.join(expected)} deviates from torch (cosine {raw:.4f})"
    if centred is not None and not centred >= least_centred:
        return f"{', '.join(expected)} deviates from torch (cosine after removing the mean {centred:.4f})"
    return None


def one_line(error: BaseException | str) -> str:
    """At most 300 characters of what was said, on one line."""
    return " ".join((str(error) or type(error).__name__).split())[:300]


def _cosine(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return float((np.sum(a * b, axis=-1) / np.maximum(lengths, 1e-30)).min())
