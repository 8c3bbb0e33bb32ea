"""What the steps take and what they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from photoindex.records.base import FloatArray, Problem, Status


@dataclass(frozen=True, slots=True)
class View:
    """How a decode worker prepares the upright sRGB picture for a model.

    fit: longest side at most `size`, aspect kept, never enlarged. crop: shortest side to `size`,
    then the centre square. squash: both sides to `size`, aspect not kept.
    The prepared picture is an array of shape (height, width, 3), uint8, RGB.
    """

    name: str
    mode: Literal["fit", "crop", "squash"]
    size: int
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"


@dataclass(frozen=True, slots=True)
class Hashes:
    """What duplicates are found by: PDQ hashes (256 bits as 32 bytes) with PDQ's quality value, 0 to 100, and more.

    `pdq` is taken from the picture squashed to 512 x 512, so that copies of any size meet; `pdq_own` from the
    picture at its own size, as other programs exchange it. `turn` (32 bytes) is the hash of pure/turns.py; `words`
    those of media/keypoints.py, each 4 bytes, little end first; `sharpness` see steps/hash.py.
    """

    pdq: bytes
    quality: int
    pdq_own: bytes
    quality_own: int
    turn: bytes = b""
    words: bytes = b""
    sharpness: float | None = None


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line of text in a picture. `box`: four corners x, y clockwise from the top left, each 0 to 1."""

    text: str
    confidence: float
    box: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tag:
    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Candidate(Tag):
    """A tag that a model gave some score, shown or not. `standing`: how far it stands out of the picture's other
    scores, as a robust z-score, for models whose rule asks for that."""

    standing: float | None = None


@dataclass(frozen=True, slots=True)
class TagRule:
    """Which of a model's tags are shown: those with a score of `at_least`, or of their own threshold in `own`.

    Scores and thresholds are float32. A tag without a threshold of its own must also stand out by `standing`, where
    that is set. Of those the best `most` are shown; None: all of them.
    """

    at_least: float
    own: Mapping[str, float] = field(default_factory=dict)
    standing: float | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class TagThreshold:
    """A line of `photoindex tags thresholds`. `tag` None: every tag without a line of its own.

    `given`: by the model; `yours`: set by the user; `in_force`: by which the tags of the library were chosen last,
    None before there are any.
    """

    tag: str | None
    given: float | None
    yours: float | None
    in_force: float | None


@dataclass(frozen=True, slots=True)
class TagCount:
    """How many photos of the library show a tag, and its highest score."""

    tag: str
    photos: int
    best: float


@dataclass(frozen=True, slots=True)
class Face:
    """A face. `box`: left, top, right, bottom; `landmarks`: x, y of both eyes, nose, both mouth corners.

    All of them are fractions (0 to 1) of the upright picture. `vector` is float32, L2-normalised
    (512 wide for ArcFace, 128 for SFace), or None where only a detector ran.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[float, ...]
    score: float
    vector: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one step on one photo: becomes a ledger row, and rows of facts when done.

    `fingerprint` says which version of `model` it was (see models.identity).

    `facts` by step: metadata Metadata, place Place | None, thumbnail JPEG bytes, hash Hashes, ocr tuple[TextLine, ...],
    embedding float16 vector, tags tuple[Candidate, ...] (all that are kept, best first), faces tuple[Face, ...],
    captions str.
    """

    step: str
    version: int
    status: Status
    facts: Any = None
    model: str | None = None
    runtime: str | None = None
    ms: float = 0.0
    problem: Problem | None = None
    fingerprint: str | None = None
