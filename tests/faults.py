"""What goes wrong around a program: disks that are unplugged, full, read-only or silent, and rights that are lost.

Real mounts, which need Linux and root; a test that cannot have them is skipped.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_DETACH = 2  # MNT_DETACH, umount2(2)
# Root may read and write everything, which would hide what others meet. CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH go,
# from this process and (the bounding set) from those that it starts.
LIKE_OTHER_USERS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert libc.capget(header, data) == 0
data[0] &= ~0b110
data[1] &= ~0b110
for capability in (1, 2):
    libc.prctl(24, capability, 0, 0, 0)
assert libc.capset(header, data) == 0
"""
# Waiting for what does not answer, and for a file that takes too long, in seconds that a test can wait.
IMPATIENT = """
import photoindex.media.reach as reach
import photoindex.scan.options as options
reach.ANSWER_S = 4.0
begin = options.ScanOptions.__init__
options.ScanOptions.__init__ = lambda self, *given, **named: begin(self, *given, **{"time_limit_s": 10.0, **named})
"""


def _mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting needs Linux and root: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    ctypes.CDLL(None).umount2(os.fsencode(folder), _DETACH)


@contextlib.contextmanager
def disk(folder: Path, size: str = "64m") -> Iterator[Path]:
    """A file system of its own in memory, at `folder`."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", folder)
    try:
        yield folder
    finally:
        _unmount(folder)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Nothing can be written below `folder` meanwhile, by nobody."""
    _mount("--bind", folder, folder)
    try:
        _mount("-o", "remount,bind,ro", folder)
        yield folder
    finally:
        _unmount(folder)


@contextlib.contextmanager
def unplugged(folder: Path) -> Iterator[Path]:
    """An empty folder in the place of `folder`, as a disk leaves it."""
    aside = folder.with_name(folder.name + " (unplugged)")
    folder.rename(aside)
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rmdir()
        aside.rename(folder)


@contextlib.contextmanager
def silent(folder: Path) -> Iterator[Path]:
    """A file system at `folder` whose server never answers: whoever asks it anything waits until he is killed."""
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"a file system of the test's own needs /dev/fuse: {error}")
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % server
    if ctypes.CDLL(None).mount(b"none", os.fsencode(folder), b"fuse", 0, options):
        os.close(server)
        pytest.skip("mounting needs Linux and root")
    try:
        yield folder
    finally:
        _unmount(folder)
        os.close(server)  # whoever still waits gets an error now
