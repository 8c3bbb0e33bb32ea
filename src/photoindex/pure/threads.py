"""Several iterators run side by side: numpy lets go of the interpreter while it sorts and counts."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_MOST_THREADS = 4
_AHEAD = 8


def in_threads(parts: Iterable[Iterator[T]], threads: int | None = None) -> Iterator[T]:
    """Everything that the parts yield, in no order; a thread takes one part after the other.

    At most 8 items wait for the caller. An error in a part is raised here; closing this generator ends the threads
    at their next item.
    """
    work, done = iter(parts), threading.Event()
    results: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(_AHEAD)
    taking = threading.Lock()

    def put(item: tuple[T | None, BaseException | None, bool]) -> None:
        while not done.is_set():
            with contextlib.suppress(queue.Full):
                results.put(item, timeout=0.1)
                return

    def run() -> None:
        try:
            while not done.is_set():
                with taking:
                    part = next(work, None)
                if part is None:
                    break
                for item in part:
                    if done.is_set():
                        return
                    put((item, None, False))
            put((None, None, True))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            put((None, error, True))

    count = threads or min(_MOST_THREADS, os.cpu_count() or 1)
    started = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    try:
        for thread in started:
            thread.start()
        running = count
        while running:
            item, error, ended = results.get()
            if error is not None:
                raise error
            running -= ended
            if not ended:
                yield item  # type: ignore[misc]
    finally:
        done.set()
        for thread in started:
            thread.join()
