"""What a decode worker may take, and what must not outlive a file: memory, core dumps, processes of a decoder.

This is against accidents of decoders and files that provoke them; it is no prison for code that a decoder was made to
run. Elsewhere than on Linux decoders are held by their estimates (`room.py`) and the time limit only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

_ON_LINUX = sys.platform.startswith("linux")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
_MB = 1 << 20
# Above what a picture should take: freed memory that is kept (`memory.py`), libraries that load with the first picture
# of a kind, the stacks of a decoder's threads, which count whole, and estimates that were too low.
_SLACK = 640 * _MB
_STACKS_A_CORE = 16 * _MB
_GENERATIONS = 100


def contain_worker() -> None:
    """To be called once, as a worker starts: what a decoder starts stays below it, and in its process group."""
    if not hasattr(os, "setpgrp"):
        return
    import resource

    os.setpgrp()
    os.register_at_fork(after_in_child=_end_at_once)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of a worker holds somebody's photos
    if _ON_LINUX:
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _end_at_once() -> None:
    """A copy of a worker would go on with its work, and deliver its pictures a second time."""
    os._exit(1)


class Allowance:
    """How much memory of its own this process may take beyond what it has when this is made.

    The kernel counts private writable memory, used or not (RLIMIT_DATA); neither shared tensors nor mapped files.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self._start = _private_bytes() + _SLACK + _STACKS_A_CORE * (os.cpu_count() or 1)

    def limit(self, picture: int) -> None:
        """From now on a picture of `picture` bytes fits; what is asked beyond fails as if the machine had no more."""
        if not _ON_LINUX:
            return
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = self._start + picture
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if most < 0 else min(wanted, most), most))


def _private_bytes() -> int:
    """Private writable memory of this process; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def end_children() -> int:
    """End what runs below this worker, which starts nothing itself, and how many that were, with those that had ended
    and nobody had waited for. Children of an ended process become children of the worker (PR_SET_CHILD_SUBREAPER), so
    none is out of reach."""
    if not _ON_LINUX:
        return 0
    ended = 0
    for _ in range(_GENERATIONS):
        buried, others_run = _bury()
        ended += buried
        if not others_run:
            break
        ended += _kill(_children_of(os.getpid()))
    return ended


def _bury() -> tuple[int, bool]:
    """How many children have ended, and whether others run."""
    buried = 0
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            buried += 1
    except ChildProcessError:
        return buried, False
    return buried, True


def _kill(processes: Iterable[int]) -> int:
    ended = 0
    for process in processes:
        with contextlib.suppress(ProcessLookupError, ChildProcessError, PermissionError):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            ended += 1
    return ended


def _children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(stat.read_bytes().rpartition(b")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def end_group(worker: int | None) -> None:
    """End a worker, dead or alive, with all that it started and that did not leave its group."""
    if worker is not None and hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker, signal.SIGKILL)
