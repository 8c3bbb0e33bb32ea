"""The hash step: what duplicates are found by, from one decoding.

PDQ, Meta's perceptual hash of 256 bits, in two forms; a hash whose turned and mirrored forms are known without
hashing again (`pure/turns.py`); words of the picture's corners, which meet crops and frames (`media/keypoints.py`);
and how sharp the picture is, to choose between shots of a burst. Version 2 brought all but PDQ. They cost some 7 ms
beside the 9 of PDQ; hashing the eight turned pictures with PDQ instead would cost 32.

`pdq` is taken from the picture squashed to 512 x 512, as PDQ's reference program does, so that a small copy
of a picture gets nearly the same hash as the picture.

`pdq_own` is what the library gives for all pixels; at 12 megapixels that costs 180 ms. For pictures above
640 x 640 pixels it is computed from 384 x 384 instead, which lands a median of 2 bits away (mean 2.6, most 10,
on 66 photos of 0.5 to 30 megapixels), for 4 ms. Why 384, and why shifted: PDQ smooths twice with a box of
ceil(side / 128) pixels and then takes a grid of 64 x 64 pixels. An even box lies half a pixel off its centre,
and so does the grid, so the hash sees the picture shifted by 0.5 / side (odd box) or 1.5 / side (even box).
At 4000 pixels that is nothing; at 512 (an even box of 4) it moves the hash by 10 bits. 384 has an odd box, fits
the grid without remainder, and what is left of the shift is undone while resizing.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pdqhash
from PIL import Image

from photoindex.media.keypoints import LONGEST_SIDE, keypoint_words
from photoindex.media.source import SourcePicture
from photoindex.media.unreadable import Unreadable
from photoindex.media.views import fit_size
from photoindex.pure.turns import SIDE as TURN_SIDE
from photoindex.pure.turns import turn_hash
from photoindex.records import Hashes, Uint8Image
from photoindex.steps.opencv_guard import require_opencv

# Of the decoded picture. Against all pixels the hash then moves by 0.7 bits on average, 2 in one of twenty and 6 at
# most (48 photos of 1.5 to 30 megapixels); 1024 would keep it to 0.1, and take a fifth more time to decode.
SHORT_SIDE = 700
_SQUASHED = 512
_OWN_PIXELS = 640 * 640
_OWN_SIDE = 384


def hashes(source: SourcePicture) -> Hashes:
    """All of them, of the upright picture. Raises Unreadable, also for a picture that is not all there: it would seem
    a copy of others cut as short; and DependencyBroken where OpenCV does not load."""
    require_opencv()
    image = source.at_least(SHORT_SIDE)
    if (shown := source.opened.shown) is not None:
        raise Unreadable("cut_short", f": the lower {1 - shown:.0%} of the picture is missing" if shown < 0.995 else "")
    # Luminance is all that is looked at; one channel is resized in a third of the time.
    whole = image.convert("L")
    small = whole.resize(fit_size(whole.size, LONGEST_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    found = _pdq(source, image, whole.reduce(max(1, min(whole.size) // _SQUASHED)))
    return replace(
        found,
        turn=turn_hash(np.asarray(whole.resize((TURN_SIDE, TURN_SIDE), Image.Resampling.BOX))),
        words=keypoint_words(np.asarray(small)).astype("<u4").tobytes(),
        sharpness=sharpness(np.asarray(whole)),
    )


def sharpness(gray: Uint8Image) -> float:
    """How strong the edges are where the picture is sharpest: a subject in focus counts, a blurred background does not.

    The tenth strongest of a hundred tiles, by the standard deviation of their Laplacian (Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", 2000). Comparable between pictures of one size only.
    """
    import cv2

    edges = cv2.Laplacian(gray, cv2.CV_16S, ksize=3)
    rows, columns = (np.array_split(np.arange(side), min(10, side)) for side in gray.shape)
    tiles = [edges[row[0] : row[-1] + 1, column[0] : column[-1] + 1].std() for row in rows for column in columns]
    return round(float(np.percentile(tiles, 90)), 3)


def _pdq(source: SourcePicture, image: Image.Image, gray: Image.Image) -> Hashes:
    squashed = gray.resize((_SQUASHED, _SQUASHED), Image.Resampling.BILINEAR)
    full = (source.width, source.height)
    if image.size == full and image.width * image.height <= _OWN_PIXELS:
        own = np.asarray(image)
    else:
        own = _three_channels(_as_if_at(squashed, full))
    value, quality = _hash(_three_channels(squashed))
    value_own, quality_own = _hash(own)
    return Hashes(pdq=value, quality=quality, pdq_own=value_own, quality_own=quality_own)


def _as_if_at(squashed: Image.Image, full: tuple[int, int]) -> Image.Image:
    """The picture at 384 x 384, shifted so that PDQ sees what it would see at the size `full` (width, height)."""
    margin = 4
    padded = Image.fromarray(np.pad(np.asarray(squashed), margin, mode="edge"))
    left, top = (_bounded((_shift(side) - _shift(_OWN_SIDE)) * _SQUASHED, margin) + margin for side in full)
    box = (left, top, left + _SQUASHED, top + _SQUASHED)
    return padded.resize((_OWN_SIDE, _OWN_SIDE), Image.Resampling.BILINEAR, box=box)


def _shift(side: int) -> float:
    """How far, as a fraction of the side, PDQ's filter and grid are off the centre (see the module)."""
    return (1.5 if math.ceil(side / 128) % 2 == 0 else 0.5) / side


def _bounded(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def _three_channels(gray: Image.Image) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(gray)
    return np.broadcast_to(pixels[:, :, np.newaxis], (*pixels.shape, 3))


def _hash(pixels: npt.NDArray[np.uint8]) -> tuple[bytes, int]:
    """PDQ of uint8 (height, width, 3): 32 bytes in the order of its published hexadecimal form, and its quality."""
    bits, quality = pdqhash.compute(pixels)
    return np.packbits(bits.astype(bool)).tobytes(), int(quality)
