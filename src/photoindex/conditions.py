"""What the photos of a search must fulfil, as the store understands it: a small tree of frozen records.

A fact that is not known of a photo fulfils no condition, so `No` of it does hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Among:
    """One of these photos, by id."""

    photo_ids: Collection[int]


@dataclass(frozen=True, slots=True)
class OneOf:
    """The fact has one of these values, as `Finder.values` gives them."""

    fact: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The fact, a number or a moment, lies from `low` to `high`; None is no limit, `open_*` leaves the limit out."""

    fact: str
    low: float | datetime | None = None
    high: float | datetime | None = None
    open_low: bool = False
    open_high: bool = False


@dataclass(frozen=True, slots=True)
class Within:
    """Taken at most `km` (on a great circle) from this position in degrees north and east."""

    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True, slots=True)
class Known:
    """Something is so of the photo: one of the names of `store.filters.KNOWN`."""

    name: str


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class No:
    part: Condition


class Chosen(Collection[int]):
    """Ids of the photos that fulfil a condition, newest first: a million are an array, not as many objects."""

    def __init__(self, photo_ids: npt.NDArray[np.int64] | Sequence[int] = ()) -> None:
        import numpy as np

        self.ids: npt.NDArray[np.int64] = np.asarray(photo_ids, np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids.tolist())

    def __contains__(self, photo_id: object) -> bool:
        return bool((self.ids == photo_id).any())

    def first(self, count: int) -> list[int]:
        """The newest `count`, or all for 0."""
        found: list[int] = (self.ids[:count] if count else self.ids).tolist()
        return found


Condition = Among | OneOf | Between | Within | Known | All | Any | No
EVERYTHING = All(())
