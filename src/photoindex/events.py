"""What happens, told as it happens: structured events on Python's own logger `photoindex`.

Nobody hears them, and they cost nothing, until a handler is added and the logger's level lowered: `--log-file` and
`-v` do that, and so can a program of your own. docs/json.md lists the events and their facts. Milestones have the
level INFO; what happens to single files, steps and batches has DEBUG.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

LOG = logging.getLogger("photoindex")
LOG.addHandler(logging.NullHandler())  # else Python itself prints warnings that nobody listens to
_FILES = 16


def tell(event: str, level: int = logging.INFO, /, **facts: Any) -> None:
    """Say that `event` has happened; `facts` are values that JSON knows."""
    if LOG.isEnabledFor(level):
        LOG.log(level, event, extra={"facts": facts})


def hears(level: int = logging.DEBUG) -> bool:
    """Whether anybody listens to events of this level: ask before collecting what only they need."""
    return LOG.isEnabledFor(level)


def facts_of(record: logging.LogRecord) -> dict[str, Any] | None:
    """What was told with an event; None for a message of a library's own logger."""
    facts: dict[str, Any] | None = getattr(record, "facts", None)
    return facts


@contextlib.contextmanager
def timed(event: str, level: int = logging.INFO, /, **facts: Any) -> Iterator[dict[str, Any]]:
    """Tell of `event` when the block ends well, with `duration_s`. The block may add facts to what it is given."""
    started = time.perf_counter()
    yield facts
    tell(event, level, **facts, duration_s=round(time.perf_counter() - started, 6))


@contextlib.contextmanager
def lasting(began: str, ended: str, /, **facts: Any) -> Iterator[None]:
    """Tell of `began`, and of `ended` with `duration_s` however the block ends."""
    started = time.perf_counter()
    tell(began, **facts)
    try:
        yield
    finally:
        tell(ended, **facts, duration_s=round(time.perf_counter() - started, 6))


@contextlib.contextmanager
def during(doing: str, files: Iterable[str] = ()) -> Iterator[None]:
    """Whatever goes wrong inside carries what was being done, and with which files: see `doing_of`."""
    try:
        yield
    except Exception as error:
        with contextlib.suppress(AttributeError):
            if not hasattr(error, "photoindex_doing"):  # the innermost knows best
                error.photoindex_doing = (doing, tuple(files)[:_FILES])  # type: ignore[attr-defined]
        raise


def doing_of(error: BaseException | None) -> tuple[str, tuple[str, ...]] | None:
    """What was being done when `error`, or what caused it, was raised, and with which files."""
    while error is not None:
        found: tuple[str, tuple[str, ...]] | None = getattr(error, "photoindex_doing", None)
        if found is not None:
            return found
        error = error.__cause__ or error.__context__
    return None
