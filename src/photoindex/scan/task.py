"""One file to work on, as the plan says it to a decode worker."""

from __future__ import annotations

from dataclasses import dataclass

from photoindex.records import FoundFile

# Raised when decoding improves, so that pictures which failed are tried again.
DECODE_VERSION = 2


@dataclass(frozen=True, slots=True)
class Task:
    """`due`: the steps to run; None for a file never read: all of them, unless its content is known.

    `photo_id` of what it held when it was last read, where it was; `sidecars` of all its present copies, the one that
    was changed last first.
    """

    file: FoundFile
    due: frozenset[str] | None = None
    photo_id: int | None = None
    sidecars: tuple[str, ...] = ()
