"""Why a decode worker ended over a file, in words."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from photoindex.records import Problem

_ADVICE = "The file is probably damaged: copy it again from where it came from, then scan with --retry-failed."
_KILLED = (
    "The system ended the decoder on this file (SIGKILL), as it does when memory is short. It is tried again at the"
    " next scan; --max-memory leaves more to other programs."
)


def problem_of_death(ends: Sequence[int], waited_s: float, limit_s: float) -> Problem:
    """`ends`: the worker's exit code, negative for a signal; empty where it is not known. After `limit_s` seconds the
    worker's own watch ends it with code 1. A problem that says nothing about the file is `killed`."""
    code = next(iter(ends), 0)
    if code == -signal.SIGKILL:  # never ours: what we end is not asked for its code
        return Problem("killed", _KILLED)
    if code == 1 and waited_s >= limit_s:
        return Problem(
            "time_limit",
            f"Reading and decoding it took longer than the limit of {limit_s:g} seconds. If the file is not damaged,"
            f" allow more with --time-limit {max(1, round(4 * limit_s))}, and scan again with --retry-failed.",
        )
    return Problem("decoder_died", f"{_how(code)} {_ADVICE}")


def _how(code: int) -> str:
    if code < 0:
        return f"The decoder crashed on this file ({_name_of(-code)})."
    return f"The decoder ended on this file without a word (exit code {code})."


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
