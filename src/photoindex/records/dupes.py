"""Duplicates: what is compared, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from photoindex.records.rows import PhotoRow


@dataclass(frozen=True, slots=True)
class Look:
    """What comparing two small pictures told. `turn`: how the second was turned first (see pure/turns.py).

    `correlation` of fine detail where they overlap, -1 to 1; `agreement`: share of the detailed parts that look alike;
    `covers_a`, `covers_b`: share of each that the other shows; `whole`: they were laid corner on corner, else the
    place was found by `matches` corners that agree on one position, turned by `angle` degrees; `scale`: pixels of the
    first for one of the second; `colour`: mean difference of the overlap, 0 to 255, and `tone`: what smoothing leaves
    of it; `texture`: strength of the fine detail of the plainer one; `spot`: of the strongest detail of one that the
    other contradicts, and `noise`: what all but a quarter of the overlap exceed of that, all in the same unit; `frame`:
    "a" or "b" where what only it shows is plain; `clipped`: the one that is at an end of the scale where the other
    still has different tones, or empty.
    """

    whole: bool
    correlation: float
    agreement: float
    colour: float
    texture: float
    turn: int = 0
    covers_a: float = 1.0
    covers_b: float = 1.0
    angle: float = 0.0
    scale: float = 1.0
    matches: int = 0
    frame: str = ""
    tone: float = 0.0
    spot: float = 0.0
    noise: float = 0.0
    clipped: str = ""


@dataclass(frozen=True, slots=True)
class DupeFacts:
    """What is known of a photo that decides on its duplicates: hashes, size (bytes), camera, moment, how it was kept.

    `words` and `turn` are empty where it was hashed by an earlier version of the step. `taken_source` see
    DateCandidate; `described`: how many fields of its metadata are filled in; `frames`: pages or moving pictures.
    """

    photo_id: int
    sha256: str
    size: int
    pdq: bytes
    pdq_own: bytes
    quality: int
    turn: bytes = b""
    words: bytes = b""
    sharpness: float | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    camera: str | None = None
    taken_at: datetime | None = None
    taken_source: str | None = None
    described: int = 0
    frames: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """Hashes, uint64 (u, 4), all pairs of which up to `threshold` bits apart are known: positions, int64 (m, 2).

    `turns`: of a search for turned hashes how the second of each pair must be turned to meet the first, uint8 (m,).
    """

    words: npt.NDArray[np.uint64]
    pairs: npt.NDArray[np.int64]
    threshold: int
    turns: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Why two members of a group belong together: positions a < b in its members, the tier, and the evidence.

    `distance`: PDQ bits (0 to 256) where both have a hash; `look` where their small pictures were compared;
    `differs`: in words what tells the two apart.
    """

    a: int
    b: int
    tier: str
    distance: int | None = None
    look: Look | None = None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a group of duplicates.

    `tier`: what it is to the keeper ("keeper" for itself), by the weakest link on the strongest way there;
    `distance`: the fewest PDQ bits of its links (0 for the same bytes), None without a hash; `differs`: in words how it
    differs from the keeper; `protected`: below a folder that is never touched; `video`: the moving part of a live or
    motion photo that lies beside it.
    """

    photo: PhotoRow
    tier: str
    distance: int | None = None
    quality: int | None = None
    sharpness: float | None = None
    differs: tuple[str, ...] = ()
    protected: bool = False
    video: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Files that belong together, the one to keep first.

    `tier` is that of the weakest link (see pure/tiers.py); `id` depends on the contents of the members alone;
    `reason` says in words why the first is kept; `suggestion`: this is a matter of taste (bursts). `links` connect all
    members; `frees`: bytes that keeping the first, and what is protected, would free. `decision`: what the user decided
    about it or a part of it (see Decision), else empty; `joined`: in words what was not there when that was decided.
    """

    id: str
    tier: str
    members: tuple[Member, ...]
    links: tuple[Link, ...]
    reason: str
    suggestion: bool = False
    frees: int = 0
    decision: str = ""
    joined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What the user decided about a group of duplicates: "not-duplicates", "keep-all" or "keep-this".

    `photos`: the SHA-256 of each content with the number of files that had it then; `keeper`: with "keep-this" the
    content to keep; `id`: that of the group it was about; `decided_at`: UTC.
    """

    id: str
    kind: str
    photos: Mapping[str, int]
    keeper: str | None
    decided_at: datetime
