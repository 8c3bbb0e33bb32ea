"""Captions: one English sentence for a picture, by BLIP (Li et al. 2022, arXiv 2201.12086).

In the model's block: option `beams` is how many sentences are followed at a time (3, as its authors do), `tokens` the
most word pieces of one (30).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, Picture, Problem, RuntimeOptions, Uint8Image, View
from photoindex.runtimes.blip import BlipSession, open_blip
from photoindex.runtimes.openclip import CannotBuild
from photoindex.steps import Stopped

_VIEW = "captions"
_BEAMS, _TOKENS = 3, 30
# Between two questions whether to stop lies one layer; a run of many pictures only fills the memory of a CPU.
_RUN_S = 2.0
_MOST = {"cpu": 4, "cuda": 32, "mps": 8}


class Captions:
    """The captions step. One view, squashed to a square; facts are texts, empty where the model finds no words."""

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        """Loads weights and word pieces. `options.runtime` overrides the choice.

        Raises ModelBroken where they do not fit, RuntimeRefused, or RuntimeUnavailable.
        """
        self.model = installed.spec.name
        self._stop: Callable[[], bool] = lambda: False
        beams, tokens = (
            int(installed.spec.options.get(name, usual)) for name, usual in (("beams", _BEAMS), ("tokens", _TOKENS))
        )
        try:
            self._words = _read_words(installed)
            self._session = open_blip(
                installed.path, beams=beams, tokens=tokens, options=options, before_block=self._go_on
            )
        except CannotBuild as error:
            command = f"photoindex models pull {installed.spec.name}"
            raise ModelBroken(installed.spec.name, str(error), command) from error
        self._side = cast(BlipSession, self._session.current).side
        self.views = (View(_VIEW, "squash", self._side),)
        self._timed: dict[str, int] = {}
        self._describe(np.full((1, self._side, self._side, 3), 128, np.uint8))

    @property
    def runtime(self) -> str:
        return self._session.runtime

    @property
    def batch_size(self) -> int:
        """From how long the first run of the runtime in use took; memory may limit it."""
        size = self._timed.get(self.runtime, 1)
        return min(size, self._session.most or size)

    def run(self, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Any | Problem]:  # noqa: ARG002
        """The caption of each picture from its view `captions`, uint8 (side, side, 3).

        Raises RuntimeUnavailable where no runtime is left that can do it.
        """
        return self._describe(np.stack([picture.views[_VIEW] for picture in pictures]))

    def stop_when(self, stop: Callable[[], bool]) -> None:
        """From now on a run ends in its middle once `stop` answers True."""
        self._stop = stop

    def close(self) -> None:
        self._session.close()

    def _describe(self, pixels: Uint8Image) -> list[Any | Problem]:
        """One run, which is timed where it is the first of its runtime."""
        started = time.perf_counter()
        ids = self._session.run({"pixels": pixels})["ids"]
        each = (time.perf_counter() - started) / len(pixels)
        most = next(size for device, size in _MOST.items() if f"-{device}-" in self.runtime)
        self._timed.setdefault(self.runtime, max(1, min(most, int(_RUN_S / each))))
        return [" ".join(text.split()) for text in self._words.batch_decode(ids, skip_special_tokens=True)]

    def _go_on(self) -> None:
        if self._stop():
            raise Stopped


def _read_words(installed: InstalledModel) -> Any:
    """The tokenizer that makes words of ids. Raises CannotBuild."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(installed.path, local_files_only=True)
    except Exception as error:  # as with weights
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise CannotBuild(f"its word pieces cannot be read ({said})") from error
