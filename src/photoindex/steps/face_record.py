"""What both face finders share: the files of a model, and a Face from the pixels of a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import Face, FloatArray, Uint8Image

MIN_PIXELS = 16.0  # of the work view: less holds no likeness, and is most of what is mistaken for a face


def model_file(installed: InstalledModel, option: str) -> Path | None:
    """The file that an option names, None where the model has no such part. Raises ModelBroken where it is gone."""
    spec = installed.spec
    name = spec.options.get(option)
    if not name:
        return None
    path = installed.path / str(name)
    if not path.is_file():
        reason = f"{path.name} is missing in {installed.path}"
        raise ModelBroken(spec.name, reason, f"photoindex models pull {spec.name}")
    return path


def needed_file(installed: InstalledModel, option: str) -> Path:
    """As `model_file`, for a part that the model cannot be without."""
    path = model_file(installed, option)
    if path is None:
        spec = installed.spec
        reason = f"models.toml names no file for its option {option!r}"
        raise ModelBroken(spec.name, reason, f"photoindex models pull {spec.name}")
    return path


def big_enough(box: npt.ArrayLike, least: float) -> bool:
    """Whether both sides of a box (left, top, right, bottom; pixels) reach `least`."""
    left, top, right, bottom = np.asarray(box, np.float64)
    return bool(min(right - left, bottom - top) >= least)


def face_of(
    picture: Uint8Image, box: npt.ArrayLike, landmarks: npt.ArrayLike, score: float, vector: FloatArray | None
) -> Face:
    """A Face from pixels: box (4), landmarks (5, 2), a vector of any length, which is L2-normalised."""
    height, width = picture.shape[:2]
    corners = np.clip(np.asarray(box, np.float64) / [width, height, width, height], 0.0, 1.0)
    points = np.asarray(landmarks, np.float64).reshape(5, 2) / [width, height]
    left, top, right, bottom = (float(value) for value in corners)
    return Face((left, top, right, bottom), tuple(float(v) for v in points.ravel()), float(score), _unit(vector))


def _unit(vector: FloatArray | None) -> FloatArray | None:
    if vector is None:
        return None
    flat = np.asarray(vector, np.float32).ravel()
    length = float(np.linalg.norm(flat))
    return flat / np.float32(length) if length > 0 else flat
