"""Saying in one line that a library was upgraded, and where its backup is."""

from __future__ import annotations

import logging

from photoindex.events import LOG, facts_of
from photoindex.render.text import note

_UPGRADED = "library_upgraded"  # as store.upgrade tells it


class _Upgrades(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        facts = facts_of(record)
        if record.getMessage() == _UPGRADED and facts:
            note(
                f"This library was made by an earlier photoindex: it is brought from schema {facts['before']} to"
                f" {facts['after']}. A backup of what it was is {facts['backup']}."
            )


def tell_of_upgrades() -> None:
    """From now on in this process. Called again, it changes nothing."""
    if not any(isinstance(handler, _Upgrades) for handler in LOG.handlers):
        LOG.addHandler(_Upgrades(logging.WARNING))
