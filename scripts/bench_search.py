"""How fast search is on a large library, how near to exact, and how other ways to do the same do in the same run.

    python scripts/bench_search.py                              # 20,000 photos, vectors 256 wide: a minute
    python scripts/bench_search.py --photos 100000 --width 1024 # as in docs/benchmarks.md
    python scripts/bench_search.py --photos 1000000 --width 1024 --keep /big/disk/library --alone

With --keep the library stays, and the same command measures it again. --make only makes it, and goes on where a making
was broken off.

Photos are synthetic: vectors in clusters, tags and text of a vocabulary with Zipf's frequencies. The encoding of the
query is left out: it depends on the model. Shown are wall and processor milliseconds (of all threads, user and system),
the median and the worst of the queries; on a busy machine only the processor's mean something.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from bench_start import environment

from photoindex.models.registry import load_registry
from photoindex.records import Analysed, Found, FoundFile, Metadata, Outcome, Tag, TextLine
from photoindex.scan.documents import write_due_documents
from photoindex.search.asking import ask
from photoindex.search.lists import Asked, Models, by_meaning, by_tag, by_words, ranked_lists
from photoindex.search.options import SearchOptions
from photoindex.search.ranking import rank
from photoindex.store.background import Background, BackgroundFile
from photoindex.store.library import Library
from photoindex.store.vectors import image_table

MODEL = "bench"
_BATCH = 5_000
_PART = 100_000  # photos that one process adds: what memory it took is given back with it
_MADE = "bench-made"  # a file that says that the library is whole
_WORDS = 40_000
_QUERIES = 30
_START = datetime(2005, 1, 1)
# With the share of photos that pass.
_FILTERS = {
    "camera:K-3": "1 of 9",
    "-camera:K-3": "8 of 9",
    'tag:"tag 3"': "1 of 10",
    "year:2010": "1 year",
    "path:00123": "few",
    "has:text": "all",
}
# The command, with the encoded query in a file.
_COMMAND = """
import sys
import numpy as np
from photoindex.search.lists import Models
vector = sys.argv.pop(1)
Models.encode_texts = lambda *_: np.load(vector)
from photoindex.cli import run
run()
"""
Vectors = npt.NDArray[np.float16]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    text: str
    vector: Floats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--keep", type=Path, help="make the library there, or use the one that is there")
    parser.add_argument("--make", action="store_true", help="only make the library of --keep, or go on making it")
    parser.add_argument("--alone", action="store_true", help="without the other ways, which need much memory")
    options = parser.parse_args()
    if options.make and options.keep is None:
        parser.error("--make needs --keep, the place to make the library in")
    with tempfile.TemporaryDirectory(prefix="photoindex-bench-") as temporary:
        folder = options.keep or Path(temporary) / "library"
        if not (folder / _MADE).exists():
            _timed("making the library", lambda: make_library(folder, options.photos, options.width))
        if not options.make:
            measure(folder, options.width, Path(temporary), alone=options.alone)


# -- a library

# With pandas where a library wants it: what a scan loads is no part of a search.
_APART = "import sys; sys.path.insert(0, sys.argv[1]); import bench_search as b; "
_APART += "getattr(b, sys.argv[2])(b.Path(sys.argv[3]), *map(int, sys.argv[4:]))"


def make_library(folder: Path, photos: int, width: int) -> None:
    """A library of synthetic photos, indexed as a scan does it; one that was begun is gone on with."""
    for upto in [*range(_PART, photos, _PART), photos]:
        _apart("add_photos", folder, upto, width)
    _apart("finish", folder, width)
    (folder / _MADE).touch()


def _apart(name: str, folder: Path, *numbers: int) -> None:
    """A function of this file in a process of its own."""
    command = [sys.executable, "-c", _APART, str(Path(__file__).parent), name, str(folder), *map(str, numbers)]
    subprocess.run(command, check=True)


def add_photos(folder: Path, upto: int, width: int) -> None:
    """Those that the library lacks of the first `upto` photos."""
    words, began = _words(), time.perf_counter()
    with Library.writing(folder) as library:
        library.catalog.set_setting("embedding_model", MODEL)
        for first in range(len(library.catalog.photo_ids()), upto, _BATCH):
            many = range(first, min(first + _BATCH, upto))
            batch = list(_photos(many, words))
            vectors = pictures(len(many), width, first)
            library.vectors.put_images(MODEL, {item.photo_id: v for item, v in zip(batch, vectors, strict=True)})
            library.save(batch)
            write_due_documents(library, more_to_come=True)
        library.vectors.compact()
    _tell(f"  {upto:,} photos", began)


def finish(folder: Path, width: int) -> None:
    """What the end of a scan does."""
    began = time.perf_counter()
    with Library.writing(folder) as library:
        write_due_documents(library)
        library.vectors.compact()
        _timed("  of it the vector index", lambda: library.vectors.keep_index(image_table(MODEL)))
        _measure_background(library, width)
    _tell("  its end", began)


def _tell(what: str, began: float) -> None:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what}: {time.perf_counter() - began:.0f} s, {most:.2f} GB", file=sys.stderr, flush=True)


def _words() -> list[str]:
    return [hashlib.md5(f"{n}".encode(), usedforsecurity=False).hexdigest()[: 3 + n % 8] for n in range(_WORDS)]


def _photos(numbers: range, words: list[str]) -> Iterator[Analysed]:
    rng = np.random.default_rng(numbers.start)
    for number in numbers:
        text = [words[k] for k in np.minimum(rng.zipf(1.3, 12) - 1, _WORDS - 1)]
        tags = tuple(Tag(f"tag {k}", 0.9) for k in set(np.minimum(rng.zipf(1.5, 4), 500).tolist()))
        metadata = Metadata(
            "JPEG", 4000, 3000, taken_at=_START + timedelta(hours=number / 4), camera_model=f"K-{number % 9}"
        )
        facts = {"metadata": metadata, "tags": tags, "ocr": (TextLine(" ".join(text), 0.9, (0.0,) * 8),)}
        sha256 = hashlib.sha256(f"{number}".encode()).hexdigest()
        outcomes = tuple(Outcome(step, 1, "done", value) for step, value in facts.items())
        yield Analysed(FoundFile(f"/p/{number:07d}.jpg", "/p", 1, 1, 1, number), sha256, outcomes)


def pictures(n: int, width: int, seed: int) -> Vectors:
    """Vectors in 2,000 clusters, L2-normalised."""
    centres = np.random.default_rng(1).normal(size=(2_000, width)).astype(np.float32)
    rng = np.random.default_rng(seed + 2)
    vectors = centres[rng.integers(0, len(centres), n)] + 0.9 * rng.standard_normal((n, width), np.float32)
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


# -- questions


def _question(number: int, width: int) -> Question:
    """Two words that stand in one photo, every third time with a tag and every fifth time with a word too many."""
    words = _words()
    (photo,) = _photos(range(number * _BATCH % 20_000, number * _BATCH % 20_000 + 1), words)
    line = next(outcome.facts for outcome in photo.outcomes if outcome.step == "ocr")[0].text.split()
    rare = sorted(dict.fromkeys(line), key=words.index)[-2:]
    more = [f"tag {number + 1}"] * (number % 3 == 0) + [words[number]] * (number % 5 == 0)
    return Question(" ".join([*rare, *more]), _picture_like(number, width))


def _picture_like(number: int, width: int) -> Floats:
    noise = np.random.default_rng(1_000 + number).normal(size=width) * 0.02
    return _unit(pictures(1, width, 5_000 + number)[0].astype(np.float32) + noise)


def _text_like(number: int, width: int) -> Floats:
    """Far from every picture, as the vectors of texts are, and nearest to some of them all the same."""
    other = np.random.default_rng(2_000 + number).normal(size=width)
    return _unit(0.3 * _picture_like(number, width) + _unit(other))


def _unit(vector: npt.NDArray[np.floating]) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


class _Encoded(Models):
    """The models of a search whose text has been encoded already."""

    registry = load_registry(Path("none"))

    def __init__(self, library: Library, vector: Floats) -> None:
        super().__init__(library, self.registry, Path("none"), SearchOptions())
        self._vector = vector

    def encode_texts(self, model: str, texts: Sequence[str]) -> Floats:  # noqa: ARG002
        return np.stack([self._vector] * len(texts))


def _search(library: Library, question: Question, where: str = "", limit: int = 20) -> Found:
    """A hybrid search as `photoindex search` does it, but for the encoding of the query."""
    options = SearchOptions(limit=limit)
    asked = _asked(library, f"{question.text} {where}")
    return rank(library, asked, ranked_lists(library, asked, _Encoded(library, question.vector), options), options)


def _asked(library: Library, query: str) -> Asked:
    found = ask(library, query, print, lambda *_: ())
    return Asked(found.plan.texts, found.among)


# -- measuring


def measure(folder: Path, width: int, temporary: Path, *, alone: bool) -> None:
    library = Library.open(folder)
    table = image_table(MODEL)
    asked = [_question(number, width) for number in range(_QUERIES)]
    print(f"{library.vectors.count(table):,} photos, vectors {width} wide, {os.cpu_count()} cores")
    _recall(library, table, width)
    _print_head()
    whole = _per_query("hybrid search, warm", asked, lambda q: _search(library, q))
    plain = SearchOptions()
    _per_query("  its text list", asked, lambda q: by_words(library, Asked((q.text,)), plain), whole)
    _per_query("  its tag list", asked, lambda q: by_tag(library, Asked((q.text,)), plain), whole)
    _per_query(
        "  its vector list",
        asked,
        lambda q: by_meaning(library, Asked((q.text,)), _Encoded(library, q.vector), 200),
        whole,
    )
    for where, share in _FILTERS.items():
        _per_query(f"hybrid search, {where} ({share})", asked, lambda q, w=where: _search(library, q, w), whole)
    _per_query("only a filter, camera:K-3", asked, lambda _: _only_filter(library, "camera:K-3"), whole)
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    _cold(folder, temporary, asked[0], whole)
    if not alone:
        _others(library, table, temporary, asked, whole)


def _only_filter(library: Library, where: str) -> None:
    from photoindex.search.ranking import listed

    question = ask(library, where, print, lambda *_: ())
    listed(library, question.among or (), SearchOptions())


def _recall(library: Library, table: str, width: int) -> None:
    for kind, make in (("picture-like", _picture_like), ("text-like", _text_like)):
        queries = np.stack([make(number, width) for number in range(_QUERIES)])
        exact = _exact(library, table, queries)
        found = [{i for i, _ in library.vectors.nearest(table, query, 200)[:10]} for query in queries]
        shares = [len(a & b) / 10 for a, b in zip(exact, found, strict=True)]
        print(f"recall at 10 of the vector list, {kind}: {statistics.mean(shares):.3f}, worst {min(shares):.1f}")


def _exact(library: Library, table: str, queries: Floats) -> list[set[int]]:
    """The ten nearest by one product after another over all vectors."""
    ids, scores = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    for some, vectors in library.vectors.batches(table):
        scores = np.hstack([scores, queries @ vectors.astype(np.float32).T])
        ids = np.hstack([ids, np.broadcast_to(some, (len(queries), len(some)))])
        best = np.argsort(-scores, axis=1)[:, :10]
        ids, scores = np.take_along_axis(ids, best, 1), np.take_along_axis(scores, best, 1)
    return [set(row.tolist()) for row in ids]


def _cold(folder: Path, temporary: Path, question: Question, whole: Cost) -> None:
    """The command itself, but for the encoding of the query, less a Python that does nothing."""
    home, vector = temporary / "home", temporary / "query.npy"
    home.mkdir()
    (home / "default").symlink_to(folder.absolute())
    np.save(vector, question.vector[None])
    env = environment(home)
    nothing = _of_processes([sys.executable, "-c", "pass"], env)
    cold = _of_processes([sys.executable, "-c", _COMMAND, str(vector), "search", question.text], env)
    _print("hybrid search, cold process, beyond its start", [c.less(nothing[0]) for c in cold], whole)


def _of_processes(command: list[str], env: dict[str, str]) -> list[Cost]:
    def process() -> None:
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)

    process()  # leaves its byte-code, as an installed program has it
    return [_cost(process) for _ in range(5)]


def _others(library: Library, table: str, temporary: Path, asked: list[Question], whole: Cost) -> None:
    rows = list(library.vectors.batches(table))
    ids, matrix = np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]).astype(np.float32)
    dataset = library.vectors._dataset(table)
    flat = {"column": "vector", "k": 10, "metric": "cosine", "use_index": False}
    _per_query(
        "vectors alone, exact, in Lance",
        asked,
        lambda q: dataset.scanner(columns=["id", "_distance"], nearest={**flat, "q": q.vector}).to_table(),
        whole,
    )
    _rclip(temporary, ids, matrix, asked, whole)
    _duckdb(temporary, ids, matrix, asked, whole)


def _rclip(temporary: Path, ids: npt.NDArray[np.int64], matrix: Floats, asked: list[Question], whole: Cost) -> None:
    """Vectors as float32 blobs in SQLite, all of them read for a query, one matrix product, a sort."""
    with sqlite3.connect(temporary / "rclip.db") as con:
        con.execute("CREATE TABLE images (id INTEGER, vector BLOB)")
        con.executemany(
            "INSERT INTO images VALUES (?, ?)", ((int(i), v.tobytes()) for i, v in zip(ids, matrix, strict=True))
        )

    def act(question: Question) -> None:
        with sqlite3.connect(temporary / "rclip.db") as con:
            read = con.execute("SELECT id, vector FROM images").fetchall()
        loaded = np.stack([np.frombuffer(blob, np.float32) for _, blob in read])
        np.argsort(-(loaded @ question.vector))[:10]

    _per_query("vectors alone, all read from SQLite (rclip's way)", asked[:3], act, whole)
    (temporary / "rclip.db").unlink()


def _duckdb(temporary: Path, ids: npt.NDArray[np.int64], matrix: Floats, asked: list[Question], whole: Cost) -> None:
    import duckdb
    import pyarrow as pa

    width = matrix.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), width)
    with duckdb.connect(temporary / "vectors.duckdb") as con:
        con.register("incoming", pa.table({"id": ids, "vector": column}))
        con.execute("CREATE TABLE images AS SELECT * FROM incoming")
        sql = f"SELECT id FROM images ORDER BY array_cosine_similarity(vector, ?::FLOAT[{width}]) DESC LIMIT 10"
        ask_it = lambda q: con.execute(sql, [q.vector.tolist()]).fetchall()  # noqa: E731
        _per_query("vectors alone, DuckDB's array functions", asked[:10], ask_it, whole)


# -- costs


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock, and of processors by all threads and ended children."""

    wall: float
    cpu: float

    def less(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


def _cost(act: Callable[[], object]) -> Cost:
    began, used = time.perf_counter(), os.times()
    act()
    spent = sum(after - before for after, before in zip(os.times()[:4], used[:4], strict=True))
    return Cost(time.perf_counter() - began, spent)


def _exact_cost(act: Callable[[], object]) -> Cost:
    """Of this process alone, whose processor time is known to the nanosecond."""
    began, used = time.perf_counter(), time.process_time()
    act()
    return Cost(time.perf_counter() - began, time.process_time() - used)


def _per_query(name: str, asked: list[Question], act: Callable[[Question], object], whole: Cost | None = None) -> Cost:
    for question in asked[-2:]:
        act(question)
    costs = [_exact_cost(lambda q=question: act(q)) for question in asked]
    return _print(name, costs, whole)


def _print_head() -> None:
    print(f"{'':52s} {'wall ms':>8s} {'worst':>8s} {'CPU ms':>8s} {'worst':>8s} {'CPU':>9s}")


def _print(name: str, costs: list[Cost], whole: Cost | None) -> Cost:
    wall, cpu = [c.wall * 1e3 for c in costs], [c.cpu * 1e3 for c in costs]
    median = Cost(statistics.median(wall), statistics.median(cpu))
    share = median.cpu / (whole or median).cpu
    figures = f"{median.wall:8.1f} {max(wall):8.1f} {median.cpu:8.1f} {max(cpu):8.1f}"
    print(f"{name:52s} {figures} {share:7.2f} x", flush=True)
    return median


def _timed(name: str, act: Callable[[], object]) -> None:
    cost = _cost(act)
    print(f"{name}: {cost.wall:.1f} s, {cost.cpu:.1f} s of processors", flush=True)


if __name__ == "__main__":
    main()
