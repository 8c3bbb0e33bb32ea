"""PaddleOCR's own models, from folders on this disk, run by the paddleocr package. It never downloads anything."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from photoindex.errors import ModelBroken, RuntimeUnavailable
from photoindex.models.spec import InstalledModel
from photoindex.records import RuntimeOptions, TextLine, Uint8Image
from photoindex.runtimes.calibration import rank
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.measure import Measurement
from photoindex.runtimes.selection import select
from photoindex.steps.ocr_choice import Engines
from photoindex.steps.opencv_guard import require_one_opencv

LONGEST_SIDE = 960
_CONFIG = "inference.yml"
_WANTED_OPENCV = "opencv-contrib-python"
_FAMILY = "paddleocr"
ENGINES = ("onnxruntime", "paddle")
_WEIGHTS = {"onnxruntime": ("inference.onnx",), "paddle": ("inference.pdiparams", "inference.pdmodel")}
_PACKAGES = {"onnxruntime": "onnxruntime", "paddle": "paddle"}
_DISTRIBUTIONS = {"paddle": "paddlepaddle"}


class PaddleReader:
    """Reads text with the PaddleX folders `det`, `rec` and, where there is one, `cls` (options rename them).

    A folder holds `inference.yml` and the weights: `inference.onnx` for ONNX Runtime, `inference.pdiparams` for Paddle.
    Thresholds as for PpOcr.
    """

    def __init__(self, installed: InstalledModel, engine: str) -> None:
        """`engine`: PaddleOCR's word for what runs it, paddle or onnxruntime."""
        require_one_opencv()
        det, rec = _folder(installed, "det"), _folder(installed, "rec")
        turn = _turn(installed)
        self.runtime = f"{_FAMILY}-{engine}"
        self.stop: Callable[[], bool] = lambda: False
        thresholds = installed.spec.thresholds
        arguments: dict[str, Any] = {
            "engine": engine,
            "use_doc_orientation_classify": False,
            "use_doc_unwarping": False,
            "use_textline_orientation": turn.is_dir(),
            "text_det_limit_side_len": LONGEST_SIDE,
            "text_det_limit_type": "max",
            "text_det_thresh": thresholds.get("pixel", 0.3),
            "text_det_box_thresh": thresholds.get("box", 0.5),
            "text_det_unclip_ratio": thresholds.get("unclip", 1.6),
            **_names("text_detection", det, installed),
            **_names("text_recognition", rec, installed),
            **(_names("textline_orientation", turn, installed) if turn.is_dir() else {}),
        }
        self._pipeline = _build(installed, arguments)

    def read(self, pictures: Sequence[Uint8Image]) -> list[tuple[TextLine, ...]]:
        """The lines of each picture, in the order that PaddleOCR sorts them: from top to bottom."""
        found = self._pipeline.predict([np.ascontiguousarray(picture[..., ::-1]) for picture in pictures])
        return [_lines(result, picture) for result, picture in zip(found, pictures, strict=True)]

    def close(self) -> None:
        self._pipeline.close()


def engines(installed: InstalledModel) -> Engines:
    """ONNX Runtime, then Paddle, by the weights in the folders; the option `engine` leaves one of them.

    Raises ModelBroken where the folders are not PaddleOCR's.
    """
    folders = [_folder(installed, "det"), _folder(installed, "rec")]
    only = installed.spec.options.get("engine")
    known = ENGINES if only is None or only in ENGINES else (*ENGINES, str(only))
    rungs = tuple(_rung(installed, engine, _why_not(engine, only, folders)) for engine in known)

    def load(told: RuntimeOptions, measured: Sequence[Measurement]) -> PaddleReader:
        return _load(installed, rungs, told, measured)

    return Engines(folders[0] / _CONFIG, rungs, load, _files([*folders, _turn(installed)]))


def _rung(installed: InstalledModel, engine: str, absent: str | None) -> Candidate:
    opener: Any = partial(PaddleReader, installed, engine)
    return Candidate(f"{_FAMILY}-{engine}", opener, absent)


def _load(
    installed: InstalledModel, rungs: Sequence[Candidate], options: RuntimeOptions, measured: Sequence[Measurement]
) -> PaddleReader:
    """The reader of the first engine that loads, the best measured one first. Raises RuntimeUnavailable."""
    order = [pick.runtime for pick in rank(measured, "scan")]
    refused = {each.runtime: each.refused for each in measured if each.refused}
    usable = select(rungs, options.runtime, installed.spec.name)
    failures = []
    for rung in sorted(usable, key=lambda each: order.index(each.name) if each.name in order else len(order)):
        try:
            if rung.name in refused:
                raise RuntimeUnavailable(installed.spec.name, refused[rung.name])
            opened: Any = rung.open()
            return cast(PaddleReader, opened)
        except RuntimeUnavailable as error:
            failures.append(f"{rung.name}: {error.args[-1]}")
    raise RuntimeUnavailable(installed.spec.name, "; ".join(failures))


def _why_not(engine: str, only: str | None, folders: Sequence[Path]) -> str | None:
    """Why this engine cannot run what is in the folders, or None."""
    if only is not None:
        lacking = None if engine == only else f"the model's block asks for {only}"
    else:
        names = _WEIGHTS[engine]
        whole = all(any((folder / name).is_file() for name in names) for folder in folders)
        lacking = None if whole else f"the folders hold no {names[0]}"
    package = _PACKAGES.get(engine)
    if lacking is None and package is not None and importlib.util.find_spec(package) is None:
        return f"the package {_DISTRIBUTIONS.get(package, package)} is not installed"
    return lacking


def _folder(installed: InstalledModel, option: str) -> Path:
    folder = installed.path / str(installed.spec.options.get(option, option))
    if not (folder / _CONFIG).is_file():
        reason = f"{folder} is no model folder of PaddleOCR (it lacks {_CONFIG})"
        raise ModelBroken(installed.spec.name, reason, f"photoindex models pull {installed.spec.name}")
    return folder


def _turn(installed: InstalledModel) -> Path:
    """The folder of the model that tells which way up a line is; it may be absent."""
    return installed.path / str(installed.spec.options.get("cls", "cls"))


def _files(folders: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()) if file.is_file())


def _names(role: str, folder: Path, installed: InstalledModel) -> dict[str, str]:
    """Arguments for one model. Without a folder *and* a name PaddleOCR would download its default."""
    import yaml  # type: ignore[import-untyped]

    try:
        settings = yaml.safe_load((folder / _CONFIG).read_text("utf-8"))
        name = str(settings["Global"]["model_name"])
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = f"{folder / _CONFIG} names no model"
        raise ModelBroken(installed.spec.name, reason, f"photoindex models pull {installed.spec.name}") from error
    return {f"{role}_model_name": name, f"{role}_model_dir": str(folder)}


def _build(installed: InstalledModel, arguments: dict[str, Any]) -> Any:
    os.environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] = "True"  # or it asks four hosts whether they are there
    os.environ.setdefault("PADDLE_PDX_CACHE_HOME", str(installed.derived / "paddlex"))
    try:
        with _headless_opencv_accepted():
            import paddlex.utils.deps
            from paddleocr import PaddleOCR

            paddlex.utils.deps.is_dep_available(_WANTED_OPENCV)  # it remembers the answer for good
        logging.getLogger("paddlex").setLevel(logging.ERROR)
        return PaddleOCR(**arguments)
    except (ImportError, RuntimeError) as error:
        raise RuntimeUnavailable(installed.spec.name, " ".join(str(error).split())) from error
    except (ValueError, KeyError, AssertionError, OSError) as error:
        reason = f"PaddleOCR refuses it ({' '.join(str(error).split())})"
        raise ModelBroken(installed.spec.name, reason, f"photoindex models pull {installed.spec.name}") from error


@contextmanager
def _headless_opencv_accepted() -> Iterator[None]:
    """PaddleX asks for the distribution opencv-contrib-python by name, and does not import cv2 where it is absent.

    Reading text needs only what every OpenCV distribution has, and a second one would overwrite the first. So while
    PaddleX is imported, the version of the installed OpenCV stands in for the one it asks for.
    """
    import cv2

    real = importlib.metadata.version

    def version(name: str) -> str:
        return cv2.__version__ if name == _WANTED_OPENCV else real(name)

    importlib.metadata.version = version  # type: ignore[assignment]
    try:
        yield
    finally:
        importlib.metadata.version = real


def _lines(result: Any, picture: Uint8Image) -> tuple[TextLine, ...]:
    size = np.array([picture.shape[1], picture.shape[0]], np.float64)
    found = zip(result["rec_texts"], result["rec_scores"], result["rec_polys"], strict=True)
    return tuple(
        TextLine(text.strip(), float(score), tuple(float(v) for v in np.clip(np.asarray(quad) / size, 0, 1).ravel()))
        for text, score, quad in found
    )
