"""Lays one small picture on another and says how well they agree: what settles whether two photos are one picture.

Hashes of a whole picture miss crops and frames, and meet where pictures are dark or plain. Fine detail does not: on
800 pairs of the real pictures that were measured, copies of any kind agreed by 0.9 and more, everything else by less
than 0.3. First the whole of one is laid on the whole of the other; where that does not fit, matching corners (SIFT:
Lowe, "Distinctive image features from scale-invariant keypoints", 2004) say where it lies.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.pure.tiers import TONE
from photoindex.pure.turns import turned_pixels
from photoindex.records import Look, Uint8Image

Gray = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Laid on one another at this size: thumbnails have twice of it, and detail survives strong compression.
_SIDE = 200
_FITS = 0.9
_CORNERS = 400
_LEAST_MATCHES = 8
_RATIO = 0.8  # Lowe's: a match must be this much nearer than the second best
_PIXELS_OFF = 3.0
_LEAST_OVERLAP = 2500  # pixels
_LEAST_MARGIN, _PLAIN = 0.02, 6.0  # share of the picture; standard deviation of a channel
_BLEEDS = 2  # pixels at the edge of a picture into which a frame round the other bleeds
_TILE = 15
_SMOOTHED = 4.0  # pixels: what is left of a difference is of colours and brightness, not of lost detail
_SPOT, _INSIDE = 9, 0.95  # side of a window in pixels; share of it that must lie where both are
_END, _INNER = 2, 10  # levels from the end of the scale: at it, and away from it
_TONES = 6.0  # standard deviation of levels
_LEAST_LOST = 0.01  # share of the picture
_DETAIL = 2.0  # standard deviation of grey levels above which a part of a picture has detail


class SmallPicture:
    """Upright pixels, uint8 (height, width, 3), sRGB, longest side about 400, with the corners found in them."""

    def __init__(self, pixels: Uint8Image) -> None:
        self.pixels = pixels

    @cached_property
    def corners(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Positions x, y float32 (k, 2), and descriptors float32 (k, 128) of length 1 (RootSIFT)."""
        import cv2

        finder = cv2.SIFT.create(nfeatures=_CORNERS, contrastThreshold=0.02)
        found, described = finder.detectAndCompute(cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY), None)
        if described is None:
            return np.empty((0, 2), np.float32), np.empty((0, 128), np.float32)
        values = np.asarray(described, np.float32)
        rooted = np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1e-9))
        return np.array([corner.pt for corner in found], np.float32), rooted


def look(a: SmallPicture, b: SmallPicture, turn: int = 0) -> Look:
    """How `b`, first turned by `TURNS[turn]`, agrees with `a`. Symmetric but for the meaning of a and b."""
    whole = _laid_on(a.pixels, turned_pixels(b.pixels, turn), turn)
    if whole.correlation >= _FITS or turn:
        return whole
    return _placed(a, b) or whole


def _laid_on(a: Uint8Image, b: Uint8Image, turn: int) -> Look:
    import cv2

    side = min(_SIDE, max(a.shape[:2]), max(b.shape[:2]))
    shrunk = side / max(a.shape[:2])
    size = (max(8, round(a.shape[1] * shrunk)), max(8, round(a.shape[0] * shrunk)))
    one, other = (np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.uint8) for p in (a, b))
    everywhere = np.ones(one.shape[:2], bool)
    scale = round(max(a.shape) / max(b.shape), 3)
    return Look(whole=True, turn=turn, scale=scale, **_agreement(one, other, everywhere))


def _placed(a: SmallPicture, b: SmallPicture) -> Look | None:
    """Where matching corners put `b` on `a`; None where they agree on no place."""
    import cv2

    matrix, matches = _place(a, b)
    if matrix is None or not _sound(matrix):
        return None
    height, width = a.pixels.shape[:2]
    laid = np.asarray(cv2.warpAffine(b.pixels, matrix, (width, height), flags=cv2.INTER_AREA), np.uint8)
    inside = np.asarray(cv2.warpAffine(np.full(b.pixels.shape[:2], 255, np.uint8), matrix, (width, height))) > 250
    if inside.sum() < _LEAST_OVERLAP:
        return None
    # What lies beside the overlap must not tell them apart.
    laid = np.where(inside[:, :, None], laid, _retoned(a.pixels, laid, inside))
    area = abs(float(np.linalg.det(matrix[:, :2]))) * b.pixels.shape[0] * b.pixels.shape[1]
    return Look(
        whole=False,
        covers_a=round(float(inside.mean()), 3),
        covers_b=round(min(1.0, float(inside.sum()) / max(area, 1.0)), 3),
        angle=round(float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))), 1),
        scale=round(float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))), 3),
        matches=matches,
        frame=_frame(a, b, matrix, inside),
        **_agreement(*_halved(a.pixels, laid, inside)),
    )


def _frame(a: SmallPicture, b: SmallPicture, matrix: npt.NDArray[np.float64], inside: Mask) -> str:
    """Which of the two is the other with a plain margin round it."""
    import cv2

    if _is_plain_margin(a.pixels, inside):
        return "a"
    height, width = b.pixels.shape[:2]
    back = cv2.invertAffineTransform(matrix)
    shown = np.asarray(cv2.warpAffine(np.full(a.pixels.shape[:2], 255, np.uint8), back, (width, height))) > 250
    return "b" if _is_plain_margin(b.pixels, shown) else ""


def _is_plain_margin(pixels: Uint8Image, inside: Mask) -> bool:
    import cv2

    beyond = cv2.erode((~inside).astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=1) > 0
    if beyond.mean() < _LEAST_MARGIN:
        return False
    return bool(pixels[beyond].astype(np.float32).std(axis=0).max() < _PLAIN)


def _halved(a: Uint8Image, b: Uint8Image, inside: Mask) -> tuple[Uint8Image, Uint8Image, Mask]:
    """Both at half their size, as `_laid_on` compares them, and where to compare: away from the edge of the overlap,
    and from that of the picture."""
    import cv2

    size = (max(8, a.shape[1] // 2), max(8, a.shape[0] // 2))
    one, other = (np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.uint8) for p in (a, b))
    mask = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    where = np.asarray(cv2.erode(mask, np.ones((13, 13), np.uint8), borderValue=1)) > 0
    inner = np.zeros_like(where)
    inner[_BLEEDS:-_BLEEDS, _BLEEDS:-_BLEEDS] = True
    return one, other, where & inner


def _place(a: SmallPicture, b: SmallPicture) -> tuple[npt.NDArray[np.float64] | None, int]:
    """The affine map (2, 3) from b's pixels to a's, and the number of corners that agree on it."""
    import cv2

    (where_a, like_a), (where_b, like_b) = a.corners, b.corners
    if min(len(where_a), len(where_b)) < _LEAST_MATCHES:
        return None, 0
    alike = like_a @ like_b.T
    best, rows = alike.argmax(axis=1), np.arange(len(alike))
    nearest = alike[rows, best]
    second = np.partition(alike, -2, axis=1)[:, -2]
    clear = (1 - nearest) < _RATIO**2 * (1 - second)
    pairs = np.flatnonzero(clear & (alike.argmax(axis=0)[best] == rows))
    if len(pairs) < _LEAST_MATCHES:
        return None, 0
    cv2.setRNGSeed(0)  # the same answer for the same pictures
    matrix, kept = cv2.estimateAffine2D(
        where_b[best[pairs]], where_a[pairs], method=cv2.RANSAC, ransacReprojThreshold=_PIXELS_OFF
    )
    matches = int(np.asarray(kept).sum()) if matrix is not None else 0
    return (np.asarray(matrix, np.float64), matches) if matches >= _LEAST_MATCHES else (None, 0)


def _sound(matrix: npt.NDArray[np.float64]) -> bool:
    """No edit stretches a picture by more than 2 one way, or makes it ten times as large."""
    stretch = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(stretch[1] > 0.1 and stretch[0] < 10 and stretch[0] < 2 * stretch[1])


def _agreement(a: Uint8Image, b: Uint8Image, where: Mask) -> dict[str, Any]:
    import cv2

    fine_a, fine_b = _fine(a), _fine(b)
    if not where.any():
        return {"correlation": 0.0, "agreement": 0.0, "colour": 255.0, "texture": 0.0}
    apart = np.where(where[:, :, None], a.astype(np.float32) - b.astype(np.float32), 0.0)
    share = np.maximum(cv2.GaussianBlur(where.astype(np.float32), (0, 0), _SMOOTHED), 1e-6)[where]
    tone = np.abs(cv2.GaussianBlur(apart, (0, 0), _SMOOTHED)[where] / share[:, None]).mean()
    fines = [(fine_a, fine_b)]
    if tone >= TONE:  # detail that went with the tones was not taken out
        fines += [(_fine(_retoned(a, b, where)), fine_b), (fine_a, _fine(_retoned(b, a, where)))]
    spot, noise = min(_contradicted(*pair, where) for pair in fines)
    return {
        "correlation": round(_correlation(fine_a[where], fine_b[where]), 3),
        "agreement": round(_tiles_alike(fine_a, fine_b, where), 3),
        "colour": round(float(np.abs(apart[where]).mean()), 2),
        "tone": round(float(tone), 2),
        "texture": round(float(min(fine_a[where].std(), fine_b[where].std())), 2),
        "spot": round(spot, 2),
        "noise": round(noise, 3),
        "clipped": _clipped(a[where], b[where]),
    }


def _clipped(a: Uint8Image, b: Uint8Image) -> str:
    """Which of two, uint8 (n, 3), has lost tones of the other: brightening and contrast drive them to the end of the
    scale. A picture that was made darker lies below the end where the other is at it, but has one tone there, too."""
    lost_a, lost_b = _lost(a, b), _lost(b, a)
    if max(lost_a, lost_b) < _LEAST_LOST or not max(lost_a, lost_b) > 2 * min(lost_a, lost_b):
        return ""
    return "a" if lost_a > lost_b else "b"


def _lost(mine: Uint8Image, other: Uint8Image) -> float:
    """The largest share, of any channel and end of the scale, where `mine` is at that end and `other` has tones."""
    shares = [0.0]
    for channel in range(3):
        for at_end in (mine[:, channel] >= 255 - _END, mine[:, channel] <= _END):
            tones = other[at_end, channel]
            tones = tones[(tones > _INNER) & (tones < 255 - _INNER)]
            if len(tones) and tones.std() >= _TONES:
                shares.append(len(tones) / len(mine))
    return max(shares)


def _retoned(a: Uint8Image, b: Uint8Image, where: Mask) -> Uint8Image:
    """`a` with the colours and brightness of `b`: for each channel the rising curve that best leads from one to the
    other (isotonic regression), as brightening, contrast and most filters are. What lies on one of them only is too
    little to bend a curve."""
    from scipy.optimize import isotonic_regression

    retoned = np.empty_like(a)
    for channel in range(3):
        levels, tones = a[:, :, channel], b[:, :, channel][where]
        weights = np.bincount(levels[where], minlength=256)
        sums = np.bincount(levels[where], tones, minlength=256)
        there = np.flatnonzero(weights)
        curve = isotonic_regression(sums[there] / weights[there], weights=weights[there]).x
        # Levels beyond those met, such as a frame's, stay as far from them as they are.
        there, curve = (np.concatenate([[n[0] - 256], n, [n[-1] + 256]]) for n in (there, curve))
        retoned[:, :, channel] = np.interp(np.arange(256), there, curve).clip(0, 255).round()[levels]
    return retoned


def _fine(pixels: Uint8Image) -> Gray:
    """Detail of 2 to 10 pixels."""
    import cv2

    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine: Gray = np.asarray(cv2.GaussianBlur(gray, (0, 0), 1.0) - cv2.GaussianBlur(gray, (0, 0), 4.0), np.float32)
    return fine


def _correlation(a: Gray, b: Gray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


def _tiles_alike(a: Gray, b: Gray, where: Mask) -> float:
    """The share of the detailed parts (windows of 15 x 15 pixels) whose detail correlates by a half and more."""
    var_a, var_b, both, _ = _windows(a, b, where, _TILE)
    detailed = where & (np.maximum(var_a, var_b) > _DETAIL**2)
    if not detailed.any():
        return 0.0
    size = np.sqrt(var_a * var_b)
    return float(((both > 0.5 * size) & (size > 0))[detailed].mean())


def _contradicted(a: Gray, b: Gray, where: Mask) -> tuple[float, float]:
    """How strong the detail is that one has and the other has not, in grey levels: where it is strongest, and what all
    but a quarter of the picture exceed, for what was put in or taken out fills no more than three.

    In each window of 9 x 9 pixels the standard deviation of the stronger one times what it lacks of correlating:
    blurring and sharpening change the strength of detail and leave its pattern, strong compression and shrinking harm
    the pattern where detail is weak, but what was put in or taken out is strong, and unlike.
    """
    var_a, var_b, both, whole = _windows(a, b, where, _SPOT)
    inside = where & (whole > _INSIDE)
    if not inside.any():
        return 0.0, 0.0
    correlation = both / np.maximum(np.sqrt(var_a * var_b), 1e-3)
    unlike = (np.sqrt(np.maximum(var_a, var_b)) * (1.0 - correlation))[inside]
    return float(unlike.max()), float(np.percentile(unlike, 25))


def _windows(a: Gray, b: Gray, where: Mask, side: int) -> tuple[Gray, Gray, Gray, Gray]:
    """By pixel, of the window around it: the variances of both, their covariance, and the share of it that counts."""
    import cv2

    inside = where.astype(np.float32)
    weight = cv2.blur(inside, (side, side))

    def mean(values: Gray) -> Gray:
        return np.asarray(cv2.blur(values * inside, (side, side)) / np.maximum(weight, 1e-6), np.float32)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = (np.maximum(mean(one * one) - its**2, 0.0) for one, its in ((a, mean_a), (b, mean_b)))
    return var_a, var_b, mean(a * b) - mean_a * mean_b, np.asarray(weight, np.float32)
