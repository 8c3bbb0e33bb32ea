"""Ending a run of hours early, so that it still tells what it has done by then."""

from __future__ import annotations

import math
import signal
import threading


def asked_to_end(seconds: float | None = None) -> threading.Event:
    """Set by Ctrl-C, by SIGTERM, or after so many seconds; Ctrl-C or SIGTERM for the second time ends the process."""
    asked = threading.Event()

    def end(number: int, _: object) -> None:
        asked.set()
        if number != signal.SIGALRM:
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, end)
    if seconds is not None:
        signal.alarm(max(1, math.ceil(seconds)))
    return asked
