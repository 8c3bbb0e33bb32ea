"""Some photos of a table only: the best of a ranked list among them, and their rows.

Lance reads a filter as SQL: a list of ten thousand ids costs it a tenth of a second, and each list of a search anew. So
only few ids are given to it. Among many, the list is asked for so deep that enough of it are theirs, and deeper where
they are not. That is the same as filtering first: a ranking has one order, however deep it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.conditions import Chosen

Ids = npt.NDArray[np.int64]
_SPARE = 1.5  # so much deeper than would do if the photos were spread evenly
_DEEPER = 4


def sorted_ids(photo_ids: Collection[int]) -> Ids:
    """The ids as an array (n,), in order."""
    ids = photo_ids.ids if isinstance(photo_ids, Chosen) else np.fromiter(photo_ids, np.int64, len(photo_ids))
    return np.sort(ids)


def best_among(ask: Callable[[int], Any], among: Ids, limit: int, total: int) -> Any:
    """The first `limit` rows that are of the photos `among` (sorted): an Arrow table.

    `ask(k)` gives the first k rows of a ranking, with a column `id`; fewer only where there are no more. `total`: how
    many there are at most.
    """
    wanted = min(limit, len(among))
    depth = min(total, int(_SPARE * wanted * total / max(1, len(among))) + 50)
    while True:
        found = ask(depth)
        rows = np.flatnonzero(_is_in(found["id"].to_numpy(), among))
        if len(rows) >= wanted or found.num_rows < depth or depth >= total:
            return found.take(rows[:limit])
        depth = min(total, _DEEPER * depth)


def rows_of(dataset: Any, photo_ids: Collection[int], columns: list[str]) -> Any:
    """The rows of these photos in a Lance dataset, in its order: an Arrow table.

    With a filter on the ids Lance reads wide columns, as vectors are, of every row of the table.
    """
    import pyarrow
    import pyarrow.compute

    wanted = pyarrow.compute.SetLookupOptions(pyarrow.array(photo_ids, pyarrow.int64()))
    found = pyarrow.compute.is_in(dataset.to_table(columns=["id"])["id"], options=wanted)
    return dataset.take(np.flatnonzero(found.to_numpy()), columns=columns)


def _is_in(values: Ids, among: Ids) -> npt.NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(among, values), max(0, len(among) - 1))
    found: npt.NDArray[np.bool_] = among[at] == values
    return found
