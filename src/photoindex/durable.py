"""Putting on disk what was written: a power cut would else take what was said to be done."""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path | str) -> None:
    """Put the bytes of a file on disk. Windows does so only for what is open for writing. Raises OSError."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path | str) -> None:
    """Put the names in a folder on disk. Windows does so by itself, and opens no folders. Raises OSError."""
    if os.name != "nt":
        _sync(folder, os.O_RDONLY)


def _sync(path: Path | str, how: int) -> None:
    descriptor = os.open(path, how)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
