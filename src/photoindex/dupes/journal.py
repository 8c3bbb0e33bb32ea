"""The journal of what was done to files: lines of JSON, each on disk before the act that it announces.

A journal is only ever appended to. What became of a file is told by the disk, not by the journal: a line says what is
about to happen, and a crash may come before or after that. A last line that was cut off counts for nothing, because its
act had not begun.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

FORMAT = "photoindex journal 1"


@dataclass(frozen=True, slots=True)
class Moved:
    """A file that was to go from `path` to `place`, with the bytes it had."""

    path: str
    place: str
    sha256: str


class Journal:
    """One run of changes: `FOLDER/journal/ID.jsonl`, and `FOLDER/quarantine/ID` for what it moves."""

    def __init__(self, folder: Path, number: str) -> None:
        self.id = number
        self.file = folder / "journal" / f"{number}.jsonl"
        self.quarantine = folder / "quarantine" / number
        self._count = 0

    @classmethod
    def begin(cls, folder: Path) -> Journal:
        """A new one. Raises OSError."""
        (folder / "journal").mkdir(parents=True, exist_ok=True)
        now, again = datetime.now(UTC).strftime("%Y%m%d-%H%M%S"), 1
        while True:
            made = cls(folder, now if again == 1 else f"{now}-{again}")
            try:
                made.file.touch(exist_ok=False)
                break
            except FileExistsError:
                again += 1
        made.quarantine.mkdir(parents=True)
        made.write({"format": FORMAT, "at": datetime.now(UTC).isoformat(timespec="seconds")})
        for folder_made in (made.file.parent, made.quarantine.parent, made.quarantine):
            sync_folder(folder_made)
        return made

    @classmethod
    def all(cls, folder: Path) -> list[Journal]:
        """Every run, the oldest first."""
        found = sorted((file.stem for file in (folder / "journal").glob("*.jsonl")), key=lambda stem: (len(stem), stem))
        return [cls(folder, stem) for stem in sorted(found, key=lambda stem: stem[:15])]

    def announce(self, path: str, sha256: str) -> str:
        """Write that a file is about to move, and return its place in the quarantine. Raises OSError."""
        self._count += 1
        place = str(self.quarantine / f"{self._count:06d}{PurePath(path).suffix}")
        self.write({"path": path, "place": place, "sha256": sha256})
        return place

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line; it is on disk when this returns. Raises OSError."""
        descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND)
        try:
            text = json.dumps(dict(line)).encode() + b"\n"
            if os.fstat(descriptor).st_size:
                os.lseek(descriptor, -1, os.SEEK_END)
                if os.read(descriptor, 1) != b"\n":
                    text = b"\n" + text  # a crash cut the line before
            while text:
                text = text[os.write(descriptor, text) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def moved(self) -> list[Moved]:
        """What was to be moved, in order. Raises OSError."""
        found = []
        for line in self.file.read_bytes().split(b"\n"):
            try:
                value = json.loads(line)
                found.append(Moved(value["path"], value["place"], value["sha256"]))
            except (ValueError, KeyError, TypeError):
                continue  # the heading, the end, or a line that was cut off
        return found


def sync_folder(folder: Path | str) -> None:
    """Put the names in a folder on disk. Windows does so by itself, and opens no folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
