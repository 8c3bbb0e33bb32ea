"""A library under load for a long time: counts must be exact, memory and file descriptors flat.

    python scripts/soak.py --files 100000

Small pictures are drawn, scanned, moved, half of them deleted, a tenth changed, and scanned again after each step,
while other processes search all the time. After each scan the catalog's counts are compared with what was done to the
files. Then the same process scans many times over, and its memory and open files are measured before and after.
Needs about 25 KB of disk for each file. Ends with 1 where anything was wrong. Ctrl-C, SIGTERM and --seconds end the
scan in work and with it the run, which tells what it has found by then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from early_end import asked_to_end
from PIL import Image
from workplace import parser_of, tiny_models, workplace

A_FOLDER = 500
# Runs in one process: scans again and again, and tells its memory and open files after each.
REPEAT = """
import gc, json, os, sys
from photoindex.cli.options import registry_of
from photoindex.config import read_settings
from photoindex.scan import ScanOptions, scan
from photoindex.store.library import Library

def main():
    root, times, steps, profile = sys.argv[1], int(sys.argv[2]), tuple(sys.argv[3].split(",")), sys.argv[4]
    settings = read_settings(None)
    for n in range(times):
        for at in range(3):  # a few files change each time, so that workers and writer run
            with open(os.path.join(root, f"touched {at}.jpg"), "r+b") as stream:
                stream.seek(0, 2)
                stream.write(b"%d" % n)
        with Library.writing(settings.library) as library:
            options = ScanOptions(steps=steps, profile=profile or None, workers=1)
            report = scan(library, [root], registry_of(settings), settings.models_dir, options)
            assert report.analysed == 3 and report.failed == 0, report
        gc.collect()
        with open("/proc/self/statm") as statm:
            held = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        print(json.dumps({"rss": held, "files": len(os.listdir("/proc/self/fd"))}), flush=True)

if __name__ == "__main__":
    main()
"""


class EndedEarly(Exception):
    """With what was being done, and what is known of that."""


@dataclass
class Watch:
    """The greatest memory and number of open files of a process, looked at four times a second."""

    process: int
    rss: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.wait(0.25):
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{self.process}/statm").read_text().split()
                self.rss.append(int(fields[1]) * os.sysconf("SC_PAGE_SIZE"))
                self.files.append(len(os.listdir(f"/proc/{self.process}/fd")))

    def told(self) -> str:
        """Of the third quarter and the last, when everything is loaded: what grows, grows there."""
        quarter = max(1, len(self.rss) // 4)
        late, last = self.rss[2 * quarter : 3 * quarter] or [0], self.rss[3 * quarter :] or [0]
        files = self.files[2 * quarter : 3 * quarter] or [0], self.files[3 * quarter :] or [0]
        return (
            f"memory {max(late) >> 20} MB, then {max(last) >> 20} MB; open files {max(files[0])}, then {max(files[1])}"
        )


@dataclass
class Soak:
    folder: Path
    steps: str
    profile: str
    over: threading.Event
    wrong: list[str] = field(default_factory=list)
    searches: int = 0
    slowest_s: float = 0.0

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PHOTOINDEX_HOME": str(self.folder / "home")}

    def photoindex(self, *arguments: str | Path, ok: tuple[int, ...] = (0,)) -> Any:
        ran = subprocess.run(
            [sys.executable, "-m", "photoindex", *map(str, arguments), "--format", "json"],
            env=self.env,
            capture_output=True,
            check=False,
            start_new_session=True,
        )
        if ran.returncode not in ok:
            self.wrong.append(f"{arguments[0]} ended with {ran.returncode}: {ran.stderr.decode()[-500:]}")
            return None
        return json.loads(ran.stdout)

    def scan(self, what: str, expected: dict[str, int], *options: str) -> None:
        """A scan while others search; `expected`: numbers of its report and of the library's status."""
        chosen = ("--profile", self.profile) if self.profile else ()
        command = [sys.executable, "-m", "photoindex", "scan", str(self.photos), "--steps", self.steps]
        began = time.monotonic()
        with subprocess.Popen(
            [*command, *chosen, *options, "--format", "json"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            watch = Watch(process.pid)
            threads = [threading.Thread(target=watch.run), threading.Thread(target=self._search, args=(watch.over,))]
            for thread in threads:
                thread.start()
            out, err = self._waited_for(process)
            watch.over.set()
            for thread in threads:
                thread.join()
        if self.over.is_set():
            raise EndedEarly(f"{what}, after {time.monotonic() - began:.0f} s: {watch.told()}")
        if process.returncode != 0:
            self.wrong.append(f"{what}: ended with {process.returncode}: {err.decode()[-800:]}")
            return
        found = {**self.photoindex("status"), **json.loads(out)}
        counts = {name: found[name] for name in expected}
        if counts != expected:
            self.wrong.append(f"{what}: {counts}, expected {expected}")
        done, took = found["analysed"], time.monotonic() - began
        print(f"{what}: {took:.0f} s, {done:,} analysed; {watch.told()}; {counts}", flush=True)

    def _waited_for(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """What a scan says; once the run is to end, so is the scan."""
        while not self.over.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=0.5)
        process.send_signal(signal.SIGINT)
        return process.communicate()

    def _search(self, over: threading.Event) -> None:
        """Other processes ask the whole time; none may fail once there is a library."""
        while not over.wait(1.0):
            if (self.folder / "home" / "default" / "catalog.duckdb").exists():
                began = time.monotonic()
                self.photoindex("search", "folder", "--mode", "keyword", "--limit", "20")
                self.searches += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def draw(folder: Path, count: int, first: int = 0) -> None:
    """Pictures of 64 x 48 whose bytes all differ: a few bases with another number behind the end of each."""
    bases = []
    for seed in range(50):
        values = np.random.default_rng(seed)
        small = values.integers(0, 256, (6, 8, 3), np.uint8)
        data = BytesIO()
        Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC).save(data, "JPEG", quality=80)
        bases.append(data.getvalue())
    for n in range(first, first + count):
        place = folder / f"folder {n // A_FOLDER:03}"
        if n % A_FOLDER == 0 or n == first:
            place.mkdir(parents=True, exist_ok=True)
        (place / f"{n:06}.jpg").write_bytes(bases[n % len(bases)] + b"%d" % n)


def pictures(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


def soak(run: Soak, count: int) -> None:
    run.photos.mkdir(parents=True)
    draw(run.photos, count)
    run.scan("first", {"found": count, "analysed": count, "photos": count, "files": count, "failed": 0, "missing": 0})
    run.scan("nothing changed", {"found": count, "unchanged": count, "analysed": 0, "due": 0})

    for place in sorted(run.photos.iterdir()):
        place.rename(run.photos / f"moved {place.name}")
    run.scan("every folder moved", {"found": count, "moved": count, "due": 0, "photos": count, "files": count})

    gone = pictures(run.photos)[::2]
    for path in gone:
        path.unlink()
    left = count - len(gone)
    run.scan(
        "half deleted",
        {"found": left, "missing": len(gone), "due": 0, "photos": count, "files": count},
        "--accept-missing",
    )

    changed = pictures(run.photos)[::10]
    for path in changed:
        with path.open("ab") as stream:
            stream.write(b"changed")
    run.scan("a tenth of the rest changed", {"found": left, "analysed": len(changed), "files": count, "failed": 0})

    draw(run.photos / "again", count // 10, first=0)  # copies of what is known, under new names
    copies = count // 10
    new = sum(int(path.stem) < copies for path in changed)  # what a file held before it was edited was forgotten
    run.scan("copies of a tenth", {"found": left + copies, "photos": count + new, "files": count + copies, "failed": 0})
    run.scan("nothing changed", {"found": left + copies, "unchanged": left + copies, "due": 0})


def repeat(run: Soak, times: int) -> None:
    """Scans by one process, as `scan --watch` does."""
    root = run.folder / "few"
    draw(root, 200, first=10_000_000)
    for n in range(3):
        shutil.copy(pictures(root)[n], root / f"touched {n}.jpg")
    run.photoindex("scan", root, "--steps", run.steps, *(("--profile", run.profile) if run.profile else ()))
    script = run.folder / "repeat.py"
    script.write_text(REPEAT)
    arguments = [str(root), str(times), run.steps, run.profile]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [sys.executable, script, *arguments], env=run.env, stdout=out, stderr=err, start_new_session=True
        )
        while process.poll() is None and not run.over.wait(0.5):
            pass
        process.kill()  # one that has ended does not mind
        ended = process.wait()
        out.seek(0)
        err.seek(0)
        held = [json.loads(line) for line in out if line.startswith("{") and line.endswith("}\n")]
        said = err.read()
    if ended != 0 and not run.over.is_set():
        run.wrong.append(f"scans by one process: {said[-800:]}")
    if not held:
        return
    rss, files = [one["rss"] >> 20 for one in held], [one["files"] for one in held]
    half = len(held) // 2
    print(
        f"{len(held)} of {times} scans by one process:"
        f" memory {rss[0]}, {rss[half]}, {rss[-1]} MB at the first, middle and last;",
        end=" ",
    )
    print(f"open files {files[0]}, {files[half]}, {files[-1]}")
    if files[-1] > files[half] + 3:
        run.wrong.append(f"open files grow: {files}")
    if rss[-1] > rss[half] * 1.1 + 20:
        run.wrong.append(f"memory grows: {rss}")


def main() -> int:
    parser = parser_of(__doc__, "end the scan in work, and the run, after so long")
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=20, help="scans by one process")
    parser.add_argument("--steps", default="metadata,place,thumbnail,hash")
    parser.add_argument("--tiny", action="store_true", help="with the small model of tests/tiny_clip")
    given = parser.parse_args()
    over = asked_to_end(given.seconds)
    with workplace(given.folder, "home", "photos", "few") as folder:
        return run_in(folder, given, over)


def run_in(folder: Path, given: argparse.Namespace, over: threading.Event) -> int:
    steps = f"{given.steps},embedding,tags" if given.tiny else given.steps
    run = Soak(folder, steps, "tiny" if given.tiny else "", over)
    (folder / "home").mkdir(parents=True)
    if given.tiny:
        (folder / "home" / "models.toml").write_text(tiny_models())
    try:
        soak(run, given.files)
        repeat(run, given.repeats)
    except EndedEarly as end:
        print(f"Ended early in: {end}")
    print(f"{run.searches} searches by other processes meanwhile, the slowest {run.slowest_s:.1f} s (whole process)")
    size = sum(p.stat().st_size for p in (folder / "home" / "default").rglob("*") if p.is_file())
    print(f"The library takes {size / 1e6:,.0f} MB.")
    print(f"Wrong: {len(run.wrong)}", *run.wrong, sep="\n")
    return 1 if run.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
