"""When files that change are ready to be read: once they have been left alone for a while."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

M = TypeVar("M", bound=Hashable)


@dataclass(slots=True)
class _Waiting(Generic[M]):
    mark: M
    since: float
    first: float


@dataclass(slots=True)
class Settling(Generic[M]):
    """Paths that changed. One is quiet when its mark (size and time; None: it is gone) was the same for `quiet_s`.

    A round waits for all to be quiet, but no longer than `at_most_s` from the first change: then it takes what is.
    Times are seconds of any clock that never goes back.
    """

    quiet_s: float = 2.0
    at_most_s: float = 30.0
    _paths: dict[str, _Waiting[M]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._paths)

    def touch(self, path: str, mark: M, now: float) -> None:
        """A change was seen at `path`, or nothing was: it is looked at again."""
        waiting = self._paths.get(path)
        if waiting is None:
            self._paths[path] = _Waiting(mark, now, now)
        elif waiting.mark != mark:
            waiting.mark, waiting.since = mark, now

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def paths(self) -> list[str]:
        """Those that wait, to be looked at."""
        return [*self._paths]

    def take(self, now: float) -> Mapping[str, M]:
        """The quiet paths with their marks, if it is time for a round: they wait no more. Else nothing."""
        quiet = {path: each for path, each in self._paths.items() if now - each.since >= self.quiet_s}
        oldest = min((each.first for each in self._paths.values()), default=now)
        if not quiet or (len(quiet) < len(self._paths) and now - oldest < self.at_most_s):
            return {}
        for path in quiet:
            del self._paths[path]
        return {path: each.mark for path, each in quiet.items()}

    def put_back(self, paths: Mapping[str, M], now: float) -> None:
        """These could not be taken up: they wait again, as quiet as they were."""
        for path, mark in paths.items():
            self._paths.setdefault(path, _Waiting(mark, now - self.quiet_s, now))
