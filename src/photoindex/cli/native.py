"""Crashes of native code, which take the process down before Python can report them.

Python's fault handler tells where each thread was: of a scan in a file beside the reports of crashes, which is made
before and deleted when the scan ends in any other way; of other commands on the terminal. The next command makes a
report of what it finds there. That names files and functions of programs, and no values.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import platform
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

import photoindex
from photoindex.cli.crash import NOTHING_PRIVATE, redactor_of, versions, write_report
from photoindex.config import crash_folder
from photoindex.render.text import note

_RUNNING = "running-*.txt"
_THREADS = "\nthreads:\n"
# The command whose crashes are shown on the terminal so far; None where that is not for us.
_SHOWN: ContextVar[str | None] = ContextVar("shown", default=None)


def show_native_crashes(command: str) -> None:
    """Report the scans that crashed before. From here on a crash is told on the terminal, unless somebody else listens
    already (PYTHONFAULTHANDLER, a runner of tests)."""
    with contextlib.suppress(OSError):
        _report_crashed(crash_folder())
    if not faulthandler.is_enabled():
        _SHOWN.set(command)
        _to_terminal()


def write_native_crashes() -> None:
    """From here on a crash is written to a file instead, where one can be had. Called again, it changes nothing."""
    if (command := _SHOWN.get()) is None:
        return
    _SHOWN.set(None)
    with contextlib.suppress(OSError):
        folder = crash_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path, handle = _new_file(folder, (_heading(command) + _THREADS).encode())
        faulthandler.enable(handle, all_threads=True)
        atexit.register(_forget, path, handle)


def _new_file(folder: Path, heading: bytes) -> tuple[Path, int]:
    """A file that is locked and has its heading before it has its name: another command would take it for that of a
    process that has ended. Raises OSError, and leaves nothing then."""
    path = folder / _RUNNING.replace("*", f"{time.time_ns()}-{os.getpid()}")
    part = path.with_suffix(".part")
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _lock(handle)
        os.write(handle, heading)
        part.rename(path)
    except BaseException:
        os.close(handle)
        part.unlink(missing_ok=True)
        raise
    return path, handle


def _to_terminal() -> None:
    with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):  # there is none
        faulthandler.enable(all_threads=False)


def _forget(path: Path, handle: int) -> None:
    """The command has ended well; what libraries do as the interpreter goes is told on the terminal."""
    faulthandler.disable()
    _to_terminal()
    os.close(handle)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()  # unless there are reports


def _heading(command: str) -> str:
    lines = [
        "photoindex crash report",
        f"time: {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, when the command began",
        f"photoindex: {photoindex.__version__}",
        f"command: photoindex {command}",
        f"system: {platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        f"python: {platform.python_version()}",
    ]
    return "\n".join(lines)


def _report_crashed(folder: Path) -> None:
    """Make a report of each file of a process that has ended: one that says nothing is of a process that was killed."""
    for path in sorted(folder.glob(_RUNNING)):
        with contextlib.suppress(OSError):  # not ours, or none of these files: the others are reported
            if not _is_running(path):
                _report(path)
                path.unlink(missing_ok=True)


def _report(path: Path) -> None:
    heading, _, told = path.read_text("utf-8", "replace").partition(_THREADS)
    if not told.strip():
        return
    command = heading.partition("command: ")[2].partition("\n")[0]
    text = f"{heading}\npackages: {', '.join(versions())}\n{_THREADS}{redactor_of((), ()).text(told)}"
    report = write_report(path.parent, text)
    note(f"An earlier `{command}` was ended by a crash of native code: {told.strip().splitlines()[0]}")
    note(f"What it had saved is kept. A report for the developers lies at {report}")
    note(NOTHING_PRIVATE)


def _lock(handle: int) -> None:
    """Held until this process ends, however it does."""
    with contextlib.suppress(ImportError):  # Windows, where an open file cannot be deleted
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_running(path: Path) -> bool:
    """Whether the process that made the file lives."""
    with path.open("r+b") as file:  # NFS locks nothing that is only read
        try:
            _lock(file.fileno())
        except BlockingIOError:
            return True
        return False
