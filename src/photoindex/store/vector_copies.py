"""Tables of the vector store as Parquet files, which outlive the format of the store itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from photoindex.store.vectors import DOCUMENTS, Vectors

_COLUMNS = {"face": ["id", "face", "vector"], "image": ["id", "vector"]}
_AT_ONCE = 8_192


def columns_of(table: str) -> list[str]:
    """The columns of a table of the vector store: `id` (int64) and text, or `vector` (float16, one width a table)."""
    return ["id", "text"] if table == DOCUMENTS else _COLUMNS[table.partition("-")[0]]


def write_parquet(vectors: Vectors, table: str, sink: IO[bytes]) -> int:
    """Write a table as it is at one moment, whatever is written to it meanwhile. Returns the number of rows.

    Raises LibraryCorrupt where it cannot be opened, and OSError or ValueError where a part of it cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows, wanted = 0, columns_of(table)
    snapshot = vectors.snapshot(table)
    schema = pa.schema([snapshot.schema.field(name) for name in wanted])
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in snapshot.to_batches(columns=wanted, batch_size=_AT_ONCE):
            writer.write_batch(batch.select(wanted))
            rows += batch.num_rows
    return rows


def read_parquet(vectors: Vectors, table: str, source: IO[bytes]) -> None:
    """Make a table, with its indexes, out of what `write_parquet` wrote. One of its name is replaced."""
    import pyarrow as pa
    from pyarrow import parquet

    file = parquet.ParquetFile(source)
    batches = file.iter_batches(batch_size=_AT_ONCE, columns=columns_of(table))
    vectors.make(table, pa.RecordBatchReader.from_batches(file.schema_arrow, batches))


def texts(vectors: Vectors) -> Iterator[dict[int, str]]:
    """The full-text documents by photo, some thousands at a time."""
    if vectors.has(DOCUMENTS):
        for batch in vectors.snapshot(DOCUMENTS).to_batches(columns=["id", "text"], batch_size=_AT_ONCE):
            yield dict(zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True))


def unsound_ids(vectors: Vectors, table: str) -> npt.NDArray[np.int64]:
    """Photos of a table of vectors whose vector has no direction: a number that is none, or only zeros.

    Reads the whole table. Raises what Lance raises for a damaged file, which may be anything.
    """
    wrong: list[Any] = [np.empty(0, np.int64)]
    for ids, rows in vectors.batches(table):
        length = np.linalg.norm(rows.astype(np.float32), axis=1)
        wrong.append(ids[~np.isfinite(length) | (length == 0)])
    return np.unique(np.concatenate(wrong))
