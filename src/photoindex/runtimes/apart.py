"""Our own modules as processes of their own: what is long or may crash there harms nobody here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

# How often it is asked whether to stop while the process works.
_SLICE_S = 0.2


class Disturbed(Exception):
    """A process did not come to its end, for a reason that is not its own, or may not be; args: the reason."""


def run_module(
    module: str,
    arguments: Sequence[str] = (),
    *,
    given: str = "",
    limit_s: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """`python -m module arguments`, `given` on stdin, until it ends.

    In a session of its own: Ctrl-C in the terminal is for this process alone to obey. `env` is added to its
    environment. Raises Disturbed once `stop` answers True or `limit_s` seconds have passed; the process is killed then.
    """
    process = subprocess.Popen(  # noqa: S603 - our own modules, by our own interpreter
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=None if env is None else os.environ | env,
    )
    ends = None if limit_s is None else time.monotonic() + limit_s
    left: str | None = given
    try:
        while True:
            try:
                out, err = process.communicate(left, timeout=_SLICE_S)
                return subprocess.CompletedProcess(process.args, process.returncode, out, err)
            except subprocess.TimeoutExpired:
                left = None
                if stop():
                    raise Disturbed("it was broken off") from None
                if ends is not None and time.monotonic() >= ends:
                    raise Disturbed(f"no end within {limit_s:.0f} seconds") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
