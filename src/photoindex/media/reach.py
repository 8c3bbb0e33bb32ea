"""Whether a folder can be reached just now: disks are unplugged, and servers of network folders fall silent."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

T = TypeVar("T")
# A disk that sleeps takes some seconds to wake, a network folder may take more.
ANSWER_S = 30.0
_SLICE_S = 0.25
_AT_ONCE = 1_000

DOES_NOT_ANSWER = "it does not answer"
IS_EMPTY = "it is empty"


def trouble_with(folder: str, limit_s: float | None = None) -> str | None:
    """Why nothing can be read in a folder just now; None where something can. An empty folder is trouble, too."""
    found = in_time(lambda: _look_into(folder), limit_s)
    return found[0] if found else DOES_NOT_ANSWER


def unreachable(folders: Iterable[str], limit_s: float | None = None) -> dict[str, str]:
    """Those of some folders in which nothing can be read just now, and why. All are asked at the same time."""
    answers = {folder: _begun(partial(_look_into, folder)) for folder in folders}
    until = time.monotonic() + (ANSWER_S if limit_s is None else limit_s)
    found = {folder: _answer(each, max(0.0, until - time.monotonic())) for folder, each in answers.items()}
    troubles = {folder: answer[0] if answer else DOES_NOT_ANSWER for folder, answer in found.items()}
    return {folder: trouble for folder, trouble in troubles.items() if trouble is not None}


def _look_into(folder: str) -> str | None:
    try:
        if hasattr(os, "statvfs"):
            os.statvfs(folder)  # asks the server of a network folder, whose listing may be remembered here
        with os.scandir(folder) as entries:
            return None if next(entries, None) is not None else IS_EMPTY
    except OSError as error:
        return error.strerror or str(error)


def in_time(work: Callable[[], T], limit_s: float | None = None) -> tuple[T] | None:
    """What `work` gave back, or None where it took longer than `limit_s` (`ANSWER_S`): a call into a silent file
    system cannot be broken off, so its thread is left behind. `work` must not raise."""
    return _answer(_begun(work), ANSWER_S if limit_s is None else limit_s)


def _begun(work: Callable[[], T]) -> queue.SimpleQueue[T]:
    answers: queue.SimpleQueue[T] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(work()), daemon=True).start()
    return answers


def _answer(answers: queue.SimpleQueue[T], limit_s: float) -> tuple[T] | None:
    try:
        return (answers.get(timeout=limit_s),)
    except queue.Empty:
        return None


def patiently(items: Iterator[T], stop: Callable[[], bool], silent: Callable[[], None]) -> Iterator[T]:
    """`items`, made in a thread of their own, so that whoever waits for a silent file system can still be stopped.

    Ends early once `stop` answers True. `silent` is called when nothing has come for `ANSWER_S` seconds, again and
    again; it may raise. What making the items raises is raised here.
    """
    made: queue.Queue[list[T] | BaseException | None] = queue.Queue(maxsize=4)
    left = threading.Event()
    threading.Thread(target=_make, args=(items, made, left), daemon=True).start()
    waited = 0.0
    try:
        while not stop():
            try:
                part = made.get(timeout=_SLICE_S)
            except queue.Empty:
                waited += _SLICE_S
                if waited >= ANSWER_S:
                    silent()
                    waited = 0.0
                continue
            waited = 0.0
            if part is None:
                return
            if isinstance(part, BaseException):
                raise part
            yield from part
    finally:
        left.set()


def _make(items: Iterator[T], made: queue.Queue[list[T] | BaseException | None], left: threading.Event) -> None:
    part: list[T] = []
    due = time.monotonic() + _SLICE_S
    try:
        for item in items:
            part.append(item)
            if len(part) >= _AT_ONCE or time.monotonic() > due:
                _hand_over(part, made, left)
                part, due = [], time.monotonic() + _SLICE_S
            if left.is_set():
                return
        _hand_over(part, made, left)
        _hand_over(None, made, left)
    except BaseException as error:  # noqa: BLE001 - raised where the items are waited for
        _hand_over(error, made, left)


def _hand_over(
    part: list[T] | BaseException | None, made: queue.Queue[list[T] | BaseException | None], left: threading.Event
) -> None:
    while not left.is_set():
        try:
            made.put(part, timeout=_SLICE_S)
        except queue.Full:
            continue
        return
