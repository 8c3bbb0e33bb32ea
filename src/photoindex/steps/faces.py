"""The faces in a picture: where they are, and the vectors by which they are recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, Face, Picture, Problem, RuntimeOptions, Uint8Image, View
from photoindex.steps.work_view import WORK


class FaceFinder(Protocol):
    """A detector with the recogniser that belongs to it. `runtime` says what executes them, for the ledger."""

    runtime: str

    def find(self, picture: Uint8Image) -> tuple[Face, ...]:
        """The faces of a picture (height, width, 3; uint8, RGB), surest first."""
        ...

    def close(self) -> None: ...


class Faces:
    """The `faces` step (see ModelStep). Facts: tuple[Face, ...], empty where nobody is seen.

    Architectures: `scrfd+arcface` (or `insightface`), InsightFace's models; `yunet+sface` (or `yunet-sface`), OpenCV's.
    Raises ModelBroken, RuntimeUnavailable or DependencyBroken on loading.
    """

    batch_size = 8
    views: tuple[View, ...] = (WORK,)

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        self.model = installed.spec.name
        self._finder = _open_finder(installed, options)
        self.runtime = self._finder.runtime

    def run(self, pictures: Sequence[Picture], facts: Sequence[Mapping[str, Any]]) -> list[Any | Problem]:  # noqa: ARG002
        """The faces of each picture's `work` view."""
        return [self._finder.find(picture.views[WORK.name]) for picture in pictures]

    def close(self) -> None:
        self._finder.close()


def _open_insight(installed: InstalledModel, options: RuntimeOptions) -> FaceFinder:
    from photoindex.steps.faces_insight import InsightFinder

    return InsightFinder(installed, options)


def _open_opencv(installed: InstalledModel, options: RuntimeOptions) -> FaceFinder:
    from photoindex.steps.faces_opencv import OpenCvFinder

    return OpenCvFinder(installed, options)


_FINDERS: Mapping[str, Callable[[InstalledModel, RuntimeOptions], FaceFinder]] = {
    "scrfd+arcface": _open_insight,
    "insightface": _open_insight,
    "yunet+sface": _open_opencv,
    "yunet-sface": _open_opencv,
}


def _open_finder(installed: InstalledModel, options: RuntimeOptions) -> FaceFinder:
    spec = installed.spec
    if spec.architecture not in _FINDERS:
        known = ", ".join(_FINDERS)
        reason = f"its architecture {spec.architecture!r} finds no faces (there are: {known})"
        raise ModelBroken(spec.name, reason, f"photoindex models pull {spec.name}")
    return _FINDERS[spec.architecture](installed, options)
