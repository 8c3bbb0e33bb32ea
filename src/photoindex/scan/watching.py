"""A scan, and then one more of what has changed whenever something has, until it is told to stop.

The library is its writer's only while a scan runs: in between other commands may write. Models stay loaded for a while.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from photoindex.errors import (
    LibraryBusy,
    LibraryNotWritable,
    RootEmpty,
    RootLost,
    RootNotAFolder,
    RootNotFound,
    RootUnreadable,
)
from photoindex.events import lasting, tell
from photoindex.media.reach import in_time, patiently, trouble_with
from photoindex.models.registry import Registry
from photoindex.pure.settling import Settling
from photoindex.records import FoundFile, ScanReport
from photoindex.scan.changes import POLL_S, Changes, Mark, choose_poll, folders_of, mark
from photoindex.scan.kept import KeptModels
from photoindex.scan.memory import give_back
from photoindex.scan.options import ScanOptions
from photoindex.scan.roots import check_answers, check_roots
from photoindex.scan.run import scan
from photoindex.store.library import Library

_TURN_S = 0.5
_LOOK_AT_ROOTS_S = 3.0
_ANSWER_S = 5.0
_AWAY = (RootLost, RootNotFound, RootUnreadable, RootNotAFolder)
_WAIT = (LibraryBusy, LibraryNotWritable)


@contextlib.contextmanager
def _as_it_is(options: ScanOptions) -> Iterator[ScanOptions]:
    yield options


def _ignore(_: ScanReport) -> None:
    return None


def _say_nothing(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to watch. Times are seconds.

    `poll_s`: look so often instead of waiting for the kernel's word (None: on remote file systems only). A file is
    read once it was left alone for `quiet_s`; where files keep changing, what is quiet is read every `at_most_s`. All
    of every folder is looked at again after `again_s`, models are let go of after `idle_s` without work, and what
    could not be done is tried again after `retry_s`; where so much had gone that a disk may be unplugged, after
    `doubt_s` or once something changes there. `shown` surrounds each scan; `report` gets what it did, `say`
    what is being waited for.
    """

    poll_s: float | None = None
    quiet_s: float = 2.0
    at_most_s: float = 30.0
    again_s: float = 6 * 3600.0
    idle_s: float = 600.0
    retry_s: float = 10.0
    doubt_s: float = 600.0
    shown: Callable[[ScanOptions], AbstractContextManager[ScanOptions]] = _as_it_is
    report: Callable[[ScanReport], None] = _ignore
    say: Callable[[str], None] = _say_nothing


@dataclass(slots=True)
class _Root:
    """A watched folder. `place`: what the system knows it by; `changes` is None while the folder is `away`."""

    path: str
    place: tuple[int, int] | None
    changes: Changes | None
    settling: Settling[Mark | None]
    whole: bool = False
    away: str | None = None
    not_before: float = 0.0
    whole_after: float = 0.0


@dataclass(slots=True)
class _Watch:
    folder: Path
    registry: Registry
    models_dir: Path
    options: ScanOptions
    watch: WatchOptions
    kept: KeptModels
    roots: list[_Root] = field(default_factory=list)
    budget: int | None = None
    said: str = ""
    last_work: float = 0.0
    last_look: float = 0.0
    last_whole: float = 0.0

    def begin(self, roots: Sequence[str]) -> None:
        """Watch, then scan: what changes meanwhile is heard."""
        self.roots = [self._watched(root) for root in roots]
        self._scan(roots)
        self.options = replace(self.options, rescan=(), retry_failed=False, accept_missing=False, gone=())
        self.last_whole = time.monotonic()

    def turn(self) -> None:
        """Whatever there is to do now."""
        now = time.monotonic()
        if now - self.last_look >= _LOOK_AT_ROOTS_S:
            self.last_look = now
            for root in self.roots:
                self._look_at(root, now)
        if now - self.last_whole >= self.watch.again_s:
            self.last_whole = now
            for root in self.roots:
                root.whole = True
        for root in self.roots:
            self._work_on(root, now)
        if self.kept.models and now - self.last_work >= self.watch.idle_s:
            self.kept.close()
            give_back()

    def close(self) -> None:
        for root in self.roots:
            if root.changes is not None:
                root.changes.close()

    def _watched(self, path: str) -> _Root:
        poll_s = choose_poll(path, self.watch.poll_s)
        settling: Settling[Mark | None] = Settling(self.watch.quiet_s, self.watch.at_most_s)
        return _Root(path, _place(path), Changes(path, poll_s, str(self.folder)), settling)

    def _look_at(self, root: _Root, now: float) -> None:
        """Whether the folder is still the one that is watched, and whether its watcher hears."""
        place = _place(root.path)
        if root.away is None and place != root.place:
            self._is_away(root, "it is not there" if place is None else "another one is in its place")
        if root.away is not None and now >= root.not_before and trouble_with(root.path, _ANSWER_S) is None:
            fresh = self._watched(root.path)
            root.place, root.changes, root.settling = fresh.place, fresh.changes, fresh.settling
            root.away, root.whole, root.whole_after = None, True, 0.0
            tell("root_back", root=root.path)
        if root.changes is not None and root.changes.problem is not None:
            poll_s = root.changes.poll_s or POLL_S
            self._say(f"The system does not watch {root.path} ({root.changes.problem}): looking every {poll_s:g} s.")
            root.changes.close()
            root.changes, root.whole = Changes(root.path, poll_s, str(self.folder)), True

    def _is_away(self, root: _Root, reason: str) -> None:
        if root.away != reason:
            tell("root_away", root=root.path, reason=reason)
            self._say(f"Waiting for {root.path}: {reason}. Its photos stay as they are.")
        if root.changes is not None:
            root.changes.close()
        root.changes, root.away = None, reason

    def _work_on(self, root: _Root, now: float) -> None:
        if root.changes is None or now < root.not_before:
            return
        try:
            for path, found in self._marks(root, {*root.changes.take(), *root.settling.paths()}):
                root.settling.touch(path, found, now)
        except RootLost as error:
            self._is_away(root, str(error))
            return
        ready = root.settling.take(now)
        if not ready and not (root.whole and now >= root.whole_after):
            return
        if self._do(root, ready):
            return
        root.settling.put_back(ready, now)
        root.not_before = now + self.watch.retry_s

    def _marks(self, root: _Root, paths: Collection[str]) -> Iterator[tuple[str, Mark | None]]:
        """What is at each path. Raises RootLost where the folder has fallen silent."""
        looked = ((path, mark(path)) for path in paths)
        return patiently(looked, self.options.stop, lambda: check_answers(root.path)) if paths else looked

    def _do(self, root: _Root, ready: Mapping[str, Mark | None]) -> bool:
        """Scan what has changed, or all. False where it has to be tried again."""
        quiet_ns = time.time_ns() - round(self.watch.quiet_s * 1e9)

        def leave(file: FoundFile) -> bool:
            """Whether a file may still be written; it is come back to. Looking for changes tells late of some."""
            now = Mark(file.size, file.mtime_ns, file.inode)
            waits = file.path in root.settling or (file.mtime_ns > quiet_ns and ready.get(file.path) != now)
            if waits:
                root.settling.touch(file.path, now, time.monotonic())
            return waits

        folders = None if root.whole else folders_of(ready)
        tell("watch_changes", root=root.path, paths=len(ready), whole=folders is None)
        try:
            self._scan([root.path], None if folders is None else {root.path: folders}, leave)
        except RootEmpty as error:
            root.whole, root.whole_after = True, time.monotonic() + self.watch.doubt_s
            self._say(f"Waiting for {root.path}: {error}. Its photos stay as they are.")
            return True
        except _AWAY as error:
            root.not_before = time.monotonic() + self.watch.retry_s
            self._is_away(root, str(error))
            return True
        except _WAIT as error:
            tell("watch_waits", reason=str(error))
            self._say(str(error))
            return False
        root.whole = False
        return True

    def _scan(
        self,
        roots: Sequence[str],
        only: Mapping[str, Mapping[str, bool]] | None = None,
        leave: Callable[[FoundFile], bool] | None = None,
    ) -> None:
        if not self.kept.models:
            self.budget = self.options.max_memory
        options = replace(self.options, only=only, leave=leave or self.options.leave, max_memory=self.budget)
        with self.watch.shown(options) as shown, Library.writing(self.folder) as library:
            report = scan(library, roots, self.registry, self.models_dir, shown)
        self.last_work = time.monotonic()
        if report.memory is not None:  # what is free becomes less by the models that stay loaded
            self.budget = report.memory.budget
        if report.run_id or only is None:
            self.said = ""
            self.watch.report(report)

    def _say(self, line: str) -> None:
        """Once, until something else is said or done."""
        if line != self.said:
            self.said = line
            self.watch.say(line)


def watch(
    folder: Path,
    roots: Sequence[str],
    registry: Registry,
    models_dir: Path,
    options: ScanOptions,
    watch_options: WatchOptions | None = None,
) -> None:
    """Scan `roots` into the library in `folder`, then what changes there, until `options.stop` answers True.

    Raises what `scan` does for the first scan. Later a folder that goes away is waited for, and so is a library that
    is busy or full; other errors end the watch.
    """
    chosen = watch_options or WatchOptions()
    paths = check_roots(roots)
    kept = KeptModels()
    job = _Watch(folder, registry, models_dir, replace(options, command="watch", kept=kept), chosen, kept)
    with contextlib.ExitStack() as ending, lasting("watch_started", "watch_ended", roots=paths):
        ending.callback(kept.close)
        ending.callback(job.close)
        job.begin(paths)
        while not options.stop():
            job.turn()
            _sleep(_TURN_S, options.stop)


def _sleep(seconds: float, stop: Callable[[], bool]) -> None:
    ends = time.monotonic() + seconds
    while not stop() and time.monotonic() < ends:
        time.sleep(0.05)


def _place(path: str) -> tuple[int, int] | None:
    """Device and inode of a folder; None where it is not there, or does not answer."""

    def look() -> tuple[int, int] | None:
        try:
            found = os.stat(path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    answer = in_time(look, _ANSWER_S)
    return answer[0] if answer else None
