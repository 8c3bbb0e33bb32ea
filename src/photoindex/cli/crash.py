"""What is left behind by an unexpected error: a report that says where and in what, and names nothing private."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import site
import sys
import sysconfig
import time
import traceback
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

import photoindex
from photoindex.config import crash_folder, read_settings
from photoindex.errors import PhotoindexError
from photoindex.events import LOG, doing_of, facts_of
from photoindex.logfile import as_line
from photoindex.pure.redact import Redactor
from photoindex.render.text import note

# Whether reports may name files and words, as --debug says.
DEBUG: ContextVar[bool] = ContextVar("debug", default=False)
_KEPT = 20
_EVENTS = 30
_PACKAGES = ("typer", "rich", "numpy", "duckdb", "lancedb", "pylance", "pyarrow", "torch", "onnxruntime", "openvino")
_MORE_PACKAGES = ("transformers", "open-clip-torch", "paddleocr", "rapidocr", "insightface", "pillow", "watchfiles")
NOTHING_PRIVATE = "Files, folders and words of yours are replaced by checksums; `photoindex --debug ...` names them."


class Recent(logging.Handler):
    """Remembers the last events, for a report, and the folders that were scanned."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=_EVENTS)
        self.folders: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.folders.update((facts_of(record) or {}).get("roots", ()))
        self.lines.append(as_line(record))


@contextlib.contextmanager
def remembering() -> Iterator[Recent]:
    """While inside, the last events are remembered."""
    recent, level = Recent(), LOG.level
    LOG.addHandler(recent)
    LOG.setLevel(logging.INFO)
    try:
        yield recent
    finally:
        LOG.removeHandler(recent)
        LOG.setLevel(level)


def report_crash(error: Exception, recent: Recent, commands: Collection[str]) -> None:
    """Write the report of an error that nobody expected, and tell where it lies. `commands`: words that may be told."""
    debug, doing = DEBUG.get(), doing_of(error)
    if debug:
        traceback.print_exception(error)
    note(f"This is a bug in photoindex: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    if doing is not None:
        note(f"It happened during {doing[0]}{_some(doing[1])}.")
    given = [private for _, private in _arguments(sys.argv[1:], commands) if private]
    private = [*given, *(doing[1] if doing else ()), *(os.path.basename(path) for path in (doing[1] if doing else ()))]
    redactor = None if debug else redactor_of(private, [*recent.folders, *_folders(given)])
    text = report_text(error, sys.argv[1:], commands, [*recent.lines], redactor)
    try:
        path = write_report(crash_folder(), text)
    except OSError as failure:
        traceback.print_exception(error)
        note(f"{of_photos(error)} No report could be written ({failure.strerror or failure}).")
        return
    note(f"{of_photos(error)} What was saved is kept. A report for the developers lies at {path}")
    note("It names your files and words: look through it before you send it." if debug else NOTHING_PRIVATE)


def of_photos(error: Exception) -> str:
    """What became of photos: what commands that touch them noted on the error, else that they are untouched."""
    return " ".join(getattr(error, "__notes__", ())) or "Your photos are untouched."


def report_text(
    error: Exception, argv: Sequence[str], commands: Collection[str], events: Sequence[str], redactor: Redactor | None
) -> str:
    """The report: versions, what was being done, the traceback, the last events. None as `redactor` keeps names."""
    doing = doing_of(error)
    words = [
        told + (private if redactor is None else redactor.name(private)) if private else told
        for told, private in _arguments(argv, commands)
    ]
    facts = [
        "photoindex crash report",
        f"time: {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"photoindex: {photoindex.__version__}",
        f"command: photoindex {' '.join(words)}".rstrip(),
        f"system: {platform.platform()}, {os.cpu_count()} cores",
        f"python: {platform.python_version()}",
        f"packages: {', '.join(versions())}",
        f"doing: {doing[0] if doing else 'unknown'}",
        *(
            f"file: {path}" if redactor is None else f"file: {redactor.name(path)}"
            for path in (doing[1] if doing else ())
        ),
    ]
    trace = "".join(traceback.format_exception(error))
    body = "\n".join(["", trace, "last events:", *events])
    return "\n".join(facts) + (body if redactor is None else redactor.text(body)) + "\n"


def _arguments(argv: Sequence[str], commands: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each argument parted into what may be told, the name of a command or an option, and what is private."""
    for at, word in enumerate(argv):
        if "--" in argv[:at]:
            yield "", word
        elif word.startswith("-"):
            name, equals, value = word.partition("=")
            yield name + equals, value
        else:
            yield (word, "") if word in commands else ("", word)


def _folders(words: Sequence[str]) -> Iterator[str]:
    """Where what was given lies, if it is a path, and the library."""
    for word in words:
        if os.sep in word or os.path.exists(word):
            yield os.path.abspath(os.path.expanduser(word))
    with contextlib.suppress(PhotoindexError):
        yield str(read_settings().library)


def redactor_of(private: Sequence[str], folders: Sequence[str]) -> Redactor:
    """What makes a report fit to be sent: see `Redactor`. Programs and this package stay readable."""
    programs = [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path("stdlib"), sys.base_prefix]
    return Redactor(str(Path.home()), [*programs, str(Path(photoindex.__file__).parents[1])], private, folders)


def versions() -> Iterator[str]:
    """The packages that matter, with their versions."""
    from importlib.metadata import PackageNotFoundError, version  # a tenth of the start of --help

    for name in (*_PACKAGES, *_MORE_PACKAGES):
        with contextlib.suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"


def _some(paths: Sequence[str]) -> str:
    if not paths:
        return ""
    return f", with {paths[0]}" + (f" or {len(paths) - 1} others" if len(paths) > 1 else "")


def write_report(folder: Path, text: str) -> Path:
    """A new report, for its owner's eyes only; the oldest ones go. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("crash-*.txt"))[: -_KEPT + 1]:
        old.unlink(missing_ok=True)
    path = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.txt"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text.encode("utf-8", "backslashreplace"))
    return path
