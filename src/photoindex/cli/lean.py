"""Starting and ending a short command fast."""

from __future__ import annotations

import atexit
import os
import sys
import types
import warnings
from contextvars import ContextVar

_SHORT: ContextVar[bool] = ContextVar("short", default=False)


def short_command() -> None:
    """This command only asks, and is over soon: keep its process from what takes longer than that.

    pyarrow imports pandas, half the import of what reads the vectors, and unused here. It does without where it finds a
    version older than it can use, so it is shown one. A scan has libraries that use pandas. See also `end_soon`.
    """
    _SHORT.set(True)
    if "pandas" not in sys.modules:
        stand_in = types.ModuleType("pandas")
        stand_in.__version__ = "0"  # type: ignore[attr-defined]
        sys.modules["pandas"] = stand_in
        warnings.filterwarnings("ignore", "pyarrow requires pandas")


def end_soon(end: SystemExit) -> None:
    """End the process now if it was a short command: to take apart what its libraries have made takes a sixth of its
    time, and the system takes it back as well. What waits for the end of the process is done before."""
    if not _SHORT.get() or not isinstance(end.code, int | None):
        return
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # Python says in its own way that nobody reads what was printed
        return
    os._exit(end.code or 0)
