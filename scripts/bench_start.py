"""How long short commands take from the start of their process, beside a Python that does nothing, in one run.

    uv run python scripts/bench_start.py [--rounds 8] [--keep FOLDER] [--profile]

Scans 120 small pictures with the text and image towers of a ViT-B-32-256 of random weights (speed does not depend on
them); --keep keeps that for the next run. Commands take turns, so that other work on the machine harms all alike. Shown
are wall and processor milliseconds (user and system) of whole processes. Byte-code is written to a folder of its own
first, as an installed program has it. --profile also tells where `search` spends its imports.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_scan import make_home

_TAB = {"_PHOTOINDEX_COMPLETE": "complete_bash", "COMP_WORDS": "photoindex\nsearch\ncamera\n:\nk", "COMP_CWORD": "4"}
_PHOTOINDEX = ("-m", "photoindex")
_AS_INSTALLED = "import sys; sys.argv = ['photoindex']; from photoindex.cli import run; run()"
# Name, arguments of Python, environment.
COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "python -c pass": (("-c", "pass"), {}),
    "photoindex --help": ((*_PHOTOINDEX, "--help"), {}),
    "completing camera:k": (("-c", _AS_INSTALLED), _TAB),
    "search --after 2000": ((*_PHOTOINDEX, "search", "--after", "2000"), {}),
    "search WORDS --mode keyword": ((*_PHOTOINDEX, "search", "harbour", "--mode", "keyword"), {}),
    "search WORDS (hybrid)": ((*_PHOTOINDEX, "search", "a boat in the harbour"), {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--keep", type=Path, help="make the library there, or use the one that is there")
    parser.add_argument("--profile", action="store_true", help="also list the imports of a search that take longest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="photoindex-bench-") as temporary:
        home = options.keep or Path(temporary) / "home"
        env = environment(home)
        if not (home / "default").exists():
            make_library(home, env)
        measure(env, options.rounds)
        if options.profile:
            profile(env)


def environment(home: Path) -> dict[str, str]:
    env = {**os.environ, "PHOTOINDEX_HOME": str(home), "PYTHONPYCACHEPREFIX": str(home / "byte-code")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def make_library(home: Path, env: dict[str, str]) -> None:
    from PIL import Image
    from skimage import data

    make_home(home)
    photos = home / "photos"
    photos.mkdir()
    for number in range(120):
        picture = Image.fromarray(data.astronaut()).rotate(3 * number)
        exif = Image.Exif()
        exif[0x0110] = f"Kamera K-{number % 3}"
        picture.save(photos / f"harbour {number}.jpg", exif=exif)
    command = ["scan", str(photos), "--profile", "bench", "--steps", "metadata,embedding,hash"]
    subprocess.run([sys.executable, *_PHOTOINDEX, *command], env=env, check=True, stdout=subprocess.DEVNULL)


def measure(env: dict[str, str], rounds: int) -> None:
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 1):
        for name in COMMANDS:
            cost = cost_of(name, env)
            if turn:  # the first one writes byte-code and warms the disk
                costs[name].append(cost)
    idle_wall, idle_cpu = (statistics.median(each) for each in zip(*costs["python -c pass"], strict=True))
    print(f"{'':30s} {'wall ms':>8s} {'least':>8s} {'beyond':>8s} {'CPU ms':>8s} {'least':>8s} {'beyond':>8s}")
    for name, found in costs.items():
        cells = []
        for values, idle in zip(zip(*found, strict=True), (idle_wall, idle_cpu), strict=True):
            median = statistics.median(values)
            cells += [median, min(values), median - idle]
        print(f"{name:30s} " + " ".join(f"{1e3 * cell:8.0f}" for cell in cells))


def cost_of(name: str, env: dict[str, str]) -> tuple[float, float]:
    """Seconds of the clock and of processors of one process. Raises CalledProcessError where it fails."""
    arguments, more = COMMANDS[name]
    began, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], env={**env, **more}, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, cpu


def profile(env: dict[str, str]) -> None:
    arguments, _ = COMMANDS["search WORDS (hybrid)"]
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        env=env,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    rows = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)", ran.stderr)
    print(f"\n{'of a search, by import:':40s} {'own ms':>8s} {'with all':>8s}")
    for own, whole, _, module in sorted(rows, key=lambda row: -int(row[1]))[:40]:
        print(f"{module:40s} {int(own) / 1e3:8.1f} {int(whole) / 1e3:8.1f}")


if __name__ == "__main__":
    main()
