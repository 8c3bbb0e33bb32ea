"""The text in a picture, as lines with boxes and confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, Picture, Problem, RuntimeOptions, TextLine, View
from photoindex.steps.ocr_choice import Engines, open_reader
from photoindex.steps.work_view import WORK

SINGLE_LETTER = 0.9  # the confidence that a line of a single letter needs


class Ocr:
    """The `ocr` step (see ModelStep). Facts: tuple[TextLine, ...], empty where a picture holds no text.

    Architectures: `ppocr` (or `rapidocr`), PP-OCR detection and recognition as ONNX files; `paddleocr`, the folders
    of PaddleOCR's own models, run by the paddleocr package. Lines below the threshold `text` are dropped.
    What runs them: see ocr_choice.open_reader; `options.runtime` overrides it.
    Raises ModelBroken, RuntimeRefused, RuntimeUnavailable or DependencyBroken on loading.
    """

    # Lines differ in number far more than pictures do: a dense page alone takes seconds, so few at a time.
    batch_size = 4
    views: tuple[View, ...] = (WORK,)

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        self.model = installed.spec.name
        self._reader = open_reader(engines_of(installed, options), installed, options)
        self._least = installed.spec.thresholds.get("text", 0.5)

    @property
    def runtime(self) -> str:
        return self._reader.runtime

    def run(self, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Any | Problem]:  # noqa: ARG002
        """The text of each picture's `work` view."""
        found = self._reader.read([picture.views[WORK.name] for picture in pictures])
        return [tuple(line for line in lines if self._is_text(line)) for lines in found]

    def _is_text(self, line: TextLine) -> bool:
        letters = sum(char.isalnum() for char in line.text)
        # One letter alone is mostly a thing that looked like one: a wheel an O, a fence a Chinese character.
        return letters > 0 and line.confidence >= (self._least if letters > 1 else max(self._least, SINGLE_LETTER))

    def stop_when(self, stop: Callable[[], bool]) -> None:
        """A dense page takes many seconds: ask `stop` between its lines, and raise Stopped once it is True."""
        self._reader.stop = stop

    def close(self) -> None:
        self._reader.close()


def engines_of(installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> Engines:
    """What could read text with this model. Raises ModelBroken where its files or its architecture are not right."""
    spec = installed.spec
    if spec.architecture not in _ENGINES:
        known = ", ".join(_ENGINES)
        reason = f"its architecture {spec.architecture!r} reads no text (there are: {known})"
        raise ModelBroken(spec.name, reason, f"photoindex models pull {spec.name}")
    return _ENGINES[spec.architecture](installed, options)


def _of_ppocr(installed: InstalledModel, options: RuntimeOptions) -> Engines:
    from photoindex.steps.ocr_ppocr import engines

    return engines(installed, options)


def _of_paddle(installed: InstalledModel, _: RuntimeOptions) -> Engines:
    from photoindex.steps.ocr_paddle import engines

    return engines(installed)


_ENGINES: Mapping[str, Callable[[InstalledModel, RuntimeOptions], Engines]] = {
    "ppocr": _of_ppocr,
    "rapidocr": _of_ppocr,
    "paddleocr": _of_paddle,
}
