"""More than a thousand crashes while plans are applied and undone: nothing is lost, the journal is true, undo restores.

Each step that changes a disk or the catalog is tried, for each target, on one disk and between two.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from apply_faults import Faults, Killed, clones_by_copying, kill
from applying import TARGETS, Setting, catalog_open, trash_in, tree
from photoindex.errors import LibraryBusy, LibraryNotWritable
from photoindex.store.library import Library

pytestmark = pytest.mark.slow
LEAST = {"quarantine": 380, "trash": 380}  # more than a thousand with those of the other four
LEAST_OF_OTHERS = 80
KILLS = 30
_CHILD = """
import pickle, sys
sys.path.insert(0, {tests!r})
import pytest
from applying import trash_in
from apply_faults import clones_by_copying
setting = pickle.loads(bytes.fromhex({setting!r}))
patch = pytest.MonkeyPatch()
trash_in(setting.data, patch)
clones_by_copying(patch)
print("ready", flush=True)
while True:
    setting.apply()
    setting.undo()
"""


@pytest.fixture
def setting(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    trash_in(tmp_path / "data", monkeypatch)
    clones_by_copying(monkeypatch)
    return Setting(tmp_path, request.param)


def raising(code: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    return fail


@dataclass(frozen=True)
class How:
    """`every`: of so many steps one is tried; `crossing`: the photos are on a disk of their own."""

    fault: Callable[[], None]
    lasting: bool = True
    every: int = 1
    first: int = 0
    undoing: bool = False
    crossing: bool = False


FAULTS = (
    How(kill),
    How(raising(errno.ENOSPC), every=3, first=1),  # a disk that is full
    How(raising(errno.EACCES), every=3, first=2),  # permission that is gone
    How(raising(errno.EIO), lasting=False, every=3, first=3),  # a disk that fails once
)


@pytest.mark.parametrize("setting", TARGETS, indirect=True)
def test_a_crash_at_any_step_of_apply_and_undo_loses_nothing(setting: Setting) -> None:
    before, known = tree(setting.photos), setting.known()
    crashes = 0
    with catalog_open(setting.folder):
        for crossing in (False, True) if setting.options.to in ("quarantine", "trash") else (False,):
            for undoing in (False, True):
                for fault in FAULTS:
                    crashes += _crashes(setting, before, known, replace(fault, undoing=undoing, crossing=crossing))
    print(setting.options.to, crashes)
    assert crashes >= LEAST.get(setting.options.to, LEAST_OF_OTHERS)


def _crashes(setting: Setting, before: Any, known: Any, how: How) -> int:
    """How many there were."""
    for count in range(10_000):
        if how.undoing:
            setting.apply()
        faults = Faults(how.first + count * how.every, how.fault, how.lasting, how.crossing)
        with contextlib.suppress(Killed, LibraryNotWritable), faults.striking():
            setting.undo() if how.undoing else setting.apply()
        try:
            setting.spares = how.crossing  # a copy into the trash that was cut short stays there
            _all_is_well(setting, before, known, goes_on=count % 3 == 1 and not how.undoing)
        except BaseException as error:
            error.add_note(f"{setting.options.to}, {how}, step {faults.after}")
            raise
        if not faults.struck:
            return count
    raise AssertionError("it never ends")


def _all_is_well(setting: Setting, before: Any, known: Any, goes_on: bool = False) -> None:
    setting.nothing_lost(before)
    setting.journal_is_true(before)
    if goes_on:
        setting.apply()  # the same plan
        assert setting.went()
    setting.undo_all()
    setting.restored(before, known)
    setting.forget_runs()


@pytest.mark.parametrize("setting", TARGETS, indirect=True)
def test_a_process_that_is_killed_at_any_time_loses_nothing(setting: Setting) -> None:
    before, known = tree(setting.photos), setting.known()
    chance = random.Random(setting.options.to)
    tests = str(Path(__file__).parent)
    script = _CHILD.format(tests=tests, setting=pickle.dumps(setting).hex())
    for _ in range(KILLS // len(TARGETS)):
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n", child.stderr.read().decode()  # type: ignore[union-attr]
            time.sleep(chance.uniform(0.0, 0.4))
        finally:
            child.send_signal(signal.SIGKILL)
            child.communicate()
        _all_is_well(setting, before, known)


@pytest.mark.parametrize("setting", ["quarantine"], indirect=True)
def test_of_two_at_once_the_second_is_told_who_is_at_work(setting: Setting) -> None:
    before = tree(setting.photos)
    with Library.writing(setting.folder):
        for work in (setting.apply, setting.undo):
            with pytest.raises(LibraryBusy, match=f"process {os.getpid()} "):
                work()
    assert tree(setting.photos) == before
