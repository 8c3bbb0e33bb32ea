"""Faults at counted steps: what changes a disk or the catalog, in any module, is a step."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from photoindex.dupes import cloning
from photoindex.store.connection import CatalogFile

STEPS = ("write", "fsync", "link", "symlink", "unlink", "rename", "mkdir", "rmdir", "chown", "chmod", "utime")


class Killed(BaseException):
    """The process ends here: after it, no step of the process is done any more."""


class Faults:
    """While `striking`, every step from the `after`th on (or only that one, where not `lasting`) calls `fault`.

    `crossing`: what lies below a folder `photos` is on a disk of its own.
    """

    def __init__(self, after: int, fault: Callable[[], None], lasting: bool = True, crossing: bool = False) -> None:
        self.after, self.fault, self.lasting, self.crossing = after, fault, lasting, crossing
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps - 1 == self.after or (self.lasting and self.steps > self.after):
            self.fault()

    @property
    def struck(self) -> bool:
        return self.steps > self.after

    @contextlib.contextmanager
    def striking(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in STEPS:
                patch.setattr(os, name, self._counted(name, getattr(os, name)))
            patch.setattr(CatalogFile, "write", self._commits(CatalogFile.write))
            yield

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            self.step()
            if self.crossing and name in ("link", "rename") and _elsewhere(given[0]) != _elsewhere(given[1]):
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return real(*given, **named)

        return step

    def _commits(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @contextlib.contextmanager
        def write(file: CatalogFile) -> Iterator[Any]:
            self.step()
            with real(file) as con:
                yield con
            self.step()

        return write


def _elsewhere(path: Any) -> bool:
    return b"/photos/" not in os.fsencode(path)


def kill() -> None:
    raise Killed


def clones_by_copying(patch: pytest.MonkeyPatch) -> None:
    """For disks that cannot share bytes, so that all but the cloning itself is tried there, too."""
    patch.setattr(cloning, "_ficlone", lambda path, new: Path(new).write_bytes(Path(path).read_bytes()))
    patch.setattr(cloning.sys, "platform", "linux")
