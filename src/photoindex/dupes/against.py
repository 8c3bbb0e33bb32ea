"""What of a folder is already in the library: its pictures are hashed on the fly, and nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from photoindex.dupes.alignment import SmallPicture, look
from photoindex.dupes.candidates import LEAST_QUALITY, TURN_BITS, Files, hash_array
from photoindex.dupes.find import DEFAULTS, known_photos, may_be_equal, pdq_distance
from photoindex.dupes.looking import SmallPictures, digests, opened, pixel_digest, pixels_equal, small_picture
from photoindex.dupes.options import DupeOptions
from photoindex.errors import RootNotAFolder, RootNotFound, UsageError
from photoindex.media.metadata import gather
from photoindex.media.source import SourcePicture
from photoindex.media.unreadable import Unreadable
from photoindex.media.walk import WalkRules, walk
from photoindex.pure.differences import differences
from photoindex.pure.keep import is_below
from photoindex.pure.tiers import DUPLICATES, IDENTICAL, TIERS, Evidence, edits_told, relation
from photoindex.pure.turns import TURNS, turned_hashes
from photoindex.pure.votes import LEAST_VOTES, WordIndex
from photoindex.records import DupeFacts, FoundFile, Metadata, PhotoRow, Problem, photo_id_of
from photoindex.steps.hash import SHORT_SIDE, hashes
from photoindex.steps.opencv_guard import require_opencv
from photoindex.store.library import Library

_AT_ONCE = 32
_MOST_LOOKS = 12


@dataclass(frozen=True, slots=True)
class Arrival:
    """A picture of the folder: `match`, the library's copy of it, with the tier and what differs; or None.

    `problem` where the file could not be read; then nothing is known.
    """

    path: str
    bytes: int
    tier: str | None = None
    match: PhotoRow | None = None
    distance: int | None = None
    differs: tuple[str, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class _New:
    facts: DupeFacts
    source: SourcePicture
    small: SmallPicture


def against(
    library: Library, folders: Sequence[str], within: Sequence[str] = (), options: DupeOptions = DEFAULTS
) -> Iterator[Arrival]:
    """Every picture below `folders`, with its copy among the library's files (below `within`, where given).

    Copies are of the tiers from identical to edited that `options.tiers` holds. Files of the library that lie below
    `folders` themselves do not count. Raises RootNotFound and RootNotAFolder, and UsageError where the library has
    nothing below `within`.
    """
    roots = [os.path.abspath(folder) for folder in folders]
    for root in roots:
        if not os.path.exists(root):
            raise RootNotFound(root)
        if not os.path.isdir(root):
            raise RootNotAFolder(root, os.path.basename(root))
    require_opencv()
    known = _Known(library, roots, within, options)
    found = (file for root in roots for file in walk(root, WalkRules(), {}) if file.size >= options.min_size)
    return _arrivals(known, found)


def _arrivals(known: _Known, files: Iterator[FoundFile]) -> Iterator[Arrival]:
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        while batch := [*islice(files, _AT_ONCE)]:
            yield from pool.map(known.arrival, batch)


class _Known:
    """The library's side: hashes as arrays, corners as an index, thumbnails when they are asked for."""

    def __init__(self, library: Library, roots: Sequence[str], within: Sequence[str], options: DupeOptions) -> None:
        photos, files = known_photos(library, options)
        self._files: Files = {
            photo_id: [row for row in rows if _counts(row, roots, within)] for photo_id, rows in files.items()
        }
        self._photos = [photo for photo in photos if self._files[photo.photo_id]]
        if within and not self._photos:
            where = ", ".join(within)
            raise UsageError(f"The library has no photo in {where}. Run `photoindex scan {where}` first.")
        self._library, self._tiers = library, [tier for tier in DUPLICATES if tier in options.tiers]
        self._threshold = options.threshold
        self._by_content = {photo.sha256: photo for photo in self._photos}
        self._arrays = [_words64([getattr(p, kind) for p in self._photos]) for kind in ("pdq", "pdq_own")]
        self._turns = _words64([photo.turn or bytes(32) for photo in self._photos])
        self._sure = np.array([photo.quality >= LEAST_QUALITY for photo in self._photos], bool)
        self._corners = WordIndex([photo.words for photo in self._photos])
        self._pictures = SmallPictures(library, self._photos, self._files)
        self._digests: dict[int, bytes] = {}

    def arrival(self, file: FoundFile) -> Arrival:
        """What is known of a file. Never raises for what a file can cause."""
        source = opened(file.path, None, SHORT_SIDE)
        if source is None:
            return Arrival(file.path, file.size, problem=Problem("unreadable", "The file is no readable picture."))
        same = self._by_content.get(source.sha256)
        if same is not None and IDENTICAL in self._tiers:
            return Arrival(file.path, file.size, IDENTICAL, self._row(same), 0)
        try:
            new = _New(_facts_of(source), source, small_picture(source))
        except Unreadable as failure:
            return Arrival(file.path, file.size, problem=failure.problem)
        return self._best(new, file)

    def _best(self, new: _New, file: FoundFile) -> Arrival:
        best: tuple[tuple[int, float], int, Evidence] | None = None
        for at, turn in self._candidates(new.facts):
            seen = self._evidence(at, turn, new)
            paths = [row.path for row in self._files[self._photos[at].photo_id]]
            tier = relation(self._photos[at], new.facts, paths, [file.path], seen)
            if tier in self._tiers and seen.look is not None:
                rank = (TIERS.index(tier), -seen.look.correlation)
                best = (rank, at, seen) if best is None or rank < best[0] else best
        if best is None:
            return Arrival(file.path, file.size)
        (tier_at, _), at, seen = best
        what = (*edits_told(TIERS[tier_at], seen.look), *differences(self._photos[at], new.facts))
        row = self._row(self._photos[at])
        return Arrival(file.path, file.size, TIERS[tier_at], row, seen.distance, what)

    def _row(self, photo: DupeFacts) -> PhotoRow:
        """One of its files, in reach if any is."""
        return min(self._files[photo.photo_id], key=lambda row: row.offline)

    def _candidates(self, new: DupeFacts) -> list[tuple[int, int]]:
        """Positions of the library's photos worth a look with the turn of the new one, the likeliest first."""
        if not self._photos:
            return []
        near = np.minimum(
            *(_bits(mine, getattr(new, kind)) for mine, kind in zip(self._arrays, ("pdq", "pdq_own"), strict=True))
        )
        found = {int(at): (int(near[at]), 0) for at in np.flatnonzero((near <= self._threshold) & self._sure)}
        plain = np.frombuffer(new.turn, np.uint8)[None]
        for turn in range(1, len(TURNS)):
            far = _bits(self._turns, turned_hashes(plain, turn).tobytes())
            for at in np.flatnonzero((far <= TURN_BITS) & self._sure).tolist():
                found.setdefault(at, (int(far[at]), turn))
        for at, votes in self._corners.votes(new.words):
            if votes >= LEAST_VOTES:
                found.setdefault(at, (256 - votes, 0))
        if new.quality < LEAST_QUALITY:
            return []
        return [(at, found[at][1]) for at in sorted(found, key=lambda at: found[at][0])[:_MOST_LOOKS]]

    def _evidence(self, at: int, turn: int, new: _New) -> Evidence:
        mine, photo = self._pictures.get(at), self._photos[at]
        seen = look(mine, new.small, turn) if mine else None
        evidence = Evidence(pdq_distance(photo, new.facts), seen)
        if not may_be_equal(photo, new.facts, evidence):
            return evidence
        stored = self._digest(photo)
        return Evidence(evidence.distance, seen, pixels_equal(stored, pixel_digest(new.source)) if stored else None)

    def _digest(self, photo: DupeFacts) -> bytes | None:
        """That of a library's photo, kept for this run only: nothing is to be written."""
        if photo.photo_id not in self._digests:
            self._digests |= {photo.photo_id: b""} | digests(self._library, [photo], self._files, keep=False)
        return self._digests[photo.photo_id]


def _counts(row: PhotoRow, roots: Sequence[str], within: Sequence[str]) -> bool:
    return not is_below(row.path, roots) and (not within or is_below(row.path, within))


def _facts_of(source: SourcePicture) -> DupeFacts:
    found, metadata = hashes(source), gather(source)
    return DupeFacts(
        photo_id=photo_id_of(source.sha256),
        sha256=source.sha256,
        size=len(source.data),
        pdq=found.pdq,
        pdq_own=found.pdq_own,
        quality=min(found.quality, found.quality_own),
        turn=found.turn,
        words=found.words,
        sharpness=found.sharpness,
        format=metadata.format,
        width=metadata.width,
        height=metadata.height,
        camera=_camera(metadata.camera_make, metadata.camera_model),
        taken_at=metadata.taken_at,
        taken_source=metadata.taken_source,
        described=_described(metadata),
        frames=metadata.frames,
    )


def _described(metadata: Metadata) -> int:
    """As the catalog counts it."""
    words = (metadata.camera_model, metadata.lens, metadata.rating, metadata.title, metadata.description)
    return sum(value is not None for value in (*words, metadata.iso, metadata.latitude)) + len(
        (*metadata.keywords, *metadata.dates)
    )


def _camera(make: str | None, model: str | None) -> str | None:
    """As the catalog tells it: makers write their name into the model, or do not."""
    if make and model and model.lower().startswith(make.split(" ")[0].lower()):
        return model
    return " ".join(part for part in (make, model) if part).strip() or None


def _words64(values: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    return hash_array(values).view(np.uint64)


def _bits(mine: npt.NDArray[np.uint64], other: bytes) -> npt.NDArray[np.int64]:
    """Bits that differ between each of `mine`, (n, 4), and one hash."""
    differing = np.bitwise_count(mine ^ np.frombuffer(other, np.uint64))
    bits: npt.NDArray[np.int64] = differing.sum(axis=1, dtype=np.int64)
    return bits
