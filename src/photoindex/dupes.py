"""Duplicates: files with the same bytes, and photos whose PDQ hashes are near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from photoindex.pure.grouping import NearGroup, near_groups
from photoindex.records import Group, HashRow, Member, PhotoRow
from photoindex.store.library import Library

DEFAULT_THRESHOLD = 8
# Beyond this PDQ's authors expect unrelated pictures among the pairs (ThreatExchange, "Hashing FAQ").
CONFIDENT_THRESHOLD = 31


def dupes(library: Library, threshold: int = DEFAULT_THRESHOLD) -> list[Group]:
    """Groups of duplicate files, largest saving first within each kind: exact, then near.

    exact: the same bytes. near: photos within `threshold` bits of another of the group (PDQ, 256 bits; the
    nearer of the hash of the squashed picture, which meets copies of any size, and of the picture at its own size,
    which meets edits better); pictures of low PDQ quality, flat or nearly so, are left out, because their
    hashes say too little. All files of each photo are members of its near group.
    """
    hashes = library.queries.hashes()
    files = _files_by_photo(library)  # after the hashes: a scan beside us adds photos, it takes none away
    hashes = [row for row in hashes if row.photo_id in files]
    exact = [_exact(copies) for copies in files.values() if len(copies) > 1]
    near = [_near(group, hashes, files) for group in _near_groups(hashes, threshold)]
    return [*sorted(exact, key=_saving), *sorted(near, key=_saving)]


def _files_by_photo(library: Library) -> Mapping[int, Sequence[PhotoRow]]:
    files: dict[int, list[PhotoRow]] = {}
    for row in library.queries.file_rows():
        files.setdefault(row.photo_id, []).append(row)
    return files


def _near_groups(hashes: Sequence[HashRow], threshold: int) -> list[NearGroup]:
    kinds = ([row.pdq for row in hashes], [row.pdq_own for row in hashes])
    bits = [np.frombuffer(b"".join(kind), np.uint8).reshape(-1, 32) for kind in kinds]
    return near_groups(bits, [row.quality for row in hashes], threshold)


def _exact(files: Sequence[PhotoRow]) -> Group:
    members = tuple(Member(row, 0) for row in files)
    return Group("exact", members, tuple((0, i, 0) for i in range(1, len(members))))


def _near(group: NearGroup, hashes: Sequence[HashRow], files: Mapping[int, Sequence[PhotoRow]]) -> Group:
    """The group's files: its photos, largest picture first, each with its copies right behind it."""
    found = [hashes[at] for at in group.members]
    by_size = sorted(range(len(found)), key=lambda i: _order(files[found[i].photo_id][0]))
    members: list[Member] = []
    place: dict[int, int] = {}
    links: list[tuple[int, int, int]] = []
    for i in by_size:
        place[i] = len(members)
        copies = files[found[i].photo_id]
        members += [Member(row, int(group.distances[i]) if len(copies) == 1 else 0, found[i].quality) for row in copies]
        links += [(place[i], place[i] + n, 0) for n in range(1, len(copies))]
    links += [(min(place[i], place[j]), max(place[i], place[j]), d) for i, j, d in group.links]
    return Group("near", tuple(members), tuple(sorted(links)))


def _order(row: PhotoRow) -> tuple[int, int, str]:
    return -(row.width or 0) * (row.height or 0), -row.bytes, row.path


def _saving(group: Group) -> tuple[int, str]:
    sizes = [member.photo.bytes for member in group.members]
    return max(sizes) - sum(sizes), group.members[0].photo.path
