"""Chooses what runs a model: the fastest that was measured here, else a ladder in the order of experience."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from photoindex.records import AUTOMATIC, RuntimeOptions
from photoindex.runtimes.calibration import Pick, calibrate, known_of, rank
from photoindex.runtimes.candidates import Candidate, Purpose, candidates
from photoindex.runtimes.faults import disagreement, not_numbers
from photoindex.runtimes.ladder import Ladder
from photoindex.runtimes.measure import Measurement
from photoindex.runtimes.selection import select
from photoindex.runtimes.session import Arrays, Session

# Measuring may take this share of the time that the first choice would need for all photos, within these seconds.
_SHARE, _LEAST_S, _MOST_S = 0.05, 15.0, 120.0


def open_session(
    path: Path,
    runtimes: Sequence[str] = (),
    *,
    options: RuntimeOptions = AUTOMATIC,
    purpose: Purpose = "scan",
    probe: Arrays | None = None,
    expected: Arrays | None = None,
    kept_in: Path | None = None,
    measured: Sequence[Measurement] | None = None,
) -> Ladder:
    """A session for `path` (an ONNX file) that the model's `runtimes` (none named: all) and the machine allow.

    `probe`: inputs of a trial run, whose outputs must be finite and, where `expected` names them, point the same way
    (see faults.disagreement). `options.runtime` overrides the choice.
    The order: what was measured on this machine, kept in the folder `kept_in`, best for the `purpose` first; else
    that of `candidates`. A scan measures where nothing is kept of all those that it may use, and it pays: with a
    `probe` and `kept_in` given, when a twentieth of the time that the first choice would need for `options.photos` is
    15 seconds or more; that twentieth, at most two minutes, is what measuring may take.
    A search never waits for a measurement.
    `measured`: what the caller knows of the model as a whole, of which `path` is a part; nothing else is looked up or
    measured then, and what was refused there is not used.
    Raises RuntimeRefused for an override that cannot be honoured, and RuntimeUnavailable with the reason of every
    candidate that failed.
    """
    rungs = select(candidates(path, runtimes, threads=options.threads, purpose=purpose), options.runtime, path.name)
    if measured is not None:
        return _ladder(path, _allowed(rungs, measured), rank(measured, purpose), options, probe, expected)
    known, decided = (
        known_of([rung.name for rung in rungs], path, kept_in, options, purpose) if kept_in else ([], False)
    )
    session = _ladder(path, rungs, rank(known, purpose, options.memory_bytes), options, probe, expected)
    if probe is None or kept_in is None or decided or purpose == "search" or len(rungs) == 1:
        return session
    budget_s = measuring_budget(_seconds_each(session, probe), options)
    if budget_s is None:
        return session
    session.close()
    found = calibrate(
        path, rungs, probe, expected, kept_in=kept_in, options=options, purpose=purpose, budget_s=budget_s
    )
    return _ladder(path, rungs, rank(found, purpose, options.memory_bytes), options, probe, expected)


def measuring_budget(seconds_each: float, options: RuntimeOptions) -> float | None:
    """How long measuring may take in a scan that needs `seconds_each` for a photo; None where it does not pay."""
    budget_s = _SHARE * seconds_each * (options.photos or 0)
    return None if budget_s < _LEAST_S or options.stop() else min(budget_s, _MOST_S)


def _allowed(rungs: Sequence[Candidate], measured: Sequence[Measurement]) -> list[Candidate]:
    """The candidates, those that were refused when measured absent for that reason."""
    refused = {each.runtime: each.refused for each in measured}
    return [dataclasses.replace(rung, absent=rung.absent or refused.get(rung.name)) for rung in rungs]


def _ladder(
    path: Path,
    rungs: Sequence[Candidate],
    ranking: Sequence[Pick],
    options: RuntimeOptions,
    probe: Arrays | None,
    expected: Arrays | None,
) -> Ladder:
    def trial(session: Session) -> str | None:
        if probe is None:
            return None
        outputs = session.run(probe)
        return not_numbers(outputs) or disagreement(outputs, expected or {}, session.runtime)

    sizes = {pick.runtime: pick.batch_size for pick in ranking}
    order = {pick.runtime: at for at, pick in enumerate(ranking)}
    ordered = sorted(rungs, key=lambda rung: order.get(rung.name, len(order)))
    return Ladder(path.name, ordered, trial, tell=options.tell, batch_sizes=sizes)


def _seconds_each(session: Session, probe: Arrays) -> float:
    started = time.perf_counter()
    session.run(probe)
    return (time.perf_counter() - started) / max(1, min(len(np.atleast_1d(array)) for array in probe.values()))
