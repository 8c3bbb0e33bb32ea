"""Measuring the candidates of a model on this machine, keeping what was found, and choosing by it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from photoindex.events import timed
from photoindex.records import AUTOMATIC, RuntimeOptions
from photoindex.runtimes.apart import Disturbed, run_module
from photoindex.runtimes.candidates import COMPILED, Candidate, Purpose
from photoindex.runtimes.faults import one_line
from photoindex.runtimes.fingerprint import fingerprint
from photoindex.runtimes.measure import Measurement
from photoindex.runtimes.session import Arrays

FORMAT = 1
SIZES: Mapping[str, tuple[int, ...]] = {"cpu": (1, 2, 4, 8), "cuda": (1, 8, 16, 32, 64), "mps": (1, 4, 8, 16, 32)}
_OTHER_SIZES = (1, 4, 8, 16)
_SLOW_STARTERS = ("cuda", "tensorrt", "coreml", "dml", "mps", "gpu", "npu")  # kernels are made at the first runs
# One run stays well under a second, so that Ctrl-C is obeyed.
RUN_S = 0.5
# A larger batch takes more memory: it must be this much faster to be chosen.
_WORTH = 1.02
_KEPT = 8
# How near to the best a candidate must be to be measured again: look after look, the field narrows.
_NEAR = (0.5, 0.75, 0.85, 0.85)
# The part of the budget that the first look, at all candidates, may take for its runs.
_FIRST = 0.25
# The longest that the runs of a further look may take, in seconds.
_LOOK_S = 3.0
# What a process takes before it measures: imports, loading, the first runs. Beyond that it is taken to hang.
_GRACE_S = 30.0
# Signals by which somebody ends a process, or the system does for want of memory; those of a crash are the runtime's.
_FROM_OUTSIDE = {signal.SIGINT, signal.SIGTERM, signal.SIGKILL} | (
    {signal.SIGHUP, signal.SIGQUIT} if sys.platform != "win32" else set()
)

Measurer = Callable[[Candidate, float], Measurement]


@dataclass(frozen=True, slots=True)
class Pick:
    """A runtime at its best batch size. `score` orders picks: rows a second for scan, minus seconds for search."""

    runtime: str
    batch_size: int
    score: float


def pick(
    measurements: Sequence[Measurement],
    purpose: Purpose,
    memory_budget: int | None = None,
    batch: int | None = None,
    longest_s: float | None = RUN_S,
) -> Pick | None:
    """The best of what was measured, or None where nothing may be used. See `rank`."""
    ranked = rank(measurements, purpose, memory_budget, batch, longest_s)
    return ranked[0] if ranked else None


def rank(
    measurements: Sequence[Measurement],
    purpose: Purpose,
    memory_budget: int | None = None,
    batch: int | None = None,
    longest_s: float | None = RUN_S,
) -> list[Pick]:
    """What may be used, best first; what was refused, or needs more than `memory_budget` bytes, is left out.

    scan: the most rows a second, at no more than `batch` rows and `longest_s` seconds a run (a single row may take
    longer). search: the shortest time from the start of a process until `batch` rows (one) are done.
    """
    found = []
    for each in measurements:
        if each.refused is None:
            best = _cold(each, memory_budget, batch or 1) if purpose == "search" else None
            if purpose == "scan":
                best = _steady(each, memory_budget, batch, longest_s)
            found += [best] if best else []
    return sorted(found, key=lambda each: -each.score)


def _steady(each: Measurement, budget: int | None, batch: int | None, longest_s: float | None) -> Pick | None:
    best: Pick | None = None
    for size, took in sorted(each.seconds.items()):
        fits = (budget is None or each.memory.get(size, 0) <= budget) and (batch is None or size <= batch)
        short = longest_s is None or took <= longest_s or size == 1
        if fits and short and (best is None or size / took > _WORTH * best.score):
            best = Pick(each.runtime, size, size / took)
    return best


def _cold(each: Measurement, budget: int | None, batch: int) -> Pick | None:
    """Sizes that were not measured are taken to cost a row each as the nearest one does."""
    if not each.seconds or (budget is not None and min(each.memory.values(), default=0) > budget):
        return None
    nearest = min(each.seconds, key=lambda size: abs(size - batch))
    more = 0.0 if batch == 1 else each.seconds[nearest] / nearest * batch
    return Pick(each.runtime, batch, -(each.load_s + each.first_s + more))


def calibrate(
    path: Path,
    rungs: Sequence[Candidate],
    probe: Arrays,
    expected: Arrays | None,
    *,
    kept_in: Path | None,
    options: RuntimeOptions = AUTOMATIC,
    purpose: Purpose = "scan",
    budget_s: float = 20.0,
    measurer: Measurer | None = None,
    also: str = "",
) -> list[Measurement]:
    """Measure `rungs` in about `budget_s` seconds, the first in order first, and keep the result in `kept_in`.

    What the budget does not reach is not in the result; one alone is no choice and is not kept. Once `options.stop`
    answers True measuring ends. Nothing is kept then, nor where a candidate's process was ended from outside or did
    not end in time: another time it may well be measured.
    `measurer`: how one candidate is measured in some seconds; a process of its own unless tests give another.
    `also`: whatever else tells these measurements from others of the form, as in `stored`.
    """
    usable = [rung for rung in rungs if rung.absent is None]
    if measurer is not None:
        found, sound = _within(usable, budget_s, purpose, measurer, options.stop)
    else:
        with tempfile.TemporaryDirectory() as folder:
            arrays = Path(folder) / "arrays.npz"
            kept: dict[str, Any] = {f"p:{name}": array for name, array in probe.items()}
            kept |= {f"e:{name}": array for name, array in (expected or {}).items()}
            np.savez(arrays, **kept)
            found, sound = _within(
                usable,
                budget_s,
                purpose,
                lambda rung, seconds: measure_apart(path, rung, arrays, options, purpose, seconds),
                options.stop,
            )
    if kept_in is not None and sound and len(found) >= min(2, len(usable)):
        key = _key(path, options, purpose, also)
        _keep(path, kept_in, key, options, purpose, found, [rung.name for rung in usable])
    return found


def _within(
    rungs: Sequence[Candidate], budget_s: float, purpose: Purpose, measurer: Measurer, stop: Callable[[], bool]
) -> tuple[list[Measurement], bool]:
    """What was measured, and whether nothing from outside came between."""
    found: list[Measurement] = []
    sound = True
    ends = time.monotonic() + budget_s
    for rung in rungs:
        if stop() or (found and time.monotonic() >= ends):
            break
        try:
            found.append(measurer(rung, max(0.5, _FIRST * budget_s / len(rungs))))
        except Disturbed:
            sound = False
    try:
        for near in _NEAR if len(found) == len(rungs) else ():
            found = _look_again(rungs, found, purpose, near, lambda rung: _measured(rung, measurer, ends, stop))
    except Disturbed:
        sound = False
    return found, sound and not stop()


def _look_again(
    rungs: Sequence[Candidate],
    found: Sequence[Measurement],
    purpose: Purpose,
    near: float,
    again: Callable[[Candidate], Measurement | None],
) -> list[Measurement]:
    """Measure those that come near the best once more, later: what disturbed one of them is not there each time."""
    scores = {each.runtime: abs(each.score) for each in rank(found, purpose)}
    if purpose == "search":
        scores = {name: 1 / seconds for name, seconds in scores.items()}
    close = [name for name, score in scores.items() if score >= near * max(scores.values())]
    merged = {each.runtime: each for each in found}
    for rung in rungs if len(close) > 1 else ():
        more = again(rung) if rung.name in close else None
        if more is not None:
            merged[rung.name] = merged[rung.name].merged(more)
    return list(merged.values())


def _measured(rung: Candidate, measurer: Measurer, ends: float, stop: Callable[[], bool]) -> Measurement | None:
    """A further look at one candidate, of a few seconds at most; None where time is up."""
    left = ends - time.monotonic()
    return None if left <= 0 or stop() else measurer(rung, min(max(0.5, left / 4), _LOOK_S))


def measure_apart(
    path: Path, rung: Candidate, arrays: Path, options: RuntimeOptions, purpose: Purpose, budget_s: float
) -> Measurement:
    """Measure one candidate in a process of its own. `arrays`: an .npz with the probe (p:name) and expected (e:name).

    A process that crashes is a measurement with the reason in `refused`. Raises Disturbed as run_apart does.
    """
    sizes = (1, 4) if purpose == "search" else SIZES.get(rung.device, _OTHER_SIZES)
    order = {
        "path": str(path),
        "arrays": str(arrays),
        "threads": options.threads,
        "purpose": purpose,
        "sizes": sizes,
    }
    options.doing(f"measure {rung.name}")
    with timed("runtime_measured", form=str(path), runtime=rung.name) as facts:
        found = Measurement.from_json(run_apart("photoindex.runtimes.measure", order, rung, budget_s, options.stop))
        facts |= {"seconds": found.seconds, "refused": found.refused}
    return found


def run_apart(
    module: str, order: Mapping[str, Any], rung: Candidate, budget_s: float, stop: Callable[[], bool]
) -> dict[str, Any]:
    """What the process `python -m module` says of `rung` in about `budget_s` seconds: a measurement as JSON, and more.

    It is given `order` on stdin as JSON, with the name of the `runtime`, the `budget_s` and when it was `started`. One
    that crashes gives a measurement with the reason in `refused`. Raises Disturbed where it was ended from outside,
    by `stop` or a signal, or did not end in time.
    """
    whole = {**order, "runtime": rung.name, "budget_s": budget_s, "started": time.time()}
    slow = rung.device in _SLOW_STARTERS or rung.name.endswith(COMPILED)
    limit = _GRACE_S * (20 if slow else 4) + 4 * budget_s
    done = run_module(module, given=json.dumps(whole), limit_s=limit, stop=stop)
    if -done.returncode in _FROM_OUTSIDE:
        raise Disturbed(f"its process was ended by signal {-done.returncode}")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return Measurement(rung.name, refused=one_line(f"its process ended with {done.returncode} ({last})")).as_json()
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def stored(
    path: Path, kept_in: Path, options: RuntimeOptions = AUTOMATIC, purpose: Purpose = "scan", also: str = ""
) -> list[Measurement] | None:
    """What was measured for this form, machine, set of packages and number of threads; None where nothing was.

    `also`: what else it depends on, in the caller's words, such as files that run together with the form.
    """
    entry = _read(calibration_file(path, kept_in)).get(_key(path, options, purpose, also))
    try:
        return [Measurement.from_json(each) for each in entry["measurements"]] if entry else None
    except (KeyError, TypeError, ValueError, AttributeError):  # a broken file is as good as none
        return None


def known_of(
    names: Sequence[str],
    path: Path,
    kept_in: Path,
    options: RuntimeOptions = AUTOMATIC,
    purpose: Purpose = "scan",
    also: str = "",
) -> tuple[list[Measurement], bool]:
    """What was measured (see `stored`) that tells of a choice among the runtimes `names`, and whether it decides it.

    It does where each of them was there to be measured. What was measured among fewer, since somebody asked for one
    family alone, says of the others nothing: then only the refusals count.
    """
    found = stored(path, kept_in, options, purpose, also)
    if found is None:
        return [], False
    entry = _read(calibration_file(path, kept_in))[_key(path, options, purpose, also)]
    among = {each.runtime for each in found}.union(map(str, entry.get("among") or ()))
    if among.issuperset(names):
        return found, True
    return [each for each in found if each.refused is not None], False


def calibration_file(path: Path, kept_in: Path) -> Path:
    """Where the measurements of the form `path` are kept."""
    return kept_in / f"{path.stem}.calibration.json"


def _keep(
    path: Path,
    kept_in: Path,
    key: str,
    options: RuntimeOptions,
    purpose: Purpose,
    found: Sequence[Measurement],
    among: Sequence[str],
) -> None:
    file = calibration_file(path, kept_in)
    entries = _read(file)
    entries.pop(key, None)
    entries[key] = {
        "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "purpose": purpose,
        "threads": options.threads,
        "machine": asdict(fingerprint()),
        "among": list(among),
        "measurements": [each.as_json() for each in found],
    }
    kept = {key: entries[key] for key in list(entries)[-_KEPT:]}
    work = file.with_name(f".{file.name}.{os.getpid()}")
    # A folder that cannot be written costs the next scan another measurement, and nothing else.
    with contextlib.suppress(OSError):
        kept_in.mkdir(parents=True, exist_ok=True)
        work.write_text(json.dumps({"format": FORMAT, "entries": kept}, indent=1), encoding="utf-8")
        work.replace(file)


def _read(file: Path) -> dict[str, Any]:
    """The entries of a calibration file, by key; none where it is missing, broken or of another format."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return dict(kept["entries"]) if kept["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _key(path: Path, options: RuntimeOptions, purpose: Purpose, also: str) -> str:
    stat = path.stat()
    key = f"{purpose} {stat.st_size} {stat.st_mtime_ns} {fingerprint().key} {options.threads or 'all'}"
    return f"{key} {also}" if also else key
