"""The rows of some photos of a table."""

from __future__ import annotations

from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from photoindex.store.among import rows_of

PHOTOS = np.random.default_rng(7).permutation(np.arange(-50, 50)) * (2**56 + 1)  # ids are of 64 bits, in no order


@pytest.fixture
def table(tmp_path: Path) -> lance.LanceDataset:
    """Of four files, with rows that were deleted in the first and the last."""
    rows = pa.table({"id": PHOTOS, "place": np.arange(len(PHOTOS))})
    table = lance.write_dataset(rows, tmp_path / "table", max_rows_per_file=30)
    table.delete("place < 3 OR place = 10 OR place > 95")
    return table


def test_rows_are_those_of_the_photos_whatever_was_deleted(table: lance.LanceDataset) -> None:
    wanted = [int(PHOTOS[at]) for at in (94, 3, 11, 40, 2, 10, 99)]  # the last three are not there any more
    found = rows_of(table, [*wanted, 7], ["id", "place"])
    assert dict(zip(found["id"].to_pylist(), found["place"].to_pylist(), strict=True)) == {
        int(PHOTOS[at]): at for at in (3, 11, 40, 94)
    }


def test_no_photos_have_no_rows(table: lance.LanceDataset) -> None:
    assert rows_of(table, [], ["id", "place"]).num_rows == 0


def test_all_photos_have_all_rows(table: lance.LanceDataset) -> None:
    assert rows_of(table, PHOTOS.tolist(), ["place"])["place"].to_pylist() == [*range(3, 10), *range(11, 96)]
