"""Decoders that do what an attacker would have them do, for the real decode workers.

A file whose bytes end in `HOSTILE:name` is decoded by the function of that name here; any other as ever.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from photoindex.media import source
from photoindex.scan.worker import Batches, PackedBatch

MARK = b"HOSTILE:"
_MB = 1 << 20


class HostileBatches(Batches):
    """In place of `Batches`: the worker that unpickles it has the decoders below."""

    def __getitem__(self, index: int) -> PackedBatch:
        source.open_with_pillow = _open
        if root := self._slices[0][0].file.root:
            os.environ["PIDS"] = f"{root}.pids"
        return super().__getitem__(index)


def _open(data: bytes, *rest: Any) -> Any:
    picture, mark, name = data.rpartition(MARK)
    if mark:
        BEHAVIOURS[name.decode()]()
    return _honest(picture if mark else data, *rest)


_honest = source.open_with_pillow


def segv() -> None:
    ctypes.string_at(0)


def hang_with_the_lock() -> None:
    """As native code hangs: no other thread of Python runs any more."""
    ctypes.PyDLL(None).sleep(600)


def eat() -> None:
    kept = []
    for _ in range(1_000):
        kept.append(np.empty(64 * _MB, np.uint8))
        kept[-1][:4096] = 1


def eat_and_crash() -> None:
    """As C code does that never looks whether memory was given."""
    malloc = ctypes.CDLL(None).malloc
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    for _ in range(1_000):
        ctypes.memset(malloc(64 * _MB), 1, 4096)


def panic() -> None:
    """As a decoder in Rust: its panics are no Exception."""

    class Panic(BaseException):
        pass

    raise Panic("index out of bounds")


def be_killed() -> None:
    """As the kernel ends a process for others that want its memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave_at_once() -> None:
    os._exit(7)


def leave() -> None:
    sys.exit(3)


def fork() -> None:
    if os.fork() == 0:
        time.sleep(600)


def fork_in_c() -> None:
    """Python hears nothing of it: the copy comes back from here too, and nobody waits for it."""
    ctypes.CDLL(None).fork()


def fork_and_go_on_twice() -> None:
    """The same, and waits: then nothing is left of it."""
    if copy := ctypes.CDLL(None).fork():
        os.waitpid(copy, 0)


def start_a_daemon() -> None:
    """A grandchild in a session of its own, whose parent is gone."""
    script = "import os, time; os.fork() and os._exit(0); os.setsid(); open(os.environ['PIDS'], 'a').write("
    script += "f'{os.getpid()}\\n'); time.sleep(600)"
    subprocess.run([sys.executable, "-c", script], check=True)
    while not _written():
        time.sleep(0.01)


def start_and_crash() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(os.environ["PIDS"], "a") as file:
        file.write(f"{child.pid}\n")
    segv()


def shout() -> None:
    os.write(1, b"\x1b]0;owned\x07 not JSON")
    os.write(2, b"\x1b[2J")


def _written() -> str:
    pids = Path(os.environ["PIDS"])
    return pids.read_text() if pids.exists() else ""


BEHAVIOURS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        *(
            segv,
            hang_with_the_lock,
            eat,
            eat_and_crash,
            panic,
            be_killed,
            leave_at_once,
            leave,
            fork,
            fork_in_c,
            fork_and_go_on_twice,
        ),
        *(start_a_daemon, start_and_crash, shout),
    )
}
