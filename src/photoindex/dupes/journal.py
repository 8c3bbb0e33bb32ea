"""The journal of what was done to files: lines of JSON, each on disk before the acts that it announces.

A journal is only ever appended to. What became of a file is told by the disk, not by the journal: a line says what is
about to happen, and a crash may come before or after that. A last line that was cut off counts for nothing, because its
acts had not begun.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from photoindex.durable import sync_folder

FORMAT = "photoindex journal 2"
MOVE, TRASH, DELETE, HARDLINK, REFLINK, SYMLINK = "move", "trash", "delete", "hardlink", "reflink", "symlink"


@dataclass(frozen=True, slots=True)
class Act:
    """What is to become of the file at `path`, whose bytes are those of `sha256`.

    `how`: "move" to `place`; "trash"; "delete"; or what takes its place, "hardlink", "reflink" or "symlink" to `keeper`
    (then `place` is what the symbolic link says). `inode`: of the keeper, or of the clone once it is made. `was`: what
    else belongs to a file that is not moved (see `attributes`). `into`: the content that takes over the user's words
    about this one, or nothing. `mount`: where the disk is mounted on which the file lies; empty in older journals.
    """

    path: str
    sha256: str
    how: str = MOVE
    place: str = ""
    keeper: str = ""
    inode: int = 0
    was: Mapping[str, Any] = field(default_factory=dict)
    into: str = ""
    mount: str = ""


class Journal:
    """One run of changes: `FOLDER/journal/ID.jsonl`, and `FOLDER/quarantine/ID` for what it moves."""

    def __init__(self, folder: Path, number: str) -> None:
        self.id = number
        self.file = folder / "journal" / f"{number}.jsonl"
        self.quarantine = folder / "quarantine" / number
        self._count = 0

    @classmethod
    def begin(cls, folder: Path, to: str = "quarantine", planned: int = 0) -> Journal:
        """A new one, of a plan that lets so many pictures go. Raises OSError."""
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
        at = datetime.now(UTC).isoformat(timespec="seconds")
        made.write({"format": FORMAT, "at": at, "to": to, "planned": planned})
        for folder_made in (made.file.parent, made.quarantine.parent, made.quarantine):
            sync_folder(folder_made)
        return made

    @classmethod
    def all(cls, folder: Path) -> list[Journal]:
        """Every run, the oldest first."""
        found = sorted((file.stem for file in (folder / "journal").glob("*.jsonl")), key=lambda stem: (len(stem), stem))
        return [cls(folder, stem) for stem in sorted(found, key=lambda stem: stem[:15])]

    def new_place(self, path: str) -> str:
        """A name in the quarantine that nothing has."""
        self._count += 1
        return str(self.quarantine / f"{self._count:06d}{PurePath(path).suffix}")

    def announce(self, acts: Sequence[Act]) -> None:
        """Write what is about to happen to a picture, which comes first, and what goes along. Raises OSError."""
        self.write({"acts": [{name: value for name, value in asdict(act).items() if value} for act in acts]})

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

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines, in order. Raises OSError."""
        found = []
        for line in self.file.read_bytes().split(b"\n"):
            try:
                value = json.loads(line)
            except ValueError:
                continue  # cut off
            if isinstance(value, dict):
                found.append(value)
        return found

    def units(self) -> list[list[Act]]:
        """What was to happen, in order: a picture first, and what goes along. Raises OSError."""
        lines = self.lines()
        clones = {line["made"]: line["inode"] for line in lines if "made" in line}
        units = [unit for line in lines if (unit := _unit(line))]
        return [[replace(a, inode=clones.get(a.path, 0)) if a.how == REFLINK else a for a in unit] for unit in units]

    def is_over(self) -> bool:
        """Whether the run came to its end, or was undone. Quick, however long the journal. Raises OSError."""
        last = self.file.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
        return last.startswith((b'{"ended"', b'{"undone"'))

    def target(self) -> str:
        """Where the run let files go to, as the user said. Raises OSError."""
        with self.file.open("rb") as file:
            line = file.readline()
        try:
            return str(json.loads(line).get("to", ""))
        except ValueError:
            return ""  # cut off by a crash: nothing was done

    def says(self, word: str) -> bool:
        """Whether some line has this word, as "ended" or "undone". Raises OSError."""
        return any(word in line for line in self.lines())


def _unit(line: Mapping[str, Any]) -> list[Act]:
    acts = line.get("acts", [line] if "place" in line else [])  # before format 2 each move was a line of its own
    known = {item.name for item in fields(Act)}
    return [Act(**{name: value for name, value in act.items() if name in known}) for act in acts]
