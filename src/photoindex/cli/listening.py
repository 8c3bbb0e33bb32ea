"""Hearing what happens: `--log-file` and `-v`, for the time of one command."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

import photoindex
from photoindex.errors import LogNotWritable, PhotoindexError
from photoindex.events import LOG, tell
from photoindex.logfile import LogFile
from photoindex.render.events import Spoken
from photoindex.render.text import note

LogFileOption = Annotated[
    str | None,
    typer.Option("--log-file", metavar="FILE", help="Append all that happens to this file, as lines of JSON."),
]
VerboseOption = Annotated[
    int,
    typer.Option(
        "-v", "--verbose", count=True, help="Say more on stderr; -vv also of every file and step.", show_default=False
    ),
]
_LEVELS = {1: logging.INFO, 2: logging.DEBUG}


@contextlib.contextmanager
def listening(command: str, log_file: str | None, verbose: int, folders: Sequence[str]) -> Iterator[None]:
    """While inside, events go to the log and to stderr. Raises LogNotWritable before anything else happens.

    The log may not lie in one of the scanned `folders`: nothing is ever written there.
    """
    handlers: list[logging.Handler] = []
    if log_file is not None:
        handlers.append(LogFile(_outside(Path(os.path.expanduser(log_file)).absolute(), folders)))
    if verbose:
        handlers.append(Spoken(_LEVELS[min(verbose, 2)]))
    with _attached(handlers):
        started = time.perf_counter()
        tell("command_started", command=command, program=photoindex.__version__)
        try:
            yield
        except PhotoindexError as error:
            tell("error", logging.ERROR, error=type(error).__name__, message=str(error), exit_code=error.exit_code)
            raise
        except Exception as error:
            tell("error", logging.CRITICAL, error=type(error).__name__, message=str(error), exit_code=2)
            raise
        finally:
            tell("command_ended", command=command, duration_s=round(time.perf_counter() - started, 3))
            for handler in handlers:
                if isinstance(handler, LogFile) and handler.lost:
                    note(f"The log {handler.path} lacks the last {handler.lost:,} events: {handler.reason}.")


@contextlib.contextmanager
def _attached(handlers: Sequence[logging.Handler]) -> Iterator[None]:
    """The handlers on our own logger, and the log also on the root of all: it keeps what libraries say."""
    root, level = logging.getLogger(), LOG.level
    if not handlers:
        yield
        return
    heard = min((each.level or logging.DEBUG) for each in handlers)
    logs = [each for each in handlers if isinstance(each, LogFile)]
    for handler in handlers:
        LOG.addHandler(handler)
    libraries = [_Libraries(each) for each in logs]
    for handler in libraries:
        root.addHandler(handler)
    LOG.setLevel(min(heard, LOG.level or heard))
    show = warnings.showwarning
    logging.captureWarnings(bool(logs))
    try:
        yield
    finally:
        logging.captureWarnings(False)
        warnings.showwarning = show
        for handler in handlers:
            LOG.removeHandler(handler)
            handler.close()
        for handler in libraries:
            root.removeHandler(handler)
        LOG.setLevel(level)


class _Libraries(logging.Handler):
    """Passes the warnings and errors of libraries on to the log."""

    def __init__(self, log: LogFile) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != LOG.name:
            self._log.handle(record)


def _outside(path: Path, folders: Sequence[str]) -> Path:
    real = os.path.realpath(path)
    for folder in folders:
        if Path(real).is_relative_to(os.path.realpath(os.path.expanduser(folder))):
            raise LogNotWritable(path, f"it would lie in {folder}, which is scanned and never written to")
    return path
