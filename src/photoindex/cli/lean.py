"""Starting and ending a short command fast."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import types
import warnings
from collections.abc import Iterator
from contextvars import ContextVar

_SHORT: ContextVar[bool] = ContextVar("short", default=False)
# A short command makes fewer objects than that. Looking for garbage among what its libraries have made, of which none
# is, takes a fifteenth of its time.
_OBJECTS = 1_000_000


def short_command() -> None:
    """This command only asks, and is over soon: keep its process from what takes longer than that.

    pyarrow imports pandas, half the import of what reads the vectors, and unused here. It does without where it finds a
    version older than it can use, so it is shown one. A scan has libraries that use pandas. See also `end_soon`.
    """
    _SHORT.set(True)
    gc.set_threshold(_OBJECTS)
    if "pandas" not in sys.modules:
        stand_in = types.ModuleType("pandas")
        stand_in.__version__ = "0"  # type: ignore[attr-defined]
        sys.modules["pandas"] = stand_in
        warnings.filterwarnings("ignore", "pyarrow requires pandas")


@contextlib.contextmanager
def usual_collector() -> Iterator[None]:
    """Whoever runs a short command, and does not end with it, has garbage collected as before."""
    before = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*before)


def end_soon(end: SystemExit) -> None:
    """End the process now if it was a short command: to take apart what its libraries have made takes a sixth of its
    time, and the system takes it back as well. What waits for the end of the process is done before."""
    if not _SHORT.get() or not isinstance(end.code, int | None):
        return
    try:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # as of `| head`, which has read enough
                    stream.flush()
    except (OSError, ValueError):  # Python says in its own way that what was printed could not be written
        return
    os._exit(end.code or 0)


def open_closed_streams() -> None:
    """Lead to nowhere what the process was started without, as by `>&-`: Python has no stream there, and the first
    file that is opened, such as the catalog, would take the place of the output that libraries write to."""
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(spare)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
