"""Measures one candidate; as a process of its own: `python -m photoindex.runtimes.measure`, the order on stdin.

Alone in a process, what a candidate needs of memory can be told, a crash or a hang harms nobody, and the first run
is as cold as that of a search command.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from photoindex.runtimes.faults import agreement, disagreement, not_numbers, one_line, out_of_memory
from photoindex.runtimes.session import Arrays, Session

REPEATS, ROUNDS = 3, 2
# A run of this many seconds is long enough: larger batches are not tried.
LONG_RUN_S = 1.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one candidate showed. `refused`: why it may not be used, or None.

    `load_s`: from the start of its process until the session was there; `first_s` the first run, of one row.
    `seconds`: the fastest run by batch size; `memory`: by batch size, how far the process grew, in bytes.
    `cosine` and `centred` (after removing the mean): the lowest agreement of a row with the expected one.
    """

    runtime: str
    load_s: float = 0.0
    first_s: float = 0.0
    seconds: dict[int, float] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=dict)
    cosine: float | None = None
    centred: float | None = None
    refused: str | None = None

    def as_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}

    def merged(self, other: Measurement) -> Measurement:
        """The faster of two measurements of the same candidate in each figure, refused where one of them was."""
        return Measurement(
            self.runtime,
            min(self.load_s, other.load_s),
            min(self.first_s, other.first_s),
            {size: min(took, other.seconds.get(size, took)) for size, took in self.seconds.items()},
            {size: max(grew, other.memory.get(size, grew)) for size, grew in self.memory.items()},
            self.cosine,
            self.centred,
            self.refused or other.refused,
        )

    @classmethod
    def from_json(cls, kept: dict[str, object]) -> Measurement:
        numbered = {
            name: {int(size): value for size, value in kept[name].items()}  # type: ignore[attr-defined]
            for name in ("seconds", "memory")
        }
        return cls(**{**kept, **numbered})  # type: ignore[arg-type]


def measure(
    runtime: str,
    opener: Callable[[], Session],
    probe: Arrays,
    expected: Arrays | None,
    sizes: Sequence[int],
    budget_s: float,
    started: float | None = None,
) -> Measurement:
    """Open a session and time it at batch `sizes`, rows of `probe` repeated as needed, in about `budget_s` seconds.

    `started`: time.time() of the start of the process, for a cold start; None counts from now. Never raises for
    what the session does: that is `refused`.
    """
    before, started = resident_bytes(), started or time.time()
    found = Measurement(runtime)
    try:
        session = opener()
        load_s = time.time() - started
        began = time.perf_counter()
        session.run(_rows(probe, 1))
        found = Measurement(runtime, load_s, time.perf_counter() - began)
        outputs = session.run(probe)
        complaint = not_numbers(outputs)
        if complaint is None and expected:
            raw, centred = agreement(outputs, expected)
            complaint = disagreement(outputs, expected, runtime)
            found = Measurement(runtime, load_s, found.first_s, cosine=raw, centred=centred)
        if complaint is None:
            _time(session, probe, sizes, budget_s, before, found)
        session.close()
    except Exception as error:  # noqa: BLE001 - whatever a runtime throws is a result here
        complaint = one_line(error)
    return found if complaint is None else Measurement.from_json({**found.as_json(), "refused": complaint})


def peak_bytes() -> int:
    """The most memory this process has held; 0 where the system does not tell."""
    return _status("VmHWM") or _rusage()


def resident_bytes() -> int:
    """The memory this process holds now, or has held at most where only that is told."""
    return _status("VmRSS") or _rusage()


def _time(
    session: Session, probe: Arrays, sizes: Sequence[int], budget_s: float, before: int, found: Measurement
) -> None:
    """Fill in `seconds` and `memory`. Sizes in several rounds, so that a disturbance does not hit one size alone."""
    ends = time.perf_counter() + budget_s
    usable = sorted(sizes)
    for round_ in range(ROUNDS):
        for size in list(usable):
            if found.seconds and time.perf_counter() > ends:
                return
            batch = _rows(probe, size)
            try:
                took = _fastest(session, batch, warm=round_ > 0, ends=ends)
            except Exception as error:
                if not out_of_memory(error) or size == 1:
                    raise
                usable = [each for each in usable if each < size]
                break
            found.seconds[size] = min(took, found.seconds.get(size, took))
            found.memory.setdefault(size, max(0, peak_bytes() - before))
            if took > LONG_RUN_S:
                usable = [each for each in usable if each <= size]


def _fastest(session: Session, batch: Arrays, warm: bool, ends: float) -> float:
    if not warm:
        session.run(batch)  # kernels for this shape are made now
    fastest = float("inf")
    for repeat in range(REPEATS):
        began = time.perf_counter()
        session.run(batch)
        fastest = min(fastest, time.perf_counter() - began)
        if repeat and time.perf_counter() > ends:
            break
    return fastest


def _rows(probe: Arrays, count: int) -> dict[str, npt.NDArray[np.generic]]:
    return {name: np.resize(array, (count, *array.shape[1:])) for name, array in probe.items()}


def _status(field_: str) -> int:
    """A line of /proc/self/status, in bytes. VmHWM is this program's own; getrusage's maximum is inherited by exec."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    lines = (line.split() for line in status.read_text(encoding="ascii", errors="replace").splitlines())
    return next((int(parts[1]) * 1024 for parts in lines if parts and parts[0] == f"{field_}:"), 0)


def _rusage() -> int:
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> int:
    """Read an order (see calibration.measure_apart) from stdin, write a measurement to stdout; both are JSON."""
    from photoindex.runtimes.candidates import candidate_named

    order = json.load(sys.stdin)
    with np.load(order["arrays"], allow_pickle=False) as kept:
        probe = {name[2:]: kept[name] for name in kept.files if name.startswith("p:")}
        expected = {name[2:]: kept[name] for name in kept.files if name.startswith("e:")}
    found = candidate_named(Path(order["path"]), order["runtime"], threads=order["threads"], purpose=order["purpose"])
    out = measure(
        found.name, found.open, probe, expected or None, order["sizes"], order["budget_s"], started=order["started"]
    )
    print(json.dumps(out.as_json()))  # noqa: T201 - this process's only result
    return 0


if __name__ == "__main__":
    sys.exit(main())
