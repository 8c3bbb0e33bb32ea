"""Tags with RAM++ (Huang et al. 2023, arXiv 2310.15200): a score for each tag of its own list, from the picture.

The step keeps the scores of the tags that are nearest to their thresholds; which of these tags are shown follows from
the rule in force. By the model a tag is shown where its score is above the threshold that its authors tuned for it, at
the published input size. In its block: options `weights`, `tags` and `thresholds` name the files (tags and thresholds
one a line, in the same order); thresholds `offset` is added to each of them (below 0: more tags), and no tag scored
`minimum` or less is shown. A published threshold of 1 means never, and stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import (
    AUTOMATIC,
    Candidate,
    FloatArray,
    Picture,
    Problem,
    RuntimeOptions,
    TagRule,
    View,
)
from photoindex.runtimes.openclip import CannotBuild
from photoindex.runtimes.ram_plus import RamPlusSession, open_ram_plus
from photoindex.steps import Stopped

ARCHITECTURE = "ram-plus"
_VIEW = "tags"
# What is kept of a picture besides the tags above their thresholds: so many in all, those that come next when all
# thresholds sink alike, down to a score that says nothing.
KEPT, FLOOR = 48, 0.05
# One run stays well below a second where it can (a CPU takes seconds for one picture), so that Ctrl-C is obeyed.
_RUN_S = 0.5
_MOST = {"cpu": 4, "cuda": 32, "mps": 8}


class RamPlusTags:
    """The tags step with RAM++. One view, squashed to a square; facts are tuples of Candidate, best first."""

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        """Loads weights, tags and thresholds. Raises ModelBroken where they do not fit, or RuntimeUnavailable."""
        self.model = installed.spec.name
        self._stop: Callable[[], bool] = lambda: False
        self._names = _lines(installed, "tags")
        self._thresholds = read_thresholds(installed, len(self._names))
        try:
            self._session = open_ram_plus(_file(installed, "weights"), options, self._go_on)
        except CannotBuild as error:
            raise _broken(installed, str(error)) from error
        try:
            _check(installed, self._loaded, self._names)
        except ModelBroken:
            self._session.close()
            raise
        self.views = (View(_VIEW, "squash", self._loaded.side, "bilinear"),)
        self._timed = {self.runtime: _batch_size(self._loaded)}

    @property
    def runtime(self) -> str:
        return self._session.runtime

    @property
    def batch_size(self) -> int:
        """From how long a run took at first, one for a runtime that took over; memory may limit it."""
        size = self._timed.get(self.runtime, 1)
        return min(size, self._session.most or size)

    def run(self, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Any | Problem]:  # noqa: ARG002
        """What is kept of each picture, a tuple of Candidate, from its view `tags`, uint8 (side, side, 3).

        Raises RuntimeUnavailable where no runtime is left that can do it.
        """
        pixels = np.stack([picture.views[_VIEW] for picture in pictures])
        return [self._keep(row) for row in self._session.run({"pixels": pixels})["scores"].astype(np.float32)]

    def stop_when(self, stop: Callable[[], bool]) -> None:
        """A CPU takes seconds for a picture; from now on a run ends in its middle once `stop` answers True."""
        self._stop = stop

    def close(self) -> None:
        self._session.close()

    @property
    def _loaded(self) -> RamPlusSession:
        return cast(RamPlusSession, self._session.current)

    def _go_on(self) -> None:
        if self._stop():
            raise Stopped

    def _keep(self, scores: FloatArray) -> tuple[Candidate, ...] | Problem:
        if not np.isfinite(scores).all():
            return Problem("not_finite", "the tagging model gave no finite numbers for this picture")
        above = scores > self._thresholds
        nearest = np.argsort(self._thresholds - scores, kind="stable")[: max(KEPT, int(above.sum()))]
        kept = [index for index in nearest if above[index] or scores[index] >= FLOOR]
        return tuple(Candidate(self._names[i], float(scores[i])) for i in sorted(kept, key=lambda i: -scores[i]))


def rule_of(installed: InstalledModel) -> TagRule:
    """The model's own rule, of its block and its files of tags and thresholds. Raises ModelBroken.

    A score has to be above a published threshold: at least the next larger float32.
    """
    names = _lines(installed, "tags")
    own = np.nextafter(read_thresholds(installed, len(names)), np.float32(np.inf))
    minimum = np.nextafter(np.float32(installed.spec.thresholds.get("minimum", 0.0)), np.float32(np.inf))
    return TagRule(float(minimum), dict(zip(names, own.tolist(), strict=True)))


def read_thresholds(installed: InstalledModel, count: int) -> FloatArray:
    """float32 (count,): what each tag's score must exceed. Raises ModelBroken where the file holds something else."""
    lines = _lines(installed, "thresholds")
    try:
        published = np.array([float(line) for line in lines], np.float32)
    except ValueError as error:
        raise _broken(installed, f"its thresholds hold a line that is no number ({error})") from error
    if len(published) != count:
        raise _broken(installed, f"it has {count} tags but {len(published)} thresholds")
    changed = np.maximum(
        published + np.float32(installed.spec.thresholds.get("offset", 0.0)),
        np.float32(installed.spec.thresholds.get("minimum", 0.0)),
    )
    thresholds: npt.NDArray[np.float32] = np.where(published >= 1, published, changed)
    return thresholds


def _check(installed: InstalledModel, session: RamPlusSession, names: Sequence[str]) -> None:
    if session.tags != len(names):
        raise _broken(installed, f"its weights are for {session.tags} tags, but its list has {len(names)}")
    wanted = installed.spec.input_size
    if wanted not in (None, session.side):
        raise _broken(installed, f"its weights are for pictures of {session.side} pixels, not {wanted}")


def _lines(installed: InstalledModel, option: str) -> list[str]:
    text = _file(installed, option).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines()]


def _file(installed: InstalledModel, option: str) -> Path:
    name = installed.spec.options.get(option)
    if not isinstance(name, str):
        raise _broken(installed, f"its block does not name the file of its {option} (options.{option})")
    if not (installed.path / name).is_file():
        raise _broken(installed, f"its file {name} is not there")
    return installed.path / name


def _broken(installed: InstalledModel, reason: str) -> ModelBroken:
    return ModelBroken(installed.spec.name, reason, f"photoindex models pull {installed.spec.name}")


def _batch_size(session: RamPlusSession) -> int:
    pixels = np.full((1, session.side, session.side, 3), 128, np.uint8)
    started = time.perf_counter()
    session.run({"pixels": pixels})
    each = time.perf_counter() - started
    most = next(size for device, size in _MOST.items() if f"-{device}-" in session.runtime)
    return max(1, min(most, int(_RUN_S / each)))
