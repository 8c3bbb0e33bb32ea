"""How fast search is on a large library, against other ways to do the same in the same run.

    python scripts/bench_search.py                              # 20,000 photos, vectors 256 wide: a minute
    python scripts/bench_search.py --photos 100000 --width 1024 # as in docs/benchmarks.md
    python scripts/bench_search.py --photos 1000000 --width 1024 --keep /big/disk/library

Photos are synthetic: vectors in clusters, tags and text of a vocabulary with Zipf's frequencies. The encoding of the
query is left out: it depends on the model. Compare ratios, not milliseconds, between machines.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from photoindex.cli.lean import leave_out_pandas
from photoindex.records import Analysed, Found, FoundFile, Metadata, Outcome, Tag, TextLine
from photoindex.scan.documents import write_due_documents
from photoindex.search.lists import Asked, RankedList
from photoindex.search.nearest import background, by_vector
from photoindex.search.options import SearchOptions
from photoindex.search.ranking import rank
from photoindex.search.words import by_tags, by_text
from photoindex.store.background import Background, BackgroundFile
from photoindex.store.library import Library
from photoindex.store.vectors import image_table

MODEL = "bench"
_BATCH = 5_000
_WORDS = 40_000
_QUERIES = 30
_START = datetime(2005, 1, 1)
Vectors = npt.NDArray[np.float16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--keep", type=Path, help="make the library there, or use the one that is there")
    parser.add_argument("--cold", metavar="LIBRARY", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cold:
        leave_out_pandas()  # as the command does
        _search(Library.open(options.cold), *_question(0, options.width))
        return
    with tempfile.TemporaryDirectory(prefix="photoindex-bench-") as temporary:
        folder = options.keep or Path(temporary)
        if not (folder / "catalog.duckdb").exists():
            _timed("making the library", lambda: make_library(folder, options.photos, options.width))
        measure(folder, options.width, Path(temporary))


def make_library(folder: Path, photos: int, width: int) -> None:
    """A library of synthetic photos, indexed as a scan does it."""
    words = [hashlib.md5(f"{n}".encode(), usedforsecurity=False).hexdigest()[: 3 + n % 8] for n in range(_WORDS)]
    with Library.writing(folder) as library:
        for first in range(0, photos, _BATCH):
            many = range(first, min(first + _BATCH, photos))
            batch = list(_photos(many, words))
            vectors = pictures(len(many), width, first)
            library.vectors.put_images(MODEL, {item.photo_id: v for item, v in zip(batch, vectors, strict=True)})
            library.save(batch)
            write_due_documents(library, more_to_come=True)
        write_due_documents(library)
        library.vectors.compact()
        library.vectors.keep_index(image_table(MODEL))
        _measure_background(library, width)


def _photos(numbers: range, words: list[str]) -> Iterator[Analysed]:
    rng = np.random.default_rng(numbers.start)
    for number in numbers:
        text = [words[k] for k in np.minimum(rng.zipf(1.3, 12) - 1, _WORDS - 1)]
        tags = tuple(Tag(f"tag {k}", 0.9) for k in set(np.minimum(rng.zipf(1.5, 4), 500).tolist()))
        metadata = Metadata(
            "JPEG", 4000, 3000, taken_at=_START + timedelta(hours=number), camera_model=f"K-{number % 9}"
        )
        facts = {"metadata": metadata, "tags": tags, "ocr": (TextLine(" ".join(text), 0.9, (0.0,) * 8),)}
        sha256 = hashlib.sha256(f"{number}".encode()).hexdigest()
        outcomes = tuple(Outcome(step, 1, "done", value) for step, value in facts.items())
        yield Analysed(FoundFile(f"/p/{number:07d}.jpg", "/p", 1, 1, 1, number), sha256, outcomes)


def pictures(n: int, width: int, seed: int) -> Vectors:
    """Vectors in 2,000 clusters, L2-normalised."""
    centres = np.random.default_rng(1).normal(size=(2_000, width)).astype(np.float32)
    rng = np.random.default_rng(seed + 2)
    vectors = centres[rng.integers(0, len(centres), n)] + 0.9 * rng.normal(size=(n, width)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float16)


def _measure_background(library: Library, width: int) -> None:
    table = image_table(MODEL)
    words = pictures(300, width, 99).astype(np.float32)
    reached, total, ids = np.full(300, -1.0, np.float32), np.zeros(width), []
    for some, vectors in library.vectors.batches(table):
        ids.append(some)
        reached = np.maximum(reached, (words @ vectors.astype(np.float32).T).max(1))
        total += vectors.astype(np.float32).sum(0)
    photos = np.sort(np.concatenate(ids))
    mean = (total / len(photos)).astype(np.float32)
    empty = np.zeros((0, width), np.float32)
    BackgroundFile(library.vectors.folder, table).write(Background(words, empty, reached, mean, photos, "bench"))


def _question(number: int, width: int) -> tuple[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(1_000 + number)
    words = " ".join(
        hashlib.md5(f"{n}".encode(), usedforsecurity=False).hexdigest()[: 3 + n % 8] for n in rng.integers(0, 300, 2)
    )
    vector = pictures(1, width, 5_000 + number)[0].astype(np.float32) + rng.normal(size=width) * 0.02
    return f"{words} tag {number + 1}", (vector / np.linalg.norm(vector)).astype(np.float32)


def _search(library: Library, text: str, vector: npt.NDArray[np.float32]) -> Found:
    """A hybrid search as `photoindex search` does it, but for the encoding of the query."""
    lists = {
        "text": RankedList(by_text(library, text, 10_000, None)),
        "tags": RankedList(by_tags(library, text, 10_000, None)),
        "vector": RankedList(by_vector(library, MODEL, vector, 200, None, background(library, MODEL))),
    }
    return rank(library, Asked((text,)), lists, SearchOptions())


def measure(folder: Path, width: int, temporary: Path) -> None:
    library = Library.open(folder)
    table = image_table(MODEL)
    asked = [_question(number, width) for number in range(_QUERIES)]
    rows = list(library.vectors.batches(table))
    ids, matrix = np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]).astype(np.float32)
    print(f"{len(ids):,} photos, vectors {matrix.shape[1]} wide")
    exact = [set(ids[np.argpartition(-(matrix @ vector), 10)[:10]].tolist()) for _, vector in asked]
    found = [{i for i, _ in library.vectors.nearest(table, vector, 200)[:10]} for _, vector in asked]
    shares = [len(a & b) / 10 for a, b in zip(exact, found, strict=True)]
    print(f"recall at 10 of the vector list: {statistics.mean(shares):.3f}")
    whole = _per_query("hybrid search, warm", asked, lambda text, vector: _search(library, text, vector))
    _per_query("  its text list", asked, lambda text, _: by_text(library, text, 10_000, None), whole)
    _per_query("  its tag list", asked, lambda text, _: by_tags(library, text, 10_000, None), whole)
    known = background(library, MODEL)
    vectors = lambda _, vector: by_vector(library, MODEL, vector, 200, None, known)  # noqa: E731
    _per_query("  its vector list", asked, vectors, whole)
    dataset = library.vectors._dataset(table)
    flat = {"column": "vector", "k": 10, "metric": "cosine", "use_index": False}
    _per_query(
        "vectors alone, exact, in Lance",
        asked,
        lambda _, vector: dataset.scanner(columns=["id", "_distance"], nearest={**flat, "q": vector}).to_table(),
        whole,
    )
    _cold(folder, width, whole)
    _rclip(temporary, ids, matrix, asked, whole)
    _duckdb(temporary, ids, matrix, asked, whole)


def _cold(folder: Path, width: int, whole: float) -> None:
    """A process that searches once, less one that does nothing."""
    command = [sys.executable, __file__, "--cold", str(folder), "--width", str(width)]
    nothing = _median(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    cold = _median(lambda: subprocess.run(command, check=True))
    _print("hybrid search, cold process, beyond its start", cold - nothing, whole)


def _rclip(
    temporary: Path,
    ids: npt.NDArray[np.int64],
    matrix: npt.NDArray[np.float32],
    asked: list[tuple[str, npt.NDArray[np.float32]]],
    whole: float,
) -> None:
    """Vectors as float32 blobs in SQLite, all of them read for a query, one matrix product, a sort."""
    with sqlite3.connect(temporary / "rclip.db") as con:
        con.execute("CREATE TABLE images (id INTEGER, vector BLOB)")
        con.executemany(
            "INSERT INTO images VALUES (?, ?)", ((int(i), v.tobytes()) for i, v in zip(ids, matrix, strict=True))
        )

    def ask(_: str, vector: npt.NDArray[np.float32]) -> None:
        with sqlite3.connect(temporary / "rclip.db") as con:
            read = con.execute("SELECT id, vector FROM images").fetchall()
        loaded = np.stack([np.frombuffer(blob, np.float32) for _, blob in read])
        np.argsort(-(loaded @ vector))[:10]

    _per_query("vectors alone, all read from SQLite (rclip's way)", asked[:3], ask, whole)
    (temporary / "rclip.db").unlink()


def _duckdb(
    temporary: Path,
    ids: npt.NDArray[np.int64],
    matrix: npt.NDArray[np.float32],
    asked: list[tuple[str, npt.NDArray[np.float32]]],
    whole: float,
) -> None:
    import duckdb
    import pyarrow as pa

    width = matrix.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), width)
    with duckdb.connect(temporary / "vectors.duckdb") as con:
        con.register("incoming", pa.table({"id": ids, "vector": column}))
        con.execute("CREATE TABLE images AS SELECT * FROM incoming")
        sql = f"SELECT id FROM images ORDER BY array_cosine_similarity(vector, ?::FLOAT[{width}]) DESC LIMIT 10"
        ask = lambda _, vector: con.execute(sql, [vector.tolist()]).fetchall()  # noqa: E731
        _per_query("vectors alone, DuckDB's array functions", asked[:10], ask, whole)


def _per_query(
    name: str,
    asked: list[tuple[str, npt.NDArray[np.float32]]],
    act: Callable[[str, npt.NDArray[np.float32]], object],
    whole: float | None = None,
) -> float:
    act(*asked[-1])
    times = []
    for text, vector in asked:
        started = time.perf_counter()
        act(text, vector)
        times.append(time.perf_counter() - started)
    median = statistics.median(times)
    _print(name, median, whole or median)
    return median


def _median(act: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _timed(name: str, act: Callable[[], object]) -> None:
    started = time.perf_counter()
    act()
    print(f"{name}: {time.perf_counter() - started:.1f} s")


def _print(name: str, seconds: float, whole: float) -> None:
    print(f"{name:52s} {seconds * 1e3:9.1f} ms  {seconds / whole:7.2f} x")


if __name__ == "__main__":
    main()
