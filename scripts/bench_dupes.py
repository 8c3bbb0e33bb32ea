"""Times the search for near pairs of hashes: `python scripts/bench_dupes.py [--million] [--faiss PYTHON]`.

With `--new` it times a search that goes on from an earlier one, for some numbers of new hashes, beside a search of all,
for hashes as they are and for turned and mirrored ones (`--hashes N`: of another number than 100,000).
With `--photos FOLDER` (one with dupes/truth.csv) it tells instead how well duplicates are found there, beside plain PDQ
and, with `--imagededup PYTHON`, imagededup's pHash.

Each case runs in a process of its own, so that its peak memory is its own. Hashes are random with planted copies;
what was found is checked against brute force on a sample, which also gives the time brute force would take.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dupe_quality
import numpy as np
import numpy.typing as npt

from photoindex.dupes.candidates import TURN_BITS
from photoindex.pure.grouping import near_groups
from photoindex.pure.hamming import pairs_within
from photoindex.pure.searched import Search
from photoindex.pure.searched_turns import TurnedSearch
from photoindex.pure.turns import QUARTER, turned_hashes
from photoindex.records import Searched
from photoindex.store.near_file import NearFile

Hashes = npt.NDArray[np.uint8]
SAMPLE = 200
FAISS_SAMPLE = 2000
# Each of a sample against all, with every thread; printed are its CPU seconds and the pairs that it found.
_FAISS = """
import sys, time
import faiss, numpy as np
hashes, threshold, sample = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
index = faiss.IndexBinaryFlat(256)
index.add(hashes)
queries = hashes[np.linspace(0, len(hashes) - 1, sample).astype(int)]
start = time.process_time()
limits, _, _ = index.range_search(queries, threshold + 1)
print(time.process_time() - start, limits[-1])
"""


def library(n: int, frames: int, seed: int = 0) -> Hashes:
    """n random hashes; 3 % are copies with 0 to 40 bits flipped, and `frames` are a time lapse of one scene."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    copies = rng.permutation(n)[: n * 3 // 100]
    hashes[copies] = flipped(hashes[rng.integers(0, n, len(copies))], 40, rng)
    if frames:
        hashes[rng.permutation(n)[:frames]] = flipped(np.repeat(hashes[:1], frames, axis=0), 5, rng)
    return hashes


def flipped(hashes: Hashes, most: int, rng: np.random.Generator) -> Hashes:
    bits = np.unpackbits(hashes, axis=1)
    ranks = rng.random(bits.shape).argsort(axis=1).argsort(axis=1)
    bits ^= ranks < rng.integers(0, most + 1, (len(bits), 1))
    return np.packbits(bits, axis=1)


def brute_force(hashes: Hashes, threshold: int, rows: npt.NDArray[np.int64]) -> set[tuple[int, int]]:
    """All near pairs that have one of `rows` in them."""
    words = np.ascontiguousarray(hashes.view(np.uint64).T)
    pairs = set[tuple[int, int]]()
    for row in rows.tolist():
        far = np.zeros(len(hashes), np.uint16)
        for word in words:
            far += np.bitwise_count(word ^ word[row])
        pairs |= {(min(row, k), max(row, k)) for k in np.flatnonzero(far <= threshold).tolist() if k != row}
    return pairs


def faiss_seconds(python: str, hashes: Hashes, threshold: int, pairs: npt.NDArray[np.int64]) -> float:
    """CPU seconds of a whole search by faiss, from a sample. Exits with a message where it finds other pairs."""
    sample = min(FAISS_SAMPLE, len(hashes))
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "hashes.npy", hashes)
        command = [python, "-c", _FAISS, str(Path(folder) / "hashes.npy"), str(threshold), str(sample)]
        ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, found = ran.stdout.split()
    rows = np.linspace(0, len(hashes) - 1, sample).astype(int)
    mine = np.bincount(pairs.ravel(), minlength=len(hashes))[rows].sum() + sample  # each is near itself
    if int(found) != mine:
        sys.exit(f"faiss finds {found} neighbours, not {mine}")
    return float(seconds) / sample * len(hashes)


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(n: int, threshold: int, frames: int, faiss: str | None = None) -> dict[str, float]:
    """Run one case in this process. Exits with a message where brute force disagrees."""
    hashes = library(n, frames)
    # Equal hashes are told as a star, not pair by pair: none here, so that brute force must find the same.
    if not frames:
        hashes = np.unique(hashes, axis=0)
    before = megabytes()
    start = time.process_time()
    if frames:
        groups = near_groups([hashes], np.full(len(hashes), 100), threshold)
        paired = np.concatenate([group.members for group in groups])
        found = len(paired)
    else:
        pairs, _ = pairs_within(hashes, threshold)
        paired, found = np.unique(pairs), len(pairs)
    seconds, peak = time.process_time() - start, megabytes()
    # Half of the sample from where pairs were found, half from anywhere.
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.permutation(len(hashes))[: SAMPLE // 2], rng.permutation(paired)[: SAMPLE // 2]])
    start = time.process_time()
    expected = brute_force(hashes, threshold, rows)
    # Half, as each pair counts once; not told for a time lapse, where making the set of pairs takes the time.
    brute = (time.process_time() - start) / SAMPLE * len(hashes) / 2 if not frames else float("nan")
    if not frames:
        got = {(i, j) for i, j in pairs[np.isin(pairs, rows).any(axis=1)].tolist()}
        if got != expected:
            sys.exit(f"wrong: {len(got ^ expected)} pairs differ from brute force")
    elif not {k for pair in expected for k in pair} <= set(paired.tolist()):
        sys.exit("wrong: a photo that has a near one is in no group")
    row = {"found": found, "seconds": seconds, "brute": brute, "before": before, "peak": peak, "sample": len(expected)}
    if faiss and not frames:
        row["faiss"] = faiss_seconds(faiss, hashes, threshold, pairs)
    return row


def measure_new(n: int, threshold: int) -> None:
    """Prints what searching for 10 to 10,000 new hashes among n takes, and checks that the pairs are those of all."""
    hashes = np.unique(library(n, 0), axis=0)
    hashes = hashes[np.random.default_rng(2).permutation(len(hashes))]
    whole, start = Search(hashes, threshold), time.process_time()
    for _ in whole.blocks():
        pass
    seconds, known = time.process_time() - start, whole.searched()
    assert known is not None
    expected = len(known.pairs)
    with tempfile.TemporaryDirectory() as folder:
        file, start = NearFile(Path(folder)), time.perf_counter()
        file.write({"pdq": known})
        written, start = time.perf_counter() - start, time.perf_counter()
        file.read()
        read = time.perf_counter() - start
        bytes_ = file.path.stat().st_size
    print(f"{n:,} at {threshold} bits: all {seconds:.2f} s; file {bytes_ / 1e6:.0f} MB, {written:.2f} s, {read:.2f} s")
    for new in (10, 100, 1000, 10_000):
        before = Searched(*_without(known, new), threshold)
        search, start = Search(hashes, threshold, before), time.process_time()
        found = np.unique(np.concatenate([i * n + j for (i, j) in (block.T for block, _ in search.blocks())]))
        took = time.process_time() - start
        if len(found) != expected:
            sys.exit(f"wrong: {len(found)} pairs, not {expected}")
        print(f"  {new:6,} new: {took:.2f} s{' (a search of all)' if search.whole else ''}", flush=True)
    print(f"  peak {megabytes():.0f} MB")


def measure_new_turned(n: int) -> None:
    """The same for hashes of which others are turned; the pairs are checked against those of a search of all."""
    hashes = library(n, 0)
    turned = np.arange(n // 50)
    hashes[turned] = turned_hashes(hashes[turned + n // 2], QUARTER)
    hashes = np.unique(hashes, axis=0)
    hashes = hashes[np.random.default_rng(2).permutation(len(hashes))]
    whole, start = TurnedSearch(hashes, TURN_BITS), time.process_time()
    expected = whole.pairs()
    seconds, count = time.process_time() - start, sum(map(len, expected.values()))
    print(f"{n:,} turned at {TURN_BITS} bits: all {seconds:.2f} s, {count:,} pairs")
    known = whole.searched()
    assert known is not None
    assert known.turns is not None
    for new in (10, 100, 1000, 10_000):
        left = len(known.words) - new
        kept = (known.pairs < left).all(axis=1)
        before = Searched(known.words[:left], known.pairs[kept], TURN_BITS, known.turns[kept])
        search, start = TurnedSearch(hashes, TURN_BITS, before), time.process_time()
        found = search.pairs()
        took = time.process_time() - start
        if any(not np.array_equal(found[turn], expected[turn]) for turn in expected):
            sys.exit("wrong: other pairs than a search of all finds")
        print(f"  {new:6,} new: {took:.2f} s{' (a search of all)' if search.whole else ''}", flush=True)


def _without(known: Searched, new: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """What was known before the last `new` hashes came."""
    left = len(known.words) - new
    return known.words[:left], known.pairs[(known.pairs < left).all(axis=1)]


def compare(photos: Path, imagededup: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        library = dupe_quality.scan(photos, Path(folder) / "library")
        started = time.process_time()
        groups = dupe_quality.ours(library)
        print(f"{len(groups)} groups in {time.process_time() - started:.1f} CPU seconds after the scan\n")
        methods = {
            "photoindex": dupe_quality.names_of(groups, photos),
            "plain PDQ at 31": dupe_quality.plain_pdq(library, photos),
        }
    if imagededup:
        methods["imagededup pHash at 10"] = dupe_quality.imagededup_phash(imagededup, photos)
    dupe_quality.print_table(methods, dupe_quality.Truth.read(photos))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="also a library of 1,000,000")
    parser.add_argument("--case", nargs=3, type=int, metavar=("N", "THRESHOLD", "FRAMES"), help=argparse.SUPPRESS)
    parser.add_argument("--photos", type=Path, help="labelled pictures: print what is found by transformation instead")
    parser.add_argument("--new", action="store_true", help="time searches that go on from an earlier one instead")
    parser.add_argument("--hashes", type=int, default=100_000, metavar="N", help="with --new: among how many")
    parser.add_argument("--faiss", metavar="PYTHON", help="an interpreter that has faiss-cpu, to compare with")
    parser.add_argument("--imagededup", metavar="PYTHON", help="an interpreter that has imagededup, to compare with")
    options = parser.parse_args()
    if options.photos:
        compare(options.photos.resolve(), options.imagededup)
        return
    if options.case:
        print(json.dumps(measure(*options.case, faiss=options.faiss)))
        return
    if options.new:
        for n in (options.hashes, 1_000_000) if options.million else (options.hashes,):
            measure_new(n, 31)
            measure_new_turned(n)
        return
    cases = [(100_000, 8, 0), (100_000, 31, 0), (100_000, 8, 3000), (100_000, 31, 3000), (100_000, 31, 20_000)]
    cases += [(1_000_000, 8, 0), (1_000_000, 31, 0)] if options.million else []
    print(f"{os.cpu_count()} cores, numpy {np.__version__}")
    print("CPU seconds, which other work on the machine changes little")
    print(
        "   hashes  bits  time lapse      found  seconds  brute force  faiss   peak MB (of it before)   sample checked"
    )
    for case in cases:
        command = [sys.executable, __file__, "--case", *map(str, case)]
        command += ["--faiss", options.faiss] if options.faiss else []
        row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        what = "photos" if case[2] else "pairs"
        brute = "" if case[2] else f"{row['brute']:.0f} s"
        faiss = f"{row['faiss']:.0f} s" if "faiss" in row else ""
        print(
            f"{case[0]:9,} {case[1]:5} {case[2]:11,} {row['found']:8,} {what:6} {row['seconds']:6.2f}"
            f" {brute:>12} {faiss:>6} {row['peak']:10.0f} ({row['before']:.0f}) {row['sample']:20,} pairs",
            flush=True,
        )


if __name__ == "__main__":
    main()
