"""`scan --watch` as a person follows it: a line for each scan, and below it what is being waited for."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from photoindex.records import ScanReport
from photoindex.render.output import ScanFormat
from photoindex.render.scanning import print_report, progress_view
from photoindex.render.text import note, short_path, visible
from photoindex.scan.options import ScanOptions

_CLEAR = "\r\x1b[K"


class WatchView:
    """A report of the first scan and a line for each other on stdout; on stderr one line that says what is watched."""

    def __init__(self, folders: Sequence[str], output: ScanFormat) -> None:
        self._watched = ", ".join(short_path(folder) for folder in folders)
        self._output = output
        self._scans = 0
        self._live = sys.stderr.isatty()
        self._status = ""

    def __enter__(self) -> WatchView:
        return self

    def __exit__(self, *_: object) -> None:
        self._show("")

    @contextlib.contextmanager
    def shown(self, options: ScanOptions) -> Iterator[ScanOptions]:
        """While a scan runs: its progress instead of the line."""
        self._show("")
        with progress_view() as view:
            yield replace(options, progress=view.show, tell=view.note)

    def report(self, report: ScanReport) -> None:
        self._show("")
        self._scans += 1
        if self._scans == 1 or self._output is ScanFormat.ndjson:
            print_report(report, self._output)
        else:
            print(round_line(report), flush=True)
        if self._scans == 1 and not report.interrupted:
            note(f"Watching {self._watched}. Ctrl-C ends.")
        last = time.strftime("%H:%M:%S")
        self._show(f"Watching {self._watched}; last scan at {last}. Ctrl-C ends.")

    def say(self, line: str) -> None:
        status = self._status
        self._show("")
        note(line)
        self._show(status)

    def _show(self, status: str) -> None:
        """Only a terminal has a line that can be taken back."""
        self._status = status
        if self._live:
            print(f"{_CLEAR}{status}", end="", file=sys.stderr, flush=True)


def round_line(report: ScanReport) -> str:
    """`20:05:01  3 analysed, 1 moved, 2 missing, 1 with problems, in 2.1 s`"""
    counts = [
        (report.analysed, "analysed"),
        (report.moved, "moved"),
        (report.missing, "missing"),
        (report.failed, "with problems; see `photoindex failures`"),
    ]
    said = ", ".join(f"{count:,} {name}" for count, name in counts if count) or "nothing new"
    notes = "".join(f"\n  {visible(line)}" for line in report.notes)
    return f"{time.strftime('%H:%M:%S')}  {said}, in {report.wall_s:.1f} s{notes}"
