"""Kill photoindex with SIGKILL at random moments, go on, and compare with what nobody disturbed.

    python scripts/kill_runs.py --kills 300

Each cycle begins with a library in a known state, starts a command, kills it at a random moment after it became the
library's writer, and starts it again: some times in a row, and then to its end. After each kill the library is opened
and examined: both stores agree, every row is one of the undisturbed library (or of its beginning), and no row that was
saved has gone or been made again. After the last run of a cycle everything in it is equal to the undisturbed library,
but for times. Ends with 1 and says what differed where anything did. Ctrl-C, SIGTERM and --seconds end it after the
cycle in work, with a summary of the kills that there were.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from early_end import asked_to_end
from scenes import THINGS, render_scene
from workplace import parser_of, tiny_models, workplace

from photoindex.store.library import Library
from photoindex.store.vectors import DOCUMENTS, image_table

PHOTOS, CHANGED = 24, 6
STEPS = ("--steps", "metadata,place,thumbnail,hash,embedding,tags", "--profile", "tiny", "--batch-size", "2")
# Columns that differ between any two runs (inodes: of copies), and tables that tell of the runs themselves.
TIMES = {"added_at", "done_at", "scanned_at", "started_at", "ended_at", "applied_at", "made_at", "decided_at", "ms"}
TIMES |= {"run_id", "missing_since", "inode", "seen_at", "created_at"}
OF_RUNS = {"runs", "run_steps", "run_ids", "schema_migrations"}
# A small library does here what a large one does seldom: compact in the middle of a scan. Counts what is analysed.
BUSY = """
import os
import photoindex.store.vectors as vectors
import photoindex.scan.writer as writer
import photoindex.scan.analyse as analyse
vectors._MAX_FRAGMENTS = 3
writer._PHOTOS_PER_DOCUMENT_COMMIT = 6
work = analyse.Analyser.analyse
def counted(self, pictures):
    done = work(self, pictures)
    with open(os.environ["KILL_RUNS_LOG"], "a") as log:
        log.write("x" * sum(bool(one.outcomes) for one in done))  # the others were known already
    return done
analyse.Analyser.analyse = counted
from photoindex.cli import main
main()
"""


@dataclass
class Scenario:
    """A command, the state of the home and photos before it, and what it comes to when nobody disturbs it."""

    name: str
    command: tuple[str, ...]
    start: Path
    is_writer: bool = True
    end: dict[str, Any] = field(default_factory=dict)
    begin: dict[str, Any] = field(default_factory=dict)
    seconds: float = 1.0


@dataclass
class Place:
    """A working copy: the home and the photos lie at the same paths in every cycle, so that rows are comparable."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def library(self) -> Path:
        return self.home / "default"

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    @property
    def log(self) -> Path:
        return self.folder / "analysed.log"

    def become(self, state: Path) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(state, self.folder, symlinks=True)

    def keep_as(self, state: Path) -> None:
        shutil.copytree(self.folder, state, symlinks=True)

    def start(self, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PHOTOINDEX_HOME": str(self.home), "KILL_RUNS_LOG": str(self.log)}
        called = [sys.executable, "-c", BUSY, *command]
        return subprocess.Popen(
            called, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, cwd=self.folder
        )

    def finish(self, command: tuple[str, ...], is_writer: bool = True) -> float:
        """Run a command to its end. Returns the seconds from the moment it became the writer."""
        started = time.monotonic()
        process = self.start(command)
        if is_writer and wait_for_writer(self, process):
            started = time.monotonic()
        _, err = process.communicate(timeout=600)
        if process.returncode not in (0, 1) or b"Traceback" in err:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{err.decode()}")
        return time.monotonic() - started


def wait_for_writer(place: Place, process: subprocess.Popen[bytes]) -> bool:
    """Until the process holds the library's lock; False where it ended before that, or needs none."""
    while process.poll() is None:
        try:
            if json.loads((place.library / "writer.json").read_text())["pid"] == process.pid:
                return True
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.01)
    return False


# -- what a library holds


def contents(folder: Path) -> dict[str, Any]:
    """Every row of the catalog and of the vectors, in order, and every thumbnail, but for times."""
    library = Library.open(folder)
    found: dict[str, Any] = {}
    with library.catalog.file.read() as con:
        here = "database_name = current_database()"
        tables = con.execute(f"SELECT table_name FROM duckdb_tables() WHERE {here} ORDER BY 1").fetchall()
        for (table,) in tables:
            if table in OF_RUNS:
                continue
            columns = con.execute(
                f"SELECT column_name FROM duckdb_columns() WHERE {here} AND table_name = ? ORDER BY column_index",
                [table],
            ).fetchall()
            kept = ", ".join(name for (name,) in columns if name not in TIMES)
            found[table] = con.execute(f"SELECT {kept} FROM {table} ORDER BY ALL").fetchall()
    for table in library.vectors.tables():
        rows = library.vectors._dataset(table).to_table().to_pylist()
        found[f"lance {table}"] = sorted((tuple(row.values()) for row in rows), key=lambda row: row[:2])
    cache = folder / "cache" / "thumbnails"
    found["thumbnails"] = sorted((p.name, p.read_bytes()) for p in cache.rglob("*") if p.is_file())
    return found


def alike(a: Any, b: Any) -> bool:
    """Equal; numbers that a model computed may differ in what the size of its batch does to the last bits."""
    if isinstance(a, float) and isinstance(b, float | int):
        return abs(a - b) <= 4e-3 * max(1.0, abs(a))
    if isinstance(a, np.ndarray):
        return np.allclose(a, b, atol=4e-3)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return bool(a == b)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    found = []
    for table in sorted({*one, *other}):
        mine, theirs = one.get(table, []), other.get(table, [])
        if not alike(mine, theirs):
            odd = [pair for pair in zip(mine, theirs, strict=False) if not alike(*pair)][:2]
            found.append(f"{table}: {len(mine)} rows, undisturbed {len(theirs)}; {str(odd)[:600]}")
    return found


def ledger(folder: Path) -> set[tuple[Any, ...]]:
    """What is done, with the moment at which it was done: a row that is made again has another one."""
    with Library.open(folder).catalog.file.read() as con:
        return set(con.execute("SELECT photo_id, step, model, done_at FROM ledger WHERE status = 'done'").fetchall())


def examine(scenario: Scenario, folder: Path) -> list[str]:
    """What is wrong with a library whose writer was killed."""
    if not (folder / "catalog.duckdb").is_file():
        return [] if not scenario.begin else ["the library is gone"]
    library = Library.open(folder)
    wrong = []
    tables = {name: set(library.vectors.ids(name).tolist()) for name in library.vectors.tables()}
    with library.catalog.file.read() as con:
        done = con.execute(
            "SELECT photo_id, step, model, sha256 FROM ledger JOIN photos USING (photo_id) WHERE status = 'done'"
        ).fetchall()
        due = {row[0] for row in con.execute("SELECT photo_id FROM documents_due").fetchall()}
        known = [
            row[0] for row in con.execute("SELECT photo_id FROM photos SEMI JOIN files USING (photo_id)").fetchall()
        ]
    for photo_id, step, model, sha256 in done:
        if step == "embedding" and photo_id not in tables.get(image_table(model), set()):
            wrong.append(f"{sha256[:12]} has no vector of {model}")
        if step == "thumbnail" and not library.thumbnail_path(sha256).is_file():
            wrong.append(f"{sha256[:12]} has no thumbnail")
    wrong += [f"{i} has no document and none is due" for i in known if i not in due | tables.get(DOCUMENTS, set())]
    now = contents(folder)
    for table in ("files", "photos", "metadata", "hashes", "places"):
        allowed = {str(row) for state in (scenario.begin, scenario.end) for row in state.get(table, ())}
        wrong += [f"{table}: {row} is of no state" for row in now[table] if str(row) not in allowed][:3]
    library.queries.status()
    return wrong


# -- the scenarios


def draw(folder: Path, numbers: range, seed: int = 0) -> None:
    things = list(THINGS)
    folder.mkdir(parents=True, exist_ok=True)
    for n in numbers:
        render_scene(f"a {things[n % len(things)]}", seed=seed + n).save(folder / f"{n:02}.png")


def models(home: Path) -> None:
    """tiny-clip, and better-clip beside it: the same weights under another name."""
    home.mkdir(parents=True)
    blocks = tiny_models()
    better = blocks.partition("[profiles.tiny]")[0].replace("tiny-clip]", "better-clip]")
    (home / "models.toml").write_text(blocks + better.replace('embedding = "tiny-clip"', 'embedding = "better-clip"'))


def change(photos: Path) -> None:
    """Some move with their folder, some are renamed, copied, edited or deleted, and some are new."""
    (photos / "b").rename(photos / "holiday")
    (photos / "a" / "00.png").rename(photos / "a" / "renamed.png")
    shutil.copy(photos / "a" / "01.png", photos / "a" / "copy.png")
    draw(photos / "a", range(2, 2 + CHANGED), seed=500)
    (photos / "a" / "11.png").unlink()
    draw(photos / "new", range(CHANGED), seed=900)


def prepare(place: Place, states: Path, only: set[str], old: Path | None) -> list[Scenario]:
    """Make the states that commands begin with."""
    models(place.home)
    draw(place.photos / "a", range(PHOTOS // 2))
    draw(place.photos / "b", range(PHOTOS // 2, PHOTOS))
    scan = ("scan", str(place.photos), *STEPS)
    place.finish(scan)
    place.finish(("models", "use", "better-clip"))  # makes its form, once for all
    shutil.rmtree(place.library)
    place.log.unlink(missing_ok=True)
    place.keep_as(states / "new")
    place.finish(scan)
    place.log.unlink(missing_ok=True)
    place.keep_as(states / "scanned")
    change(place.photos)
    place.keep_as(states / "changed")
    backup = ("backup", str(place.folder / "backup.zip"), "--force")
    if not only or "restore" in only:
        place.become(states / "scanned")
        place.finish(backup)
        place.keep_as(states / "backed up")
    found = [
        Scenario("scan", scan, states / "new"),
        Scenario("changes", scan, states / "changed"),
        Scenario("use", ("models", "use", "better-clip"), states / "scanned"),
        Scenario("rescan", (*scan, "--rescan", "thumbnail", "--rescan", "embedding"), states / "scanned"),
    ]
    found += [
        Scenario("compact", ("compact",), states / "scanned"),
        Scenario("backup", backup, states / "scanned", is_writer=False),
        Scenario("restore", ("restore", backup[1], "--force"), states / "backed up"),
    ]
    if old is not None:
        make_old(place, states, scan, old)
        found.append(Scenario("migrate", scan, states / "old"))
    return [one for one in found if not only or one.name in only]


def make_old(place: Place, states: Path, scan: tuple[str, ...], old: Path) -> None:
    """A library of the program in another folder, which has an earlier schema. Ends the run if that cannot."""
    place.become(states / "new")
    env = {**os.environ, "PHOTOINDEX_HOME": str(place.home), "PYTHONPATH": str(old)}
    ran = subprocess.run(
        [sys.executable, "-m", "photoindex", *scan], env=env, check=False, capture_output=True, text=True
    )
    if ran.returncode not in (0, 1):
        said = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SystemExit(
            f"The program in {old} cannot make a library to migrate (exit code {ran.returncode}):\n{said}\n"
            "Give --old the src folder of a later commit, which knows these options and this models.toml."
        )
    place.keep_as(states / "old")


def undisturbed(place: Place, scenario: Scenario) -> None:
    place.become(scenario.start)
    scenario.begin = contents(place.library) if place.library.is_dir() else {}
    scenario.seconds = place.finish(scenario.command, scenario.is_writer)
    scenario.end = contents(place.library)


# -- killing


@dataclass
class Figures:
    kills: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    repeated: list[int] = field(default_factory=list)
    again: int = 0
    wrong: list[str] = field(default_factory=list)


def cycle(place: Place, scenario: Scenario, kills: int, moments: random.Random, figures: Figures) -> None:
    place.become(scenario.start)
    for _ in range(kills):
        had = ledger(place.library) if (place.library / "catalog.duckdb").is_file() else set()
        place.log.unlink(missing_ok=True)
        if not kill_at_random(place, scenario, moments):
            figures.too_late += 1
            break
        figures.kills[scenario.name] += 1
        figures.wrong += [f"{scenario.name}: {what}" for what in examine(scenario, place.library)]
        if not (place.library / "catalog.duckdb").is_file():
            continue
        now = ledger(place.library)
        if scenario.name in ("scan", "changes", "use"):
            figures.again += len({row[:3] for row in had - now} & {row[:3] for row in now})
            analysed = place.log.stat().st_size if place.log.exists() else 0
            figures.repeated.append(max(0, analysed - len({row[0] for row in now - had})))
    place.finish(scenario.command)
    left = differences(contents(place.library), scenario.end)
    if scenario.name == "backup":
        place.finish(("restore", scenario.command[1], "--library", str(place.folder / "restored")), is_writer=False)
        left += differences(contents(place.folder / "restored"), scenario.end)
    figures.wrong += [f"{scenario.name}, after {kills} kills: {what}" for what in left]


def kill_at_random(place: Place, scenario: Scenario, moments: random.Random) -> bool:
    """False where the command had ended before."""
    process = place.start(scenario.command)
    if scenario.is_writer:
        wait_for_writer(place, process)
    time.sleep(moments.uniform(0, scenario.seconds))
    everything = moments.random() < 0.5  # as when the machine goes, or the main process alone, as the system does it
    ended = process.poll() is not None
    if everything and not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        raise SystemExit("decode workers outlive a killed scan")
    return not ended


def main() -> int:
    parser = parser_of(__doc__, "begin no cycle after so long")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--in-a-row", type=int, default=3, help="kills of one command before it may end")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--only", default="", help="scenarios, separated by commas")
    parser.add_argument("--old", type=Path, help="the src folder of an earlier version, whose library is migrated")
    given = parser.parse_args()
    over = asked_to_end(given.seconds)
    with workplace(given.folder, "states", "work") as folder:
        return run(folder, given, over)


def run(folder: Path, given: argparse.Namespace, over: threading.Event) -> int:
    place, moments, figures = Place(folder / "work"), random.Random(given.seed), Figures()
    scenarios = prepare(place, folder / "states", set(filter(None, given.only.split(","))), given.old)
    for scenario in scenarios:
        undisturbed(place, scenario)
        print(f"{scenario.name}: {scenario.seconds:.1f} s undisturbed", flush=True)
    turn = itertools.count()
    while sum(figures.kills.values()) < given.kills and figures.too_late < given.kills + 20 and not over.is_set():
        cycle(place, scenarios[next(turn) % len(scenarios)], given.in_a_row, moments, figures)
        print(f"{sum(figures.kills.values())} kills, {len(figures.wrong)} wrong", *figures.wrong[-3:], flush=True)
    told = ", ".join(f"{count} of {name}" for name, count in figures.kills.items())
    print(f"{sum(figures.kills.values())} kills ({told}); {figures.too_late} times the command had ended before.")
    print(f"Rows of the ledger that were saved and made again: {figures.again}.")
    lost = Counter(figures.repeated)
    print(f"Photos analysed and not yet saved, in batches of 2: {dict(sorted(lost.items()))} (photos: times).")
    print(f"Wrong: {len(figures.wrong)}", *figures.wrong, sep="\n")
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
