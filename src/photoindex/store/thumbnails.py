"""Thumbnails on disk: a batch at a time, each whole or not at all, and still there after a power cut."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from photoindex.durable import sync_file, sync_folder


def write_thumbnails(jpegs: Mapping[Path, bytes]) -> None:
    """Write each file under its name. Raises OSError.

    All are written before the first is made safe, so that the disk takes them in one go; then they get their names,
    and only then is that made safe, folder by folder, most of it by the first.
    """
    for path, jpeg in jpegs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _part(path).write_bytes(jpeg)
    for path in jpegs:
        sync_file(_part(path))
    for path in jpegs:
        _part(path).replace(path)
    for folder in dict.fromkeys(path.parent for path in jpegs):
        sync_folder(folder)


def _part(path: Path) -> Path:
    return path.with_suffix(".part")
