"""PP-OCR from ONNX files: differentiable binarization finds lines (Liao et al., 2020), a CTC recogniser reads them.

Cost is governed by the detector, which every picture pays. So it looks at a small size first, and again at a larger
one only where small letters were seen. What follows the networks (boxes, crops, letters) is RapidOCR's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, FloatArray, RuntimeOptions, TextLine, Uint8Image
from photoindex.runtimes.candidates import candidates
from photoindex.runtimes.choose import open_session
from photoindex.runtimes.measure import Measurement
from photoindex.runtimes.session import Session
from photoindex.steps import Stopped
from photoindex.steps.ocr_choice import Engines
from photoindex.steps.opencv_guard import require_one_opencv

FIRST_LOOK, CLOSER_LOOK, CLOSEST_LOOK = 640, 960, 1280  # pixels, longest side
ENLARGE = 2.0  # how far a picture smaller than the look is enlarged: thin strokes are missed at their own size
# Heights of lines in pixels of the first look: a quarter of them below these calls for a closer or the closest look.
SMALL_LINE, TINY_LINE = 22.0, 11.0
# Type too small to be told apart shows as one block as high as BLOCK, or as a mere hint of probability; so do many
# things that hold no text. There a small window at full size decides: where it shows lines, the whole is looked at.
BLOCK, HINT = 160.0, 0.15
WINDOW, WINDOW_LINES = 320, 3
DOUBTFUL = 0.8  # confidence below which a line is also read upside down
LINE_HEIGHT = 48  # what the recogniser takes
LINE_WIDTHS = 32  # widths are rounded up to a multiple of this, so that shapes recur
MAX_LINE_WIDTH = 3200
BATCH_WIDTH = 2560  # pixels in all; the scores of every eighth pixel for 18,700 characters take 24 MB

Read = tuple[str, float]


class PpOcr:
    """Reads text with the files that the options `det` and `rec` name. Characters come from the recogniser's file.

    Thresholds: `pixel` (0.3) and `box` (0.5) of the detector, `unclip` (1.6) how far boxes grow around letters.
    """

    def __init__(
        self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC, measured: Sequence[Measurement] = ()
    ) -> None:
        """`measured`: what is known of the engines for both networks together; the best goes first."""
        require_one_opencv()
        spec = installed.spec
        detector = _detector(installed)
        recogniser = _recogniser(installed)
        self._boxes = _box_finder(spec.thresholds)
        self._letters = _letter_decoder(installed, recogniser)
        self._det = _open(detector, spec.runtimes, options, measured, (1, 3, 64, 64))
        self._rec = _open(recogniser, spec.runtimes, options, measured, (1, 3, LINE_HEIGHT, 64))
        self.stop: Callable[[], bool] = lambda: False

    @property
    def runtime(self) -> str:
        """What runs the detector, and the recogniser where that is another."""
        return " + ".join(dict.fromkeys((self._det.runtime, self._rec.runtime)))

    def read(self, pictures: Sequence[Uint8Image]) -> list[tuple[TextLine, ...]]:
        """The lines of each picture. Lines of all pictures are recognised together, sorted by width."""
        quads = [self._find(picture) for picture in pictures]
        crops = [_cut(picture, quad) for picture, found in zip(pictures, quads, strict=True) for quad in found]
        texts = iter(self._read_both_ways(crops))
        return [
            tuple(_line(next(texts), quad, picture) for quad in found)
            for picture, found in zip(pictures, quads, strict=True)
        ]

    def _go_on(self) -> None:
        if self.stop():
            raise Stopped

    def close(self) -> None:
        self._det.close()
        self._rec.close()

    def _find(self, picture: Uint8Image) -> FloatArray:
        """Quadrilaterals (n, 4, 2) in pixels of `picture`, clockwise from the top left of each line."""
        self._go_on()
        seen = self._probabilities(picture, FIRST_LOOK)
        found = self._quads(seen, picture)
        side = self._next_look(picture, seen, found * _scale(picture, FIRST_LOOK))
        if _scale(picture, FIRST_LOOK) < _scale(picture, side):
            closer = self._quads(self._probabilities(picture, side), picture)
            return closer if len(closer) >= len(found) else found
        return found

    def _next_look(self, picture: Uint8Image, seen: FloatArray, found: FloatArray) -> int:
        """The size of the next look, or that of the first where it is enough. `found` in pixels of the first look."""
        heights = np.linalg.norm(found[:, [1, 3]] - found[:, :1], axis=2).min(axis=1)
        quarter = np.percentile(heights, 25) if len(heights) else BLOCK
        if quarter < SMALL_LINE:
            return CLOSEST_LOOK if quarter < TINY_LINE else CLOSER_LOOK
        suspect = heights.max() > BLOCK if len(heights) else seen.max() > HINT
        return CLOSEST_LOOK if suspect and self._hides_lines(picture, seen[0, 0]) else FIRST_LOOK

    def _hides_lines(self, picture: Uint8Image, seen: FloatArray) -> bool:
        """Whether lines show in a window of full size around the place that looked most like text."""
        place = np.array(np.unravel_index(seen.argmax(), seen.shape)) / seen.shape * picture.shape[:2]
        top, left = np.maximum(0, place.astype(int) - WINDOW // 2)
        window = picture[top : top + WINDOW, left : left + WINDOW]
        return len(self._quads(self._probabilities(window, WINDOW), window)) >= WINDOW_LINES

    def _probabilities(self, picture: Uint8Image, side: int) -> FloatArray:
        """(1, 1, height, width): how much each pixel of the picture fitted to `side` looks like text."""
        return _run(self._det, _prepare_picture(picture, side))

    def _quads(self, seen: FloatArray, picture: Uint8Image) -> FloatArray:
        found, _ = self._boxes(seen, picture.shape[:2])
        if not len(found):
            return np.zeros((0, 4, 2), np.float32)
        from rapidocr.ch_ppocr_det import TextDetector

        return np.asarray(TextDetector.sorted_boxes(found), np.float32)

    def _read_both_ways(self, crops: Sequence[Uint8Image]) -> list[Read]:
        """The texts of line pictures; those read with doubt are turned by 180 degrees, and the better text is kept."""
        texts = self._read(crops)
        doubtful = [at for at, (_, confidence) in enumerate(texts) if confidence < DOUBTFUL]
        turned = self._read([crops[at][::-1, ::-1] for at in doubtful])
        for at, read in zip(doubtful, turned, strict=True):
            texts[at] = max(texts[at], read, key=lambda each: each[1])
        return texts

    def _read(self, crops: Sequence[Uint8Image]) -> list[Read]:
        texts: list[Read] = [("", 0.0)] * len(crops)
        for batch in _batches([_line_width(crop) for crop in crops]):
            self._go_on()
            scores = _run(self._rec, _prepare_lines([crops[at] for at in batch]))
            best = scores.argmax(axis=2)
            sure = np.take_along_axis(scores, best[..., None], axis=2)[..., 0]
            decoded, _ = self._letters.decode(best, sure, remove_duplicate=True)
            for at, (text, confidence) in zip(batch, decoded, strict=True):
                texts[at] = (text.strip(), float(confidence))
        return texts


def engines(installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> Engines:
    """What could run both networks: both always on the same, unless one fails on the way. Raises ModelBroken."""
    detector = _detector(installed)
    rungs = candidates(detector, installed.spec.runtimes, threads=options.threads)
    files = (detector, _recogniser(installed))
    return Engines(detector, rungs, lambda told, measured: PpOcr(installed, told, measured), files)


def _detector(installed: InstalledModel) -> Path:
    return _file(installed, "det", "PP-OCRv6_det_small.onnx")


def _recogniser(installed: InstalledModel) -> Path:
    return _file(installed, "rec", "PP-OCRv6_rec_small.onnx")


def _file(installed: InstalledModel, option: str, default: str) -> Path:
    spec = installed.spec
    path = installed.path / str(spec.options.get(option, default))
    if not path.is_file():
        raise ModelBroken(
            spec.name, f"{path.name} is missing in {installed.path}", f"photoindex models pull {spec.name}"
        )
    return path


def _open(
    path: Path,
    runtimes: Sequence[str],
    options: RuntimeOptions,
    measured: Sequence[Measurement],
    shape: tuple[int, ...],
) -> Session:
    probe = {"x": np.zeros(shape, np.float32)}
    return open_session(path, runtimes, options=options, probe=probe, measured=measured)


def _run(session: Session, blob: FloatArray) -> FloatArray:
    (output,) = session.run({session.inputs[0]: blob}).values()
    return np.asarray(output, np.float32)


def _box_finder(thresholds: Mapping[str, float]) -> Any:
    from rapidocr.ch_ppocr_det.utils import DBPostProcess

    _silence_rapidocr()
    return DBPostProcess(
        thresh=thresholds.get("pixel", 0.3),
        box_thresh=thresholds.get("box", 0.5),
        unclip_ratio=thresholds.get("unclip", 1.6),
        use_dilation=True,
    )


def _letter_decoder(installed: InstalledModel, recogniser: Path) -> Any:
    from rapidocr.ch_ppocr_rec.utils import CTCLabelDecode

    characters = _metadata(recogniser).get("character", "").splitlines()
    if not characters:
        reason = f"{recogniser.name} does not carry the characters it knows"
        raise ModelBroken(installed.spec.name, reason, f"photoindex models pull {installed.spec.name}")
    return CTCLabelDecode(character=characters)


def _metadata(path: Path) -> dict[str, str]:
    import onnx

    return {prop.key: prop.value for prop in onnx.load(path, load_external_data=False).metadata_props}


def _silence_rapidocr() -> None:
    """Its logger writes to stderr on its own, at the level INFO, from its import on."""
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)


def _scale(picture: Uint8Image, side: int) -> float:
    return float(min(ENLARGE, side / max(picture.shape[:2])))


def _prepare_picture(picture: Uint8Image, side: int) -> FloatArray:
    """(1, 3, height, width), BGR, -1 to 1, both sides multiples of 32 as the detector's strides demand."""
    import cv2

    height, width = picture.shape[:2]
    scale = _scale(picture, side)
    size = (max(32, round(width * scale / 32) * 32), max(32, round(height * scale / 32) * 32))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(cv2.dnn.blobFromImage(scaled, 1 / 127.5, size, (127.5,) * 3, swapRB=True), np.float32)


def _prepare_lines(crops: Sequence[Uint8Image]) -> FloatArray:
    """(lines, 3, 48, widest), BGR, -1 to 1, padded on the right with the 0 of mid-grey."""
    import cv2

    widths = [_line_width(crop) for crop in crops]
    widest = math.ceil(max(widths) / LINE_WIDTHS) * LINE_WIDTHS
    blob = np.zeros((len(crops), 3, LINE_HEIGHT, widest), np.float32)
    for at, (crop, width) in enumerate(zip(crops, widths, strict=True)):
        line = cv2.resize(np.ascontiguousarray(crop), (width, LINE_HEIGHT))
        blob[at, :, :, :width] = cv2.dnn.blobFromImage(line, 1 / 127.5, mean=(127.5,) * 3, swapRB=True)[0]
    return blob


def _batches(widths: Sequence[int]) -> Iterator[list[int]]:
    """Places in `widths`, narrow first, in batches that are at most BATCH_WIDTH wide when padded to their widest."""
    batch: list[int] = []
    for at in sorted(range(len(widths)), key=lambda at: widths[at]):
        if batch and (len(batch) + 1) * widths[at] > BATCH_WIDTH:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _line_width(crop: Uint8Image) -> int:
    height, width = crop.shape[:2]
    return int(max(LINE_WIDTHS, min(MAX_LINE_WIDTH, math.ceil(LINE_HEIGHT * width / height))))


def _cut(picture: Uint8Image, quad: FloatArray) -> Uint8Image:
    """The line straightened; where it stands upright, turned to lie. Never smaller than one pixel."""
    from rapidocr.utils.process_img import get_rotate_crop_image

    crop: Uint8Image = get_rotate_crop_image(picture, quad)
    return crop


def _line(read: Read, quad: FloatArray, picture: Uint8Image) -> TextLine:
    height, width = picture.shape[:2]
    corners: npt.NDArray[np.float64] = np.clip(quad / np.array([width, height]), 0.0, 1.0)
    return TextLine(read[0], read[1], tuple(float(value) for value in corners.ravel()))
