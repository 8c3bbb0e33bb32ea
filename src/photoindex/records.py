"""The frozen records that cross rooms. Arrays are documented with shape and dtype; boxes with their units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Status = Literal["done", "failed", "skipped"]
Uint8Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


def photo_id_of(sha256: str) -> int:
    """The signed 64-bit key of a photo in both stores: the first eight bytes of its SHA-256.

    Content decides it, so writing a photo again after a crash meets the same rows.
    """
    return int.from_bytes(bytes.fromhex(sha256[:16]), "big", signed=True)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step could not be done for a photo: a stable code for scripts, a sentence for people."""

    code: str
    message: str


def _say_nothing(_: str) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How the models of one command are to be run; made by the command, passed down.

    `runtime`: a family (`openvino`) or an exact name (`openvino-cpu-f32`); None lets photoindex choose.
    `memory_bytes`: what models and their batches may take; `threads` of a model on the CPU; None leaves each to
    the machine. `photos`: how many will go through, by which it is decided whether measuring pays. `tell` is given
    one line for each change of runtime on the way. Measuring ends early once `stop` answers True.
    """

    runtime: str | None = None
    memory_bytes: int | None = None
    threads: int | None = None
    photos: int | None = None
    tell: Callable[[str], None] = _say_nothing
    stop: Callable[[], bool] = _never


AUTOMATIC = RuntimeOptions()


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
class DateCandidate:
    """One claim about when a photo was taken.

    `source` is one of exif_original, exif_digitized, exif_modified, gps, xmp, iptc, filename, file_time.
    `taken_at` is the local wall clock without a zone; `offset_minutes` east of UTC, where known.
    """

    source: str
    taken_at: datetime
    offset_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the file says of itself. Sizes are of the upright picture, in pixels."""

    format: str
    width: int
    height: int
    orientation: int = 1
    frames: int = 1
    taken_at: datetime | None = None
    offset_minutes: int | None = None
    taken_source: str | None = None
    dates: tuple[DateCandidate, ...] = ()
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    iso: int | None = None
    f_number: float | None = None
    exposure_s: float | None = None
    focal_mm: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    rating: int | None = None
    title: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """The populated place nearest to a photo's GPS position, in English.

    `metropolis` is a big city around it that people would rather name; `country_code` is ISO 3166-1 alpha-2.
    """

    city: str
    metropolis: str | None
    region: str | None
    country: str
    country_code: str


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
    """A file as the catalog remembers it. `photo_id` is None where its bytes could not be read."""

    file: FoundFile
    photo_id: int | None
    missing: bool = False


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
    """One photo ready to be saved: where its bytes lie and the outcome of every step that ran."""

    file: FoundFile
    sha256: str
    outcomes: tuple[Outcome, ...]

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


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """What a list of results shows of a photo. `taken_source`: see DateCandidate."""

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
class PhotoDetails:
    """Everything known of one photo, for `photoindex show`."""

    sha256: str
    bytes: int
    state: str
    files: tuple[tuple[str, bool], ...]
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
    """Counts for `photoindex status`. `steps`: step name to status to number of photos."""

    roots: tuple[str, ...]
    files: int
    missing: int
    unreadable: int
    photos: int
    states: Mapping[str, int]
    steps: Mapping[str, Mapping[str, int]]
    models: Mapping[str, str]
    last_scan: datetime | None


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


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a hit is in the result: the list it came from, its rank (from 1) and score there, the words met.

    `spelled` are the words as the photo has them, where that is not as they were asked for; `line` is the line of
    text in the picture that holds most of them. `kept` is false where the list cut the photo, and `why` says why it
    was kept or cut.
    """

    source: Literal["text", "tags", "vector"]
    rank: int
    score: float
    words: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    spelled: tuple[str, ...] = ()
    line: str | None = None
    kept: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo in a result. `match`: how well it answers, 0 to 1, or None where no words were asked; `kept` is false
    for what is no good match and only shown because everything was asked for."""

    rank: int
    score: float
    photo: PhotoRow
    reasons: tuple[Reason, ...] = ()
    match: float | None = None
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a search: the photos to show, how many are a good match in all (`more` where there are even more
    than were counted), and how many were near but cut."""

    hits: tuple[Hit, ...]
    total: int
    more: bool = False
    cut: int = 0


@dataclass(frozen=True, slots=True)
class PhotoCollection:
    """A collection. `query`: of a smart one, which has no `photos` of its own; None of one made by hand. `photos`: when
    (UTC) each was added, by SHA-256; the library need not have seen them yet."""

    name: str
    query: str | None
    made_at: datetime
    photos: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """What comparing two small pictures told. `turn`: how the second was turned first (see pure/turns.py).

    `correlation` of fine detail where they overlap, -1 to 1; `agreement`: share of the detailed parts that look alike;
    `covers_a`, `covers_b`: share of each that the other shows; `whole`: they were laid corner on corner, else the
    place was found by `matches` corners that agree on one position, turned by `angle` degrees; `scale`: pixels of the
    first for one of the second; `colour`: mean difference of the overlap, 0 to 255; `texture`: strength of the fine
    detail of the plainer one, in the same unit; `frame`: "a" or "b" where what only it shows is plain.
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


@dataclass(frozen=True, slots=True)
class ModelShare:
    """What a model may take in a pass: pictures a run, bytes in all; `runtime`: a leaner one than it would choose."""

    batch: int
    bytes: int
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryPass:
    """The models that are open at the same time, by step, and what a scan takes then, in bytes."""

    models: Mapping[str, ModelShare]
    bytes: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a scan stays within `budget` bytes; `bytes`: the most that it should take.

    `workers` decode, `prefetch` batches of `batch` pictures wait for each, no picture has more than `max_pixels`.
    The library is worked off once for each of the `passes`; `refused`: steps whose models fit in no way, with the
    budget in bytes that would do.
    """

    budget: int
    bytes: int
    workers: int
    prefetch: int
    batch: int
    max_pixels: int
    passes: tuple[MemoryPass, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What one scan did; after a dry run `run_id` is 0 and `due` what it would do.

    `seconds` by stage: walk, decode (waiting for the workers), each step of the main process, save (waiting for
    the writer). `steps`: step name to status to number of photos; `skipped`: why a step did not run; `memory`: how it
    stayed within the memory it may take, where anything was due.
    """

    run_id: int
    found: int = 0
    unchanged: int = 0
    moved: int = 0
    missing: int = 0
    due: int = 0
    analysed: int = 0
    failed: int = 0
    interrupted: bool = False
    wall_s: float = 0.0
    steps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, Problem] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    memory: MemoryPlan | None = None
