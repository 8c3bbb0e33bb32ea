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
from photoindex.pure.hamming import Indexes, pairs_between
from photoindex.pure.names import stem_of_shot
from photoindex.pure.searched import Search
from photoindex.pure.tiers import BURST, EDITED, LIVE, RAW_FORMATS, RAW_JPEG, SIMILAR, in_burst
from photoindex.pure.turns import OTHER_QUARTER, TURNS, turned_hashes
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
    if {EDITED, SIMILAR} & set(tiers):
        _add(found, _by_words(photos))
        for turn in range(1, len(TURNS)):
            if turn != OTHER_QUARTER:
                _add(found, _turned(photos, sure, turn), turn)
    if BURST in tiers:
        _add_unturned(found, _in_bursts(photos))
    if RAW_JPEG in tiers or LIVE in tiers:
        _add_unturned(found, _of_one_shot(photos, files))
    _add(found, _equal(photos, sure))
    _add(found, _near(photos, sure, threshold, library))  # last: a pair that is near as it is need not be turned
    return found


def hash_array(values: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, 32)


def _add(found: Candidates, pairs: Indexes, turn: int = 0) -> None:
    """`turn` is how j must be turned to meet i; for the other order it is the inverse."""
    inverse = {5: 6, 6: 5}.get(turn, turn)
    for i, j in pairs.tolist():
        if i != j:
            found[min(i, j), max(i, j)] = turn if i < j else inverse


def _add_unturned(found: Candidates, pairs: Indexes) -> None:
    """Pairs by date or name. The turn that pixels told of stays: a mirrored copy keeps its date."""
    for i, j in pairs.tolist():
        found.setdefault((min(i, j), max(i, j)), 0)


def _near(photos: Sequence[DupeFacts], sure: Indexes, threshold: int, library: Library | None) -> Indexes:
    """In a large library only new hashes are searched for among all, and what is found is remembered."""
    hashes = {kind: hash_array([getattr(photos[k], kind) for k in sure]) for kind in ("pdq", "pdq_own")}
    if library is None or len(sure) < REMEMBERED_FROM:
        return sure[near_pairs([*hashes.values()], threshold)]
    known = library.near.read()
    searches = {kind: Search(mine, threshold, known.get(kind)) for kind, mine in hashes.items()}
    pairs = near_pairs([*hashes.values()], threshold, searches=[*searches.values()])
    new = {kind: searched for kind, search in searches.items() if (searched := search.searched())}
    if new:
        _remember(library, known | new)
    return sure[pairs]


def _remember(library: Library, known: Mapping[str, Searched]) -> None:
    """Unless the library is being written or cannot be."""
    with contextlib.suppress(LibraryBusy, LibraryNotWritable, OSError):
        if library.catalog.file.writable:
            library.near.write(known)
            return
        with Library.writing(library.folder) as writing:
            writing.near.write(known)


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


def _turned(photos: Sequence[DupeFacts], sure: Indexes, turn: int) -> Indexes:
    hashed = sure[[bool(photos[k].turn) for k in sure]] if len(sure) else sure
    plain = hash_array([photos[k].turn for k in hashed])
    pairs, _ = pairs_between(plain, turned_hashes(plain, turn), TURN_BITS)
    return hashed[pairs]


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
