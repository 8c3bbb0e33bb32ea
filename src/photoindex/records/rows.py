"""What the library tells of its photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from photoindex.records.base import Problem, Status
from photoindex.records.metadata import Metadata, Place
from photoindex.records.results import Face, Hashes, Tag, TextLine


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """What a list of results shows of a photo. `taken_source`: see DateCandidate.

    `missing`: no file of it was there at the last scan; `sidecars`: how many XMP files lay beside it then; `offline`:
    the folder that was scanned (`root`) cannot be reached just now, as far as that was asked.
    """

    photo: str
    photo_id: int
    path: str
    bytes: int
    width: int | None
    height: int | None
    format: str | None
    taken_at: datetime | None
    camera: str | None
    missing: bool = False
    taken_source: str | None = None
    root: str = ""
    sidecars: int = 0
    offline: bool = False


@dataclass(frozen=True, slots=True)
class DocumentParts:
    """What the full-text document of a photo is made of, by field; of a path the last three parts."""

    names: tuple[str, ...]
    ocr: tuple[str, ...]
    tags: tuple[str, ...]
    words: tuple[str, ...]
    place: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HashRow:
    """A photo's two PDQ hashes (32 bytes each) with the lower of their qualities, 0 to 100."""

    photo_id: int
    pdq: bytes
    pdq_own: bytes
    quality: int


@dataclass(frozen=True, slots=True)
class LedgerRow:
    step: str
    status: Status
    model: str | None
    runtime: str | None
    ms: float
    problem: Problem | None
    done_at: datetime


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file that holds a photo. `missing`, `offline`: see PhotoRow."""

    path: str
    missing: bool
    offline: bool = False


@dataclass(frozen=True, slots=True)
class PhotoDetails:
    """Everything known of one photo, for `photoindex show`. `files`: the first is the one to open."""

    sha256: str
    bytes: int
    state: str
    files: tuple[PhotoFile, ...]
    metadata: Metadata | None
    place: Place | None
    hashes: Hashes | None
    ocr: tuple[TextLine, ...]
    caption: str | None
    tags: tuple[Tag, ...]
    faces: tuple[Face, ...]
    ledger: tuple[LedgerRow, ...]


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """Counts for `photoindex status`. `steps`: step name to status to number of photos; `failures`: those listed;
    `copies`: the files that hold the same bytes as another one, which itself is not counted;
    `due`: step name to the number of photos that it was never tried on, of those that are there and can be decoded."""

    roots: tuple[str, ...]
    files: int
    missing: int
    unreadable: int
    photos: int
    states: Mapping[str, int]
    steps: Mapping[str, Mapping[str, int]]
    models: Mapping[str, str]
    last_scan: datetime | None
    failures: int = 0
    copies: int = 0
    due: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelChange:
    """The embedding model of a library on its way from `before` to `after`.

    `done` of the `total` present photos that have a vector of `before` have all that `after` can give. `problem`:
    why nothing happens.
    """

    before: str
    after: str
    done: int
    total: int
    problem: str | None = None

    @property
    def complete(self) -> bool:
        return self.problem is None and self.done == self.total
