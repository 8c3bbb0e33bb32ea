"""InsightFace: SCRFD finds faces (Guo et al., 2021), ArcFace describes them (Deng et al., 2018)."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, Face, RuntimeOptions, Uint8Image
from photoindex.runtimes.selection import matches, refusal
from photoindex.steps.face_record import MIN_PIXELS, big_enough, face_of, model_file, needed_file
from photoindex.steps.opencv_guard import require_one_opencv

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
INPUT_SIZE = 640  # the square the detector was published with


class InsightFinder:
    """Finds faces with the files that the options `det` and, for vectors of 512 numbers, `rec` name.

    Thresholds: `detection` (0.5), `overlap` (0.4) above which two boxes are one face, `min_pixels` (16).
    """

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        require_one_opencv()
        spec = installed.spec
        providers = _providers(options.runtime, spec.name)
        found, described = needed_file(installed, "det"), model_file(installed, "rec")
        self._detector = _load(installed, found, "SCRFD", providers)
        self._recogniser = None if described is None else _load(installed, described, "ArcFaceONNX", providers)
        size = spec.input_size or INPUT_SIZE
        self._detector.prepare(
            0,
            input_size=(size, size),
            det_thresh=spec.thresholds.get("detection", 0.5),
            nms_thresh=spec.thresholds.get("overlap", 0.4),
        )
        self._least = spec.thresholds.get("min_pixels", MIN_PIXELS)
        on_cuda = "CUDAExecutionProvider" in self._detector.session.get_providers()
        self.runtime = "onnxruntime-cuda-f32" if on_cuda else "onnxruntime-cpu-f32"

    def find(self, picture: Uint8Image) -> tuple[Face, ...]:
        """The faces of a picture, surest first."""
        bgr = np.ascontiguousarray(picture[..., ::-1])
        boxes, points = self._detector.detect(bgr)
        kept = [at for at, box in enumerate(boxes) if big_enough(box[:4], self._least)]
        vectors = self._describe(bgr, [points[at] for at in kept])
        return tuple(
            face_of(picture, boxes[at][:4], points[at], boxes[at][4], vector)
            for at, vector in zip(kept, vectors, strict=True)
        )

    def close(self) -> None:
        self._detector = self._recogniser = None

    def _describe(self, bgr: Uint8Image, points: list[Any]) -> list[Any]:
        if self._recogniser is None or not points:
            return [None] * len(points)
        from insightface.utils.face_align import norm_crop

        side = self._recogniser.input_size[0]
        with warnings.catch_warnings():  # insightface calls what scikit-image has renamed
            warnings.simplefilter("ignore", FutureWarning)
            crops = [norm_crop(bgr, five, image_size=side) for five in points]
        return list(self._recogniser.get_feat(crops))


def _load(installed: InstalledModel, path: Path, wanted: str, providers: list[str]) -> Any:
    """A model of InsightFace's own class `wanted`; its library decides by the inputs and outputs of the file."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import onnxruntime
    from insightface.model_zoo import get_model

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        model = get_model(str(path), providers=providers, sess_options=options)
    except Exception as error:  # a broken file raises whatever onnx, protobuf or ONNX Runtime make of it
        raise _broken(installed, f"{path.name} does not load ({' '.join(str(error).split())[:200]})") from error
    if type(model).__name__ != wanted or not getattr(model, "use_kps", True):
        raise _broken(installed, f"{path.name} is no {wanted} model with five landmarks")
    return model


def _broken(installed: InstalledModel, reason: str) -> ModelBroken:
    return ModelBroken(installed.spec.name, reason, f"photoindex models pull {installed.spec.name}")


def insight_providers() -> dict[str, str]:
    """What can run InsightFace's models here, best first: our name of the runtime, and ONNX Runtime's."""
    import onnxruntime

    usable = onnxruntime.get_available_providers()
    return {f"onnxruntime-{device}-f32": name for device, name in _PROVIDERS.items() if name in usable}


def _providers(wanted: str | None, model: str) -> list[str]:
    """ONNX Runtime's providers to try, best first. Raises RuntimeRefused where `wanted` leaves none."""
    have = insight_providers()
    chosen = [name for runtime, name in have.items() if wanted is None or matches(wanted, runtime)]
    if not chosen:
        raise refusal(model, str(wanted), "InsightFace runs on ONNX Runtime only", list(have))
    return chosen
