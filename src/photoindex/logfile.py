"""The log of `--log-file`: one JSON object a line for every event, appended, and set aside when it has grown large."""

from __future__ import annotations

import json
import logging
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from photoindex.errors import LogNotWritable
from photoindex.events import facts_of

LARGEST = 64_000_000
KEPT = 4
_FIRST = 4096


class LogFile(logging.Handler):
    """Appends events to `path`. Above `largest` bytes it becomes PATH.1, that PATH.2, and so on up to `kept`.

    A file that another program moved away, as logrotate does, is begun anew. Several processes may share one log. What
    cannot be written, on a full disk for example, is counted in `lost` and told in the log when it can be written
    again; nothing is raised then.
    """

    def __init__(self, path: Path, largest: int = LARGEST, kept: int = KEPT) -> None:
        """Raises LogNotWritable, also for a file that is no such log: nothing is ever appended to a photo."""
        super().__init__()
        self.path, self.lost, self.reason = path, 0, ""
        self._largest, self._kept = largest, kept
        self._run: int | None = None
        self._torn = False
        self._file: int | None = None
        try:
            _check(path)
            self._open()
        except OSError as error:
            raise LogNotWritable(path, error.strerror or error) from error

    def emit(self, record: logging.LogRecord) -> None:
        facts = facts_of(record)
        if facts is not None and record.msg == "run_started":
            self._run = facts.get("run")
        line = as_line(record, self._run)
        if facts is not None and record.msg == "run_ended":
            self._run = None
        try:
            self._reopen_if_moved()
            self._turn_over()
            if self.lost:
                gap = {"time": _now(), "level": "error", "event": "log_gap", "run": self._run, "pid": os.getpid()}
                self._write(json.dumps({**gap, "lost": self.lost, "reason": self.reason}))
                self.lost = 0
            self._write(line)
        except OSError as error:
            self.lost, self.reason = self.lost + 1, error.strerror or str(error)

    def close(self) -> None:
        self._shut()
        super().close()

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)

    def _shut(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, line: str) -> None:
        """In one call, so that the lines of several processes do not mix. Raises OSError where not all of it fits."""
        if self._file is None:
            self._open()
        assert self._file is not None
        data = (("\n" if self._torn else "") + line + "\n").encode("ascii")
        written = os.write(self._file, data)
        self._torn = written < len(data) if written else self._torn
        if written < len(data):
            raise OSError(28, "No space left on device")

    def _reopen_if_moved(self) -> None:
        if self._file is not None:
            ours = os.fstat(self._file)
            try:
                there = os.stat(self.path)
            except FileNotFoundError:
                there = None
            if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
                self._shut()
                self._torn = False

    def _turn_over(self) -> None:
        if self._file is None or os.fstat(self._file).st_size < self._largest:
            return
        self._shut()
        for number in range(self._kept - 1, 0, -1):
            older = _numbered(self.path, number)
            if older.exists():
                older.replace(_numbered(self.path, number + 1))
        self.path.replace(_numbered(self.path, 1))


def as_line(record: logging.LogRecord, run: int | None = None) -> str:
    """A record as a line of JSON, all ASCII. What a library says is the event `library_message`."""
    facts = facts_of(record)
    line: dict[str, Any] = {
        "time": _now(record.created),
        "level": record.levelname.lower(),
        "event": record.msg if facts is not None else "library_message",
        "run": run,
        "pid": record.process,
    }
    if facts is None:
        facts = {"library": record.name, "message": " ".join(_said(record).split())}
    return json.dumps({**line, **facts}, default=str)


def _said(record: logging.LogRecord) -> str:
    """The message; as it was written where its arguments do not fit, as libraries get wrong now and then."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments may raise anything, and a log must not raise into a library
        return str(record.msg)


def _now(seconds: float | None = None) -> str:
    """UTC in ISO 8601 with milliseconds: 2026-11-20T20:05:01.123Z"""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _check(path: Path) -> None:
    """Raises LogNotWritable where there is something else than a log, or nothing that a file can be made in."""
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(kind):
        raise LogNotWritable(path, "it is no file")
    with path.open("rb") as file:
        first = file.read(_FIRST).split(b"\n", 1)[0]
    if first and not first.startswith(b'{"time": "'):
        raise LogNotWritable(path, "there is a file that is no log of photoindex, and it stays as it is")
