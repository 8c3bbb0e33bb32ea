"""Thumbnails on disk: a batch at a time, each whole or not at all, and still there after a power cut."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_thumbnails(jpegs: Mapping[Path, bytes]) -> None:
    """Write each file under its name. Raises OSError.

    All are written before the first is made safe, so that the disk takes them in one go; then they get their names,
    and only then is that made safe, folder by folder, most of it by the first.
    """
    for path, jpeg in jpegs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _part(path).write_bytes(jpeg)
    for path in jpegs:
        _make_safe(_part(path))
    for path in jpegs:
        _part(path).replace(path)
    if os.name != "nt":  # Windows has no such call for folders
        for folder in dict.fromkeys(path.parent for path in jpegs):
            _make_safe(folder)


def _part(path: Path) -> Path:
    return path.with_suffix(".part")


def _make_safe(path: Path) -> None:
    # Windows flushes only what is open for writing; a folder cannot be.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
