"""Events as a person reads them, with -v: the time, what happened, the facts, how long it took."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from photoindex.events import facts_of
from photoindex.pure.sizes import show_size
from photoindex.render.text import visible

_BYTES = {"bytes", "budget"}
_LEFT_OUT = {"versions", "seconds", "photo"}  # too long for a line; the log has them


class Spoken(logging.Handler):
    """Writes a line on stderr for each event from `level` on."""

    def emit(self, record: logging.LogRecord) -> None:
        line = sentence(record)
        if line is not None:
            print(line, file=sys.stderr, flush=True)  # a running progress bar takes it and puts it above itself


def sentence(record: logging.LogRecord) -> str | None:
    """`20:05:01 model loaded: step embedding, model tiny-clip, 0.52 s`; None for what has no facts."""
    facts = facts_of(record)
    if facts is None:
        return None
    took = facts.get("duration_s")
    parts = [f"{name} {_value(name, value)}" for name, value in facts.items() if _is_said(name, value)]
    parts += [f"{took:.3g} s"] if isinstance(took, float) else []
    about = f": {', '.join(parts)}" if parts else ""
    return visible(f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {_words(record.msg)}{about}")


def _is_said(name: str, value: Any) -> bool:
    return name not in _LEFT_OUT and name != "duration_s" and value not in (None, [], {}, "")


def _words(event: str) -> str:
    return event.replace("_", " ")


def _value(name: str, value: Any) -> str:
    if name in _BYTES:
        return show_size(value)
    if isinstance(value, list):
        return "+".join(_value("", each) for each in value) if name == "" else " ".join(_value("", e) for e in value)
    return str(value)
