"""Which engine reads text: the fastest that was measured here and reads the same words, else the order of experience.

What is measured is the whole of reading, finder and recogniser with all between, on drawn pages of several shapes; each
engine in a process of its own (steps/ocr_measure.py). Engines agree where they read the same words on those pages.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from photoindex.errors import RuntimeUnavailable
from photoindex.models.spec import InstalledModel
from photoindex.records import RuntimeOptions, TextLine, Uint8Image
from photoindex.runtimes.calibration import calibrate, known_of, run_apart
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.choose import measuring_budget
from photoindex.runtimes.measure import Measurement
from photoindex.runtimes.selection import select
from photoindex.steps.ocr_pages import sample_pages

# Less than this of the letters in common on any page, and an engine is not used: bfloat16 may misread one in a hundred.
LEAST_AGREEMENT = 0.97
# No machine takes longer for a picture on average: a scan too short even so is not timed.
_LONGEST_S = 3.0
_PROCESS = "photoindex.steps.ocr_measure"


class Reader(Protocol):
    """A recogniser of text. `runtime` says what executes it, for the ledger; see Interruptible for `stop`."""

    stop: Callable[[], bool]

    @property
    def runtime(self) -> str: ...

    def read(self, pictures: Sequence[Uint8Image]) -> list[tuple[TextLine, ...]]:
        """The lines of each picture (height, width, 3; uint8, RGB), from top to bottom."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Engines:
    """What could read text with one model.

    `form`: the file that measurements are kept by; `rungs`: every engine in the order of experience, those absent with
    the reason; `load(options, measured)` opens a reader, the best measured engine first. `files`: all that the engines
    read, the form among them: a measurement holds for these alone.
    """

    form: Path
    rungs: tuple[Candidate, ...]
    load: Callable[[RuntimeOptions, Sequence[Measurement]], Reader]
    files: tuple[Path, ...] = ()


def open_reader(engines: Engines, installed: InstalledModel, options: RuntimeOptions) -> Reader:
    """The reader on the best engine known. A long scan measures first, where nothing is kept (see choose.open_session).

    Raises RuntimeRefused for an override that cannot be honoured, RuntimeUnavailable where no engine is left, and what
    loading raises.
    """
    usable = select(engines.rungs, options.runtime, installed.spec.name)
    if not usable:
        reasons = "; ".join(f"{each.name}: {each.absent}" for each in engines.rungs)
        raise RuntimeUnavailable(installed.spec.name, reasons)
    known, decided = measured_of([each.name for each in usable], engines, installed, options)
    reader = engines.load(options, known)
    if decided or len(usable) == 1 or measuring_budget(_LONGEST_S, options) is None:
        return reader
    budget_s = measuring_budget(_seconds_each(reader), options)
    if budget_s is None:
        return reader
    reader.close()
    return engines.load(options, measure_engines(engines, usable, installed, options, budget_s))


def measured_of(
    names: Sequence[str], engines: Engines, installed: InstalledModel, options: RuntimeOptions
) -> tuple[list[Measurement], bool]:
    """What was measured of the engines `names`, and whether it decides between them; see calibration.known_of."""
    also = _identity(engines, installed)
    return known_of(names, engines.form, installed.derived, options, also=also)


def _identity(engines: Engines, installed: InstalledModel) -> str:
    """Twelve hex digits that change with any file that the engines read, and with the model's settings."""
    stats = [
        (f"{file.parent.name}/{file.name}", file.stat().st_size, file.stat().st_mtime_ns) for file in engines.files
    ]
    settings = [dict(installed.spec.thresholds), dict(installed.spec.options)]
    return hashlib.sha256(json.dumps([stats, settings], sort_keys=True, default=str).encode()).hexdigest()[:12]


def measure_engines(
    engines: Engines, rungs: Sequence[Candidate], installed: InstalledModel, options: RuntimeOptions, budget_s: float
) -> list[Measurement]:
    """Measure these engines in about `budget_s` seconds and keep what was found in the model's folder of derived files.

    The reference for the words is the first that works: the plainest, ONNX Runtime in float32, where there is one.
    """
    plainest = sorted(rungs, key=lambda each: (not each.name.endswith("-f32"), each.family != "onnxruntime"))
    expected: list[tuple[str, Sequence[str]]] = []

    def measurer(rung: Candidate, seconds: float) -> Measurement:
        options.doing(f"measure {rung.name}")
        said = run_apart(_PROCESS, order_for(installed, options), rung, seconds, options.stop)
        words = said.pop("texts", [])
        found = Measurement.from_json(said)
        if found.refused is None and not expected:
            expected.append((rung.name, words))
        return found if found.refused else judged(found, words, *expected[0])

    also = _identity(engines, installed)
    return calibrate(
        engines.form,
        plainest,
        {},
        None,
        kept_in=installed.derived,
        options=options,
        budget_s=budget_s,
        measurer=measurer,
        also=also,
    )


def judged(found: Measurement, words: Sequence[str], reference: str, expected: Sequence[str]) -> Measurement:
    """The measurement, refused where the engine reads other words on some page than the reference does."""
    agreement = text_agreement(words, expected)
    if agreement >= LEAST_AGREEMENT:
        return found
    return replace(found, refused=f"it reads other words than {reference} (agreement {agreement:.2f})")


def text_agreement(found: Sequence[str], expected: Sequence[str]) -> float:
    """The least similarity of any page's text with the expected one, 0 to 1 (difflib's ratio of letters in common)."""
    if len(found) != len(expected):
        return 0.0
    pairs = zip(found, expected, strict=True)
    return min((difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() for a, b in pairs), default=1.0)


def order_for(installed: InstalledModel, options: RuntimeOptions) -> dict[str, Any]:
    """What the measuring process must know of the model; `model_in` reads it."""
    spec = installed.spec
    return {
        "name": spec.name,
        "architecture": spec.architecture,
        "runtimes": list(spec.runtimes),
        "thresholds": dict(spec.thresholds),
        "options": dict(spec.options),
        "folder": str(installed.path),
        "derived": str(installed.derived),
        "threads": options.threads,
    }


def _seconds_each(reader: Reader) -> float:
    pages = sample_pages()
    reader.read(pages)  # kernels are made for their shapes
    started = time.perf_counter()
    reader.read(pages)
    return (time.perf_counter() - started) / len(pages)
