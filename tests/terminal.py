"""A terminal for tests: what a command writes to one, and what the terminal answers to its questions."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

from conftest import Shell

# The library that asks a terminal for pictures waits a tenth of a second, which a busy machine may need to answer.
_PATIENT = """
import textual_image._posix as asked
read = asked.read
asked.read = lambda file, length, timeout=None: read(file, length, timeout and 100.0)
"""


def silent(_: bytes) -> bytes:
    return b""


def on_terminal(
    run: Shell,
    *arguments: str,
    columns: int = 80,
    answer: Callable[[bytes], bytes] = silent,
    code: int = 0,
    keys: bool = False,
    pictures: bool = False,
) -> str:
    """What a command writes to a terminal of so many columns, each of 10 x 20 pixels. `answer`: what the terminal
    types for all that was written to it since it last typed; `keys`: only once the command reads key by key, as it
    drops what was typed before it asked; `pictures`: whether `answer` knows what is asked about pictures."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, columns * 10, 800))
    env = {**os.environ, "PHOTOINDEX_HOME": str(run.home), "TERM": "xterm-256color"}
    program = ["-c", f"{_PATIENT}\nfrom photoindex.cli import main\nmain()"] if pictures else ["-m", "photoindex"]
    command = [sys.executable, *program, *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=run.home, env=env) as process:
        os.close(theirs)
        written, heard = b"", 0
        while part := _read(terminal):
            written += part
            if typed := answer(written[heard:]):  # however what was written is cut into parts
                heard = len(written)
                _wait(lambda: not keys or _reads_keys(terminal) or process.poll() is not None)
                os.write(terminal, typed)
        os.close(terminal)
    assert process.returncode == code, written.decode(errors="replace")
    return written.decode().replace("\r\n", "\n")


def plain(written: str) -> str:
    """The text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", written)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end was closed
        return b""


def _reads_keys(terminal: int) -> bool:
    return not termios.tcgetattr(terminal)[3] & termios.ICANON


def _wait(until: Callable[[], bool]) -> None:
    while not until():
        time.sleep(0.005)
