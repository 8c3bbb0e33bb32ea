"""Which pairs of photos are worth a look: near hashes, turned hashes, shared corners, one shot, one moment."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from photoindex.errors import LibraryBusy, LibraryNotWritable
from photoindex.pure.grouping import near_pairs
from photoindex.pure.hamming import Indexes
from photoindex.pure.names import stem_of_shot
from photoindex.pure.searched import Search
from photoindex.pure.searched_turns import TurnedSearch
from photoindex.pure.tiers import BURST, EDITED, LIVE, RAW_FORMATS, RAW_JPEG, SIMILAR, in_burst
from photoindex.pure.turns import INVERSE
from photoindex.pure.votes import pairs_by_votes
from photoindex.records import DupeFacts, PhotoRow, Searched
from photoindex.store.library import Library

TURN_BITS = 12
# PDQ's authors trust no hash below 50. Here each pair is looked at, so only what is flat must stay out.
LEAST_QUALITY = 10
MOST_EQUAL = 32
# Below this all are compared with all in a fraction of a second, which is not worth another file.
REMEMBERED_FROM = 50_000
Files = Mapping[int, Sequence[PhotoRow]]
# Pairs of positions i < j in the list of photos, and how the second must be turned to meet the first.
Candidates = dict[tuple[int, int], int]


def candidates(
    photos: Sequence[DupeFacts], files: Files, threshold: int, tiers: Sequence[str], library: Library | None = None
) -> Candidates:
    """Every pair worth a look, for these tiers. `files`: those of each photo id; `library`: where it is remembered
    which hashes are near."""
    sure = np.array([k for k, photo in enumerate(photos) if photo.quality >= LEAST_QUALITY], np.int64)
    found: Candidates = {}
    memory = _Memory(library if len(sure) >= REMEMBERED_FROM else None)
    if {EDITED, SIMILAR} & set(tiers):
        _add(found, _by_words(photos))
        for turn, pairs in _turned(photos, sure, memory).items():
            _add(found, pairs, turn)
    if BURST in tiers:
        _add_unturned(found, _in_bursts(photos))
    if RAW_JPEG in tiers or LIVE in tiers:
        _add_unturned(found, _of_one_shot(photos, files))
    _add(found, _equal(photos, sure))
    _add(found, _near(photos, sure, threshold, memory))  # last: a pair that is near as it is need not be turned
    memory.write()
    return found


def hash_array(values: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, 32)


def _add(found: Candidates, pairs: Indexes, turn: int = 0) -> None:
    """`turn` is how j must be turned to meet i; for the other order it is the inverse."""
    for i, j in pairs.tolist():
        if i != j:
            found[min(i, j), max(i, j)] = turn if i < j else INVERSE[turn]


def _add_unturned(found: Candidates, pairs: Indexes) -> None:
    """Pairs by date or name. The turn that pixels told of stays: a mirrored copy keeps its date."""
    for i, j in pairs.tolist():
        found.setdefault((min(i, j), max(i, j)), 0)


class _Memory:
    """What earlier searches for near hashes found, by kind of hash; nothing without a library."""

    def __init__(self, library: Library | None) -> None:
        self._library = library
        self._known = library.near.read() if library else {}
        self._new: dict[str, Searched] = {}

    def of(self, kind: str) -> Searched | None:
        return self._known.get(kind)

    def keep(self, kind: str, searched: Searched | None) -> None:
        """For the next time, unless nothing is to be kept."""
        if self._library and searched:
            self._new[kind] = searched

    def write(self) -> None:
        """Unless there is nothing new, or the library is being written or cannot be."""
        if self._library is None or not self._new:
            return
        with contextlib.suppress(LibraryBusy, LibraryNotWritable, OSError):
            if self._library.catalog.file.writable:
                self._library.near.write(self._known | self._new)
                return
            with Library.writing(self._library.folder) as writing:
                writing.near.write(self._known | self._new)


def _near(photos: Sequence[DupeFacts], sure: Indexes, threshold: int, memory: _Memory) -> Indexes:
    """In a large library only new hashes are searched for among all, and what is found is remembered."""
    hashes = {kind: hash_array([getattr(photos[k], kind) for k in sure]) for kind in ("pdq", "pdq_own")}
    searches = {kind: Search(mine, threshold, memory.of(kind)) for kind, mine in hashes.items()}
    pairs = near_pairs([*hashes.values()], threshold, searches=[*searches.values()])
    for kind, search in searches.items():
        memory.keep(kind, search.searched())
    return sure[pairs]


def _equal(photos: Sequence[DupeFacts], sure: Indexes) -> Indexes:
    """All pairs of one hash: `near_pairs` tells them as a star, whose ends may have equal pixels, unlike its centre.

    In a crowd of equals only neighbours: thousands of equal frames are told apart by nothing.
    """
    same: dict[bytes, list[int]] = defaultdict(list)
    for k in sure.tolist():
        same[photos[k].pdq].append(k)
    few = (pair for ks in same.values() if len(ks) <= MOST_EQUAL for pair in combinations(ks, 2))
    many = (pair for ks in same.values() if len(ks) > MOST_EQUAL for pair in pairwise(ks))
    return np.array([*few, *many], np.int64).reshape(-1, 2)


def _turned(photos: Sequence[DupeFacts], sure: Indexes, memory: _Memory) -> dict[int, Indexes]:
    """By turn, as `_near` finds them."""
    hashed = sure[[bool(photos[k].turn) for k in sure]] if len(sure) else sure
    search = TurnedSearch(hash_array([photos[k].turn for k in hashed]), TURN_BITS, memory.of("turn"))
    found = {turn: hashed[pairs] for turn, pairs in search.pairs().items()}
    memory.keep("turn", search.searched())
    return found


def _by_words(photos: Sequence[DupeFacts]) -> Indexes:
    return pairs_by_votes([photo.words for photo in photos])[0]


def _in_bursts(photos: Sequence[DupeFacts]) -> Indexes:
    """Each shot with the next one of the same camera, where seconds lie between."""
    timed = [k for k, photo in enumerate(photos) if photo.camera and photo.taken_at]
    timed.sort(key=lambda k: (photos[k].camera, photos[k].taken_at))
    pairs = [pair for pair in pairwise(timed) if in_burst(photos[pair[0]], photos[pair[1]])]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _of_one_shot(photos: Sequence[DupeFacts], files: Files) -> Indexes:
    shots: dict[tuple[str, str], set[int]] = defaultdict(set)
    for k, photo in enumerate(photos):
        for row in files[photo.photo_id]:
            shots[row.path.rpartition("/")[0], stem_of_shot(row.path)].add(k)
    pairs = [
        pair
        for members in shots.values()
        for pair in combinations(sorted(members), 2)
        if len({photos[k].format in RAW_FORMATS for k in pair}) == 2
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)
