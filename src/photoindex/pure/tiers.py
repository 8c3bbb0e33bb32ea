"""The tiers of likeness, from the same bytes to the same scene, and the rules that put two photos in one.

identical: the same bytes. same-pixels: other bytes that decode to equal pixels (other metadata, another container).
Only one frame is ever compared, so a picture of several is a duplicate of nothing but its own bytes.
re-encoded: the same picture resized, recompressed or converted. edited: the same picture cropped, framed, turned,
mirrored, with other colours or something laid over it. raw+jpeg, live: the files of one shot. burst: shots of one
camera within seconds. similar: shows the same or a part of it, and is another picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from photoindex.pure.names import frames_of_series, same_shot
from photoindex.pure.turns import TURNS
from photoindex.records import DupeFacts, Look

IDENTICAL, SAME_PIXELS, RE_ENCODED, EDITED = "identical", "same-pixels", "re-encoded", "edited"
RAW_JPEG, LIVE, BURST, SIMILAR = "raw+jpeg", "live", "burst", "similar"
TIERS = (IDENTICAL, SAME_PIXELS, RE_ENCODED, EDITED, RAW_JPEG, LIVE, BURST, SIMILAR)
DUPLICATES = (IDENTICAL, SAME_PIXELS, RE_ENCODED, EDITED)
DEFAULT = tuple(tier for tier in TIERS if tier != SIMILAR)

# As LibRaw's formats are called (media/formats.py; a test compares them).
# fmt: off
RAW_FORMATS = frozenset({
    "3FR", "ARW", "CR2", "CR3", "CRW", "DCR", "DNG", "ERF", "FFF", "IIQ", "K25", "KDC", "MEF", "MOS", "MRW", "NEF",
    "NRW", "ORF", "PEF", "RAF", "RAW", "RW2", "RWL", "SR2", "SRF", "SRW", "X3F",
})
# fmt: on
DIFFERS = "something in it differs"
# Copies of any kind agree by 0.95 and more on the real pictures measured, other pictures by less than 0.3.
_DETAIL, _PARTS = 0.9, 0.8
_NEARLY_EQUAL = 0.98
_TEXTURE = 1.0  # below this nothing is left in a thumbnail but the noise of its compression
_INSIDE = 0.93  # one picture lies within the other; two that overlap only were taken apart
_LEAST_SHARE = 0.3  # a smaller part of a picture is a detail of it, not a copy
_WHOLE = 0.985
TONE = 5.0  # mere copies reach 4.5 (another colour space), the faintest filter 6.1
# What was put in or taken out is as strong as this, and stands out from what compression and blur did elsewhere. On the
# real pictures measured, mere copies reach 1.6 (JPEG of quality 10 reaches 3.8), another small label 7.4 and more.
_SPOT, _STANDS_OUT = 4.0, 110.0
_EVERYWHERE = 0.6  # noise of mere copies reaches 0.44, that of pages full of other text 0.9
_PARTS_ALIKE = 0.985  # nor do mere copies that reach that spot have fewer parts alike
# Screens and pages of one layout agree in all but their words, and these in all but their letters. Whole pictures with
# something laid over them are at most 32 PDQ bits apart, real ones 18; drawn screens whose lines all differ, 46 to 126.
_OTHER_WORDS_PDQ = 40
# What keeps every pixel: copies of one size have equal ones, and cannot be re-encoded. (GIF has too few colours.)
_LOSSLESS = ("PNG", "BMP")
# Equal pixels give thumbnails and hashes that differ by no more than ways of decoding differ.
PIXEL_COLOUR, PIXEL_BITS = 2.5, 12
BURST_S = 3.0
_BURST_PDQ = 90
_CONFIDENT_PDQ = 31
_EXIF_DATES = ("exif_original", "exif_digitized")
_QUARTER_HOURS = 900.0
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF", "JXL")


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a pair. `distance`: PDQ bits; `pixels_equal` None where they were not compared."""

    distance: int
    look: Look | None = None
    pixels_equal: bool | None = None


def relation(a: DupeFacts, b: DupeFacts, paths_a: Iterable[str], paths_b: Iterable[str], seen: Evidence) -> str | None:
    """The tier of two photos of different bytes; None where they have nothing to do with each other."""
    paths = [(one, other) for one in paths_a for other in paths_b]
    if is_raw_pair(a, b, paths):
        return RAW_JPEG if seen.look is None or _looks_related(seen) else None
    if seen.pixels_equal and a.frames == b.frames == 1:
        return SAME_PIXELS
    if seen.look is not None and is_same_picture(seen.look):
        if are_different_shots(a, b, paths, seen.look):
            return BURST if in_burst(a, b) else SIMILAR
        if (_has_pages(a) or _has_pages(b)) and not _is_same_animation(a, b):
            return SIMILAR
        if _has_other_words(seen.look, seen.distance):
            return SIMILAR
        return EDITED if edits(seen.look) or _has_lost_pixels(a, b, seen) else RE_ENCODED
    if in_burst(a, b) and _looks_related(seen):
        return BURST
    return SIMILAR if _is_similar(seen) else None


def _has_other_words(look: Look, distance: int) -> bool:
    """Whether two screens or pages are of one layout, which agrees, and say something else."""
    return look.whole and distance > _OTHER_WORDS_PDQ and edits(look) == (DIFFERS,)


def _has_lost_pixels(a: DupeFacts, b: DupeFacts, seen: Evidence) -> bool:
    """Whether pixels differ, of two files of one size whose formats change none."""
    if (
        {a.format, b.format} - {*_LOSSLESS}
        or (a.width, a.height) != (b.width, b.height)
        or not a.frames == b.frames == 1
    ):
        return False
    if seen.pixels_equal is not None or seen.look is None:
        return seen.pixels_equal is False
    return seen.distance > PIXEL_BITS or seen.look.colour > PIXEL_COLOUR


def _has_pages(facts: DupeFacts) -> bool:
    """Whether there is more in the file than the picture that was compared.

    Not so for a camera's MPO, which adds previews only, and a PSD, whose layers make up the one picture.
    """
    return facts.frames > 1 and facts.format not in ("MPO", "PSD")


def _is_same_animation(a: DupeFacts, b: DupeFacts) -> bool:
    """Animations of one first frame and length are taken for one; scanned pages share their first page too often."""
    return a.frames == b.frames and a.format in _ANIMATED and b.format in _ANIMATED


def is_same_picture(look: Look) -> bool:
    """Whether the fine detail of two pictures says that one was made from the other."""
    if look.correlation < _DETAIL or look.agreement < _PARTS or look.texture < _TEXTURE:
        return False
    shares = sorted((look.covers_a, look.covers_b))
    return look.whole or (shares[1] >= _INSIDE and shares[0] >= _LEAST_SHARE)


def edits(look: Look) -> tuple[str, ...]:
    """What was done to one of two pictures that are the same, in words; nothing for a mere copy."""
    found = [TURNS[look.turn]] if look.turn else []
    if abs(look.angle) >= 0.5:
        found.append(f"turned by {abs(look.angle):.0f} degrees")
    if look.frame:
        found.append("one has a frame")
    elif not look.whole and min(look.covers_a, look.covers_b) < _WHOLE - 0.015 * (abs(look.angle) >= 0.5):
        found.append(f"one shows {100 * min(look.covers_a, look.covers_b):.0f} % of the other")
    if look.tone >= TONE:
        found.append("other colours or brightness")
    if look.spot >= _SPOT and _stands_out(look):
        found.append(DIFFERS)
    return tuple(found)


def _stands_out(look: Look) -> bool:
    if look.agreement < _PARTS_ALIKE or look.noise >= _EVERYWHERE:
        return True
    return look.spot >= _STANDS_OUT * look.noise


def edits_told(tier: str, look: Look | None) -> tuple[str, ...]:
    """The edits of a pair of this tier. Some are too small to be seen in a look."""
    seen = edits(look) if look else ()
    return seen or (("some pixels differ",) if tier == EDITED else ())


def are_different_shots(a: DupeFacts, b: DupeFacts, paths: Iterable[tuple[str, str]], look: Look) -> bool:
    """Whether a camera's own words say that two pictures, alike as they are, were taken one after the other.

    Times that differ by whole quarters of an hour are one time in another zone. Within one second, only names of a
    series tell, IMG_0041 and IMG_0042 of equal size, unless hardly anything differs.
    """
    if not (a.camera and b.camera and a.taken_at and b.taken_at):
        return False
    if a.taken_source not in _EXIF_DATES or b.taken_source not in _EXIF_DATES:
        return False
    if a.camera != b.camera:
        return True
    apart = abs((a.taken_at - b.taken_at).total_seconds())
    if apart:
        return apart % _QUARTER_HOURS != 0
    alike = (a.width, a.height, a.format) == (b.width, b.height, b.format) and look.correlation < _NEARLY_EQUAL
    return alike and any(frames_of_series(one, other) for one, other in paths)


def in_burst(a: DupeFacts, b: DupeFacts) -> bool:
    """Whether one camera took both within 3 seconds, by the times it wrote itself."""
    if not (a.camera and a.camera == b.camera and a.taken_at and b.taken_at):
        return False
    if a.taken_source not in _EXIF_DATES or b.taken_source not in _EXIF_DATES:
        return False
    return abs((a.taken_at - b.taken_at).total_seconds()) <= BURST_S


def is_raw_pair(a: DupeFacts, b: DupeFacts, paths: Iterable[tuple[str, str]]) -> bool:
    """Whether one is the camera's raw file of the other: one name in one folder, taken within 2 seconds."""
    if (a.format in RAW_FORMATS) == (b.format in RAW_FORMATS):
        return False
    if a.taken_at and b.taken_at and a.taken_source in _EXIF_DATES and b.taken_source in _EXIF_DATES:
        apart = abs((a.taken_at - b.taken_at).total_seconds())
        if apart > 2 and apart % _QUARTER_HOURS:
            return False
    return any(same_shot(one, other) for one, other in paths)


def _looks_related(seen: Evidence) -> bool:
    if seen.distance <= _BURST_PDQ:
        return True
    return seen.look is not None and (seen.look.matches >= 12 or seen.look.correlation >= 0.4)


def _is_similar(seen: Evidence) -> bool:
    """PDQ alone meets where pictures are plain or dark, so detail must agree somewhat, or corners must."""
    if seen.look is None:
        return False
    if seen.look.matches >= 20 and seen.look.agreement >= 0.4:
        return True
    return seen.distance <= _CONFIDENT_PDQ and seen.look.correlation >= 0.5 and seen.look.texture >= _TEXTURE
