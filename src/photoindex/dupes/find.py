"""The search for duplicates as its list of stages: facts, candidates, looks, tiers, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from photoindex.dupes.candidates import Candidates, Files, candidates
from photoindex.dupes.decisions import Decided
from photoindex.dupes.groups import Grouping, Related, live_groups
from photoindex.dupes.looking import Pair, digests, looks, pixels_equal
from photoindex.dupes.options import DupeOptions
from photoindex.media.reach import unreachable
from photoindex.pure.keep import is_below
from photoindex.pure.tiers import IDENTICAL, LIVE, PIXEL_BITS, PIXEL_COLOUR, Evidence, is_same_picture, relation
from photoindex.records import DupeFacts, Group, Look, PhotoRow
from photoindex.store.library import Library

DEFAULTS = DupeOptions()
_ANSWER_S = 2.0  # how long a network folder may take to answer before its files count as offline


def dupes(library: Library, options: DupeOptions = DEFAULTS) -> list[Group]:
    """Groups of files that are one picture, or belong together; the surest tier first, then the largest saving.

    Looks at each candidate pair once (some 30 ms) and remembers the answer in the library.
    Raises DependencyBroken where OpenCV does not load.
    """
    photos, files = known_photos(library, options)
    pairs: Candidates = {}
    if set(options.tiers) - {IDENTICAL}:
        pairs = candidates(photos, files, options.threshold, options.tiers, library)
    seen = looks(library, photos, pairs, files, options.progress)
    evidence = _evidence(library, photos, files, pairs, seen)
    related = {
        pair: Related(tier, mine) for pair, mine in evidence.items() if (tier := _tier(photos, files, pair, mine))
    }
    decided = Decided(library.decisions.read())
    related = {(i, j): r for (i, j), r in related.items() if not decided.apart(photos[i].sha256, photos[j].sha256)}
    options = replace(options, wishes=replace(options.wishes, decided=decided.keepers))
    groups = [decided.marked(group) for group in Grouping(photos, files, options).groups(related)]
    if LIVE in options.tiers:
        groups += live_groups(row for photo in photos for row in files[photo.photo_id] if not row.offline)
    return [group for group in groups if _is_wanted(group, options)]


def known_photos(library: Library, options: DupeOptions) -> tuple[list[DupeFacts], Files]:
    """The hashed photos that have a present file, large enough, and those files by photo id. Files below a folder that
    cannot be reached just now are `offline`. The first stands for the others where copies are not asked for: it is one
    in reach, and in the folders that are asked for, where there is one."""
    photos = library.likeness.facts()
    files: dict[int, list[PhotoRow]] = {}
    away = partial(unreachable, limit_s=_ANSWER_S)
    for row in library.queries.file_rows(away):  # after the facts: a scan beside us adds photos, it takes none away
        if row.bytes >= options.min_size:
            files.setdefault(row.photo_id, []).append(row)
    for rows in files.values():
        if len(rows) > 1:
            rows.sort(key=lambda row: (row.offline, bool(options.folders) and not is_below(row.path, options.folders)))
    return [photo for photo in photos if photo.photo_id in files], files


def _evidence(
    library: Library, photos: Sequence[DupeFacts], files: Files, pairs: Candidates, seen: Mapping[Pair, Look]
) -> dict[Pair, Evidence]:
    found = {(i, j): Evidence(pdq_distance(photos[i], photos[j]), seen.get((i, j))) for i, j in pairs}
    close = [(i, j) for (i, j), mine in found.items() if may_be_equal(photos[i], photos[j], mine)]
    pixels = digests(library, {photos[k].photo_id: photos[k] for pair in close for k in pair}.values(), files)
    for pair in close:
        one, other = (pixels.get(photos[k].photo_id) for k in pair)
        found[pair] = Evidence(found[pair].distance, found[pair].look, pixels_equal(one, other))
    return found


def pdq_distance(a: DupeFacts, b: DupeFacts) -> int:
    """Bits between two photos by the nearer of their two PDQ hashes."""
    return min(_bits(a.pdq, b.pdq), _bits(a.pdq_own, b.pdq_own))


def _bits(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def may_be_equal(a: DupeFacts, b: DupeFacts, seen: Evidence) -> bool:
    """Whether it is worth comparing all pixels."""
    look = seen.look
    if look is None or not look.whole or look.turn or (a.width, a.height) != (b.width, b.height):
        return False
    return seen.distance <= PIXEL_BITS and look.colour <= PIXEL_COLOUR and is_same_picture(look)


def _tier(photos: Sequence[DupeFacts], files: Files, pair: Pair, seen: Evidence) -> str | None:
    a, b = (photos[k] for k in pair)
    one, other = ([row.path for row in files[photo.photo_id]] for photo in (a, b))
    return relation(a, b, one, other, seen)


def _is_wanted(group: Group, options: DupeOptions) -> bool:
    if group.decision and not group.joined and not options.decided:
        return False
    return not options.folders or any(is_below(member.photo.path, options.folders) for member in group.members)
