"""Damage copies of good pictures in every way and scan them with the real decode workers.

    python scripts/mutate_files.py FOLDER [--count 20000] [--seed 1] [--part 500] [--seconds N] [--keep DIR]

Formats take turns, so that rare ones are met as often as JPEG. Each part is made, scanned (metadata, thumbnail, hash)
by the command in a process of its own, checked and removed. What is checked: the command ends with 0 or 1, every file
is either analysed or a failure with a code and a sentence, and the main process stays within --main-memory. Files
whose decoder had to be ended are copied to --keep. The same seed gives the same files. Ctrl-C, SIGTERM and --seconds
end it after the part in work, with a summary of the files that there were.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from early_end import asked_to_end

from photoindex.media.formats import PICTURE_SUFFIXES, sniff
from photoindex.pure.sizes import parse_size, show_size

_LIES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_ENDED = {"decoder_died", "time_limit", "decoder_forked", "over_memory", "crashed"}


@dataclass
class Tally:
    files: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    main_memory: int = 0
    seconds: float = 0.0


def good_files(folder: Path, largest: int) -> dict[str, list[bytes]]:
    """The bytes of all pictures below `folder`, by format."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES and 64 < path.stat().st_size <= largest:
            data = path.read_bytes()
            kind = sniff(data)
            found[_format(kind.format or "", path)].append(data)
    found.pop("", None)
    return found


def _format(name: str, path: Path) -> str:
    """Raw files look like TIFF, and are told by their suffix."""
    return path.suffix[1:].upper() if name == "TIFF" and path.suffix.lower() not in (".tif", ".tiff") else name


def flip(data: bytearray, _: bytes, rng: random.Random) -> bytes:
    for _n in range(rng.randint(1, 64)):
        at = rng.randrange(min(len(data), rng.choice((64, 1024, len(data)))))
        data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def scramble(data: bytearray, _: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    size = min(rng.randint(1, 4096), len(data) - at)
    data[at : at + size] = rng.randbytes(size)
    return bytes(data)


def cut(data: bytearray, _: bytes, rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def splice(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    """The beginning of one and the end of another."""
    return bytes(data[: rng.randrange(len(data))]) + other[rng.randrange(len(other)) :]


def lie(data: bytearray, _: bytes, rng: random.Random) -> bytes:
    """A number somewhere in the header says something else: sizes, counts, offsets."""
    for _n in range(rng.randint(1, 4)):
        width = rng.choice((2, 4))
        at = rng.randrange(max(1, min(len(data), rng.choice((64, 512, 4096))) - width))
        value = rng.choice(_LIES) & ((1 << 8 * width) - 1)
        data[at : at + width] = value.to_bytes(width, rng.choice(("big", "little")))
    return bytes(data)


def drop(data: bytearray, _: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    del data[at : at + rng.randint(1, 1024)]
    return bytes(data)


def repeat(data: bytearray, _: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    part = data[at : at + rng.randint(1, 4096)]
    data[at:at] = part * rng.randint(1, 20)
    return bytes(data)


def blank(data: bytearray, _: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    size = min(rng.choice((16, 512, 65536)), len(data) - at)
    data[at : at + size] = bytes(size)
    return bytes(data)


MUTATIONS: tuple[Callable[[bytearray, bytes, random.Random], bytes], ...] = (
    *(flip, scramble, cut, splice, lie, lie, drop, repeat, blank),
)


def mutants(good: dict[str, list[bytes]], rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """Format, mutation and bytes, without end."""
    while True:
        for name, files in good.items():
            mutation = rng.choice(MUTATIONS)
            yield name, mutation.__name__, mutation(bytearray(rng.choice(files)), rng.choice(files), rng)


def write_part(folder: Path, made: Iterator[tuple[str, str, bytes]], first: int, count: int) -> Counter[str]:
    """Files named by number, mutation and format; the suffix is right for raw files, which are told by it."""
    written: Counter[str] = Counter()
    for number in range(first, first + count):
        name, mutation, data = next(made)
        suffix = f".{name.lower()}" if f".{name.lower()}" in PICTURE_SUFFIXES else ".jpg"
        (folder / f"{number:06} {mutation} {name}{suffix}").write_bytes(data)
        written[name] += 1
    return written


def scan(folder: Path, home: Path, options: list[str], tally: Tally) -> None:
    """Scan as a user would, watching the main process. Exits where the command did not end in order."""
    environment = {**os.environ, "PHOTOINDEX_HOME": str(home)}
    command = [sys.executable, "-m", "photoindex", "scan", str(folder), "--steps", "metadata,thumbnail,hash"]
    started = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [*command, *options], env=environment, stdout=out, stderr=out, start_new_session=True
        )
        while process.poll() is None:
            tally.main_memory = max(tally.main_memory, _peak(process.pid))
            time.sleep(0.2)
        out.seek(0)
        said = out.read().decode(errors="replace")
    tally.seconds += time.monotonic() - started
    if process.returncode not in (0, 1):
        sys.exit(f"the scan of {folder} ended with {process.returncode}:\n{said[-4000:]}")


def _peak(process: int) -> int:
    """The most memory that a process has had so far, in bytes."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    return 0


def check(folder: Path, home: Path, tally: Tally, keep: Path | None) -> None:
    """Every file is analysed or a failure with a code and a sentence; exits where one is neither."""
    asked = [sys.executable, "-m", "photoindex", "failures", "--format", "json"]
    said = subprocess.run(asked, env={**os.environ, "PHOTOINDEX_HOME": str(home)}, capture_output=True, check=True)
    failures = {row["path"]: row for row in json.loads(said.stdout)}
    for path, row in failures.items():
        tally.failed[_format_of(path)] += 1
        tally.codes[row["code"]] += 1
        if not row["code"] or len(row["message"]) < 20:
            sys.exit(f"no sensible reason: {row}")
        if keep is not None and row["code"] in _ENDED:
            shutil.copy2(path, keep / f"{row['code']} {os.path.basename(path)}")
            (keep / f"{row['code']} {os.path.basename(path)}.txt").write_text(row["message"])
    analysed = _analysed(home)
    lost = [path for path in map(str, folder.iterdir()) if path not in failures and path not in analysed]
    if lost:
        sys.exit(f"{len(lost)} files are neither analysed nor failures: {lost[:5]}")


def _analysed(home: Path) -> set[str]:
    """Files of photos whose every step is done."""
    from photoindex.store.library import Library

    with Library.open(home / "default").catalog.file.read() as con:
        rows = con.execute(
            "SELECT f.path FROM files f WHERE (SELECT count(*) FROM ledger l WHERE l.photo_id = f.photo_id"
            " AND l.step IN ('metadata', 'thumbnail', 'hash') AND l.status = 'done') = 3"
        ).fetchall()
    return {os.fsdecode(path) for (path,) in rows}


def _format_of(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0].rpartition(" ")[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", type=int, default=500)
    parser.add_argument("--seconds", type=float, help="begin no part after so long")
    parser.add_argument("--largest", type=parse_size, default=parse_size("400K"), help="of the good files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--time-limit", type=float, default=10.0)
    parser.add_argument("--max-memory", default="4G")
    parser.add_argument("--main-memory", type=parse_size, default=parse_size("1200M"))
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    over = asked_to_end(asked.seconds)
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    good = good_files(asked.folder, asked.largest)
    if not good:
        sys.exit(f"no pictures of up to {show_size(asked.largest)} below {asked.folder}")
    made, tally = mutants(good, random.Random(asked.seed)), Tally()
    options = ["--workers", str(asked.workers), "--max-memory", asked.max_memory, "--time-limit", str(asked.time_limit)]
    for first in range(0, asked.count, asked.part):
        with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
            folder, home = Path(scratch, "photos"), Path(scratch, "home")
            folder.mkdir()
            tally.files += write_part(folder, made, first, min(asked.part, asked.count - first))
            scan(folder, home, [*options, "--format", "json"], tally)
            check(folder, home, tally, asked.keep)
        spent = f"{tally.seconds:,.0f} s, main process {show_size(tally.main_memory)}"
        print(f"{sum(tally.files.values()):,} files in {spent}, {dict(tally.codes)}", flush=True)
        if over.is_set():
            break
    report(tally)
    if tally.main_memory > asked.main_memory:
        sys.exit(f"the main process took {show_size(tally.main_memory)}")


def report(tally: Tally) -> None:
    for name, count in sorted(tally.files.items()):
        print(f"{name:10} {count:7,} files, {tally.failed[name]:7,} failures ({tally.failed[name] / count:.0%})")
    for code, count in tally.codes.most_common():
        print(f"{code:20} {count:7,}")
    print(f"all {sum(tally.files.values()):,} files, {sum(tally.failed.values()):,} failures,", end=" ")
    print(f"main process at most {show_size(tally.main_memory)}, {tally.seconds:,.0f} s")


if __name__ == "__main__":
    main()
