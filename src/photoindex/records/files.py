"""A photo on its way through a scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from photoindex.records.base import Problem, Uint8Image, photo_id_of
from photoindex.records.results import Outcome


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as the walk met it. `path` is a str with surrogate escapes for bytes that are not UTF-8.

    `sidecars` are paths of XMP files that belong to it; `sidecar_sig` changes when one of them does.
    """

    path: str
    root: str
    size: int
    mtime_ns: int
    device: int
    inode: int
    sidecars: tuple[str, ...] = ()
    sidecar_sig: str = ""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as the catalog remembers it. `photo_id` is None where its bytes were never read; `unreadable`: they could
    not be read when that was last tried."""

    file: FoundFile
    photo_id: int | None
    missing: bool = False
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What a decode worker hands to the model steps: the views asked for, and the outcomes of its own steps."""

    file: FoundFile
    sha256: str
    views: Mapping[str, Uint8Image]
    outcomes: tuple[Outcome, ...] = ()
    due: frozenset[str] = frozenset()
    problem: Problem | None = None
    is_new: bool = False

    @property
    def photo_id(self) -> int:
        return photo_id_of(self.sha256)


@dataclass(frozen=True, slots=True)
class Analysed:
    """One photo ready to be saved: where its bytes lie and the outcome of every step that ran. `again`: steps that are
    due once more for what lies beside this file."""

    file: FoundFile
    sha256: str
    outcomes: tuple[Outcome, ...]
    again: frozenset[str] = frozenset()

    @property
    def photo_id(self) -> int:
        return photo_id_of(self.sha256)


@dataclass(frozen=True, slots=True)
class Failure:
    """A file or a step that failed, for `photoindex failures`."""

    path: str
    step: str
    code: str
    message: str
    photo: str | None = None
