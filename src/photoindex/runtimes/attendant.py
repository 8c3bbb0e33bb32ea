"""A thread that makes calls which may never return, so that its owner can go on without them.

Native code that is stuck cannot be ended from outside. What can be done is not to wait for it: its thread is left
behind with all it holds, and nothing of that is touched again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
STUCK = "photoindex-stuck"
_SLICE_S = 0.5


class Hung(Exception):
    """A call did not return within its limit, in seconds."""

    def __str__(self) -> str:
        return f"it did not come back within {self.args[0]:g} seconds"


class Attendant:
    """One thread for all calls of one session: the thread pools that runtimes keep for their callers stay warm."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._attend, name="photoindex-runtime", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], T], limit_s: float) -> T:
        """The result of `work`, or what it raised. Raises Hung, and this attendant takes no more calls then.

        Time in which this process was stopped or the machine asleep does not count.
        """
        done = threading.Event()
        results: list[T] = []
        errors: list[BaseException] = []

        def job() -> None:
            try:
                results.append(work())
            except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
                errors.append(error)
            finally:
                done.set()

        self._jobs.put(job)
        for _ in range(max(1, round(limit_s / _SLICE_S))):
            if done.wait(min(_SLICE_S, limit_s)):
                break
        if not done.is_set():
            self._thread.name = STUCK
            raise Hung(limit_s)
        if errors:
            raise errors.pop()
        return results.pop()

    def dismiss(self) -> None:
        """The thread ends after the calls it has; at once, where it waits for one."""
        self._jobs.put(None)

    def _attend(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job
            if self._thread.name == STUCK:  # it came back after all; nobody waits for it any more
                return


def stuck_threads() -> int:
    """How many threads were left behind in calls that did not return; a process with such must not be taken apart."""
    return sum(thread.name == STUCK for thread in threading.enumerate())
