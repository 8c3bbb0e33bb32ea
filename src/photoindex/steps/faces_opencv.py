"""OpenCV's faces: YuNet finds them (Wu et al., 2023), SFace describes them (Zhong et al., 2021). Free licences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, Face, FloatArray, RuntimeOptions, Uint8Image
from photoindex.runtimes.selection import honour
from photoindex.steps.face_record import MIN_PIXELS, big_enough, face_of, model_file, needed_file
from photoindex.steps.opencv_guard import require_one_opencv

# Longest side in pixels. At 1280 it takes twice as long, finds no more on portraits, and more that is no face.
INPUT_SIZE = 640
_MOST_CANDIDATES = 5000


class OpenCvFinder:
    """Finds faces with the files that the options `det` and, for vectors of 128 numbers, `rec` name.

    Thresholds: `detection` (0.7), `overlap` (0.3) above which two boxes are one face, `min_pixels` (16).
    """

    runtime = "opencv-cpu-f32"

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        honour(options.runtime, self.runtime, installed.spec.name)
        require_one_opencv()
        import cv2

        spec = installed.spec
        found, described = needed_file(installed, "det"), model_file(installed, "rec")
        score, overlap = spec.thresholds.get("detection", 0.7), spec.thresholds.get("overlap", 0.3)
        self._detector = _load(
            installed,
            found,
            lambda: cv2.FaceDetectorYN.create(str(found), "", (320, 320), score, overlap, _MOST_CANDIDATES),
        )
        self._recogniser: Any = None
        if described is not None:
            self._recogniser = _load(installed, described, lambda: cv2.FaceRecognizerSF.create(str(described), ""))
        self._longest = spec.input_size or INPUT_SIZE
        self._least = spec.thresholds.get("min_pixels", MIN_PIXELS)

    def find(self, picture: Uint8Image) -> tuple[Face, ...]:
        """The faces of a picture, surest first."""
        bgr = np.ascontiguousarray(picture[..., ::-1])
        rows = [row for row in self._detect(bgr) if big_enough(_box(row), self._least)]
        rows.sort(key=lambda row: -float(row[14]))
        return tuple(face_of(picture, _box(row), row[4:14], row[14], self._describe(bgr, row)) for row in rows)

    def close(self) -> None:
        self._detector = self._recogniser = None

    def _detect(self, bgr: Uint8Image) -> FloatArray:
        """YuNet's rows (n, 15) in pixels of `bgr`: left, top, width, height, five points, score."""
        import cv2

        height, width = bgr.shape[:2]
        scale = min(1.0, self._longest / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = bgr if size == (width, height) else cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        self._detector.setInputSize(size)
        _, rows = self._detector.detect(small)
        if rows is None:
            return np.zeros((0, 15), np.float32)
        back = np.array([width / size[0], height / size[1]] * 7 + [1.0], np.float32)
        scaled: FloatArray = np.asarray(rows, np.float32) * back
        return scaled

    def _describe(self, bgr: Uint8Image, row: FloatArray) -> FloatArray | None:
        if self._recogniser is None:
            return None
        vector: FloatArray = self._recogniser.feature(self._recogniser.alignCrop(bgr, row))
        return vector


def _box(row: FloatArray) -> FloatArray:
    left, top, width, height = row[:4]
    return np.array([left, top, left + width, top + height], np.float32)


def _load(installed: InstalledModel, path: Path, create: Callable[[], Any]) -> Any:
    import cv2

    try:
        return create()
    except cv2.error as error:
        reason = f"OpenCV cannot load {path.name} ({' '.join(str(error).split())[:200]})"
        raise ModelBroken(installed.spec.name, reason, f"photoindex models pull {installed.spec.name}") from error
