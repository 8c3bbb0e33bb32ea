"""Measures one engine that reads text, as a process of its own: `python -m photoindex.steps.ocr_measure`.

The order comes on stdin (see ocr_choice.order_for and calibration.run_apart); a measurement and the texts read go to
stdout; both are JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.records import RuntimeOptions, TextLine, Uint8Image
from photoindex.runtimes.faults import one_line
from photoindex.runtimes.measure import REPEATS, Measurement, peak_bytes, resident_bytes
from photoindex.steps.ocr_choice import Reader
from photoindex.steps.ocr_pages import sample_pages


def time_reader(
    runtime: str, opener: Callable[[], Reader], pages: Sequence[Uint8Image], budget_s: float, started: float
) -> tuple[Measurement, list[str]]:
    """Open a reader, time it on `pages` in about `budget_s` seconds, and say what it read on each of them.

    `started`: time.time() of the start of the process. Never raises for what the reader does: that is `refused`.
    """
    before = resident_bytes()
    try:
        reader = opener()
        load_s, began = time.time() - started, time.perf_counter()
        reader.read(pages[:1])
        first_s = time.perf_counter() - began
        texts = [_text(lines) for lines in reader.read(pages)]  # kernels for these shapes are made now
        ran, seconds = reader.runtime, _fastest(reader, pages, budget_s) / len(pages)
        reader.close()
    except Exception as error:  # noqa: BLE001 - whatever an engine throws is a result here
        return Measurement(runtime, refused=one_line(error)), []
    refused = None if ran == runtime else f"{ran} ran in its place"
    grew = max(0, peak_bytes() - before)
    return Measurement(runtime, load_s, first_s, {1: seconds}, {1: grew}, refused=refused), texts


def model_in(order: Mapping[str, Any]) -> InstalledModel:
    """The model that an order tells of."""
    spec = ModelSpec(
        order["name"],
        "ocr",
        order["architecture"],
        "",
        False,
        runtimes=tuple(order["runtimes"]),
        thresholds=order["thresholds"],
        options=order["options"],
    )
    return InstalledModel(spec, Path(order["folder"]), Path(order["derived"]))


def _fastest(reader: Reader, pages: Sequence[Uint8Image], budget_s: float) -> float:
    """The fastest of some readings of all pages, in seconds."""
    ends, fastest = time.perf_counter() + budget_s, float("inf")
    for _ in range(2 * REPEATS):
        began = time.perf_counter()
        reader.read(pages)
        fastest = min(fastest, time.perf_counter() - began)
        if time.perf_counter() > ends:
            break
    return fastest


def _text(lines: Sequence[TextLine]) -> str:
    return "\n".join(line.text for line in lines)


def main() -> int:
    """Read an order from stdin, write a measurement with the `texts` read to stdout."""
    from photoindex.steps.ocr import engines_of

    order = json.load(sys.stdin)
    installed = model_in(order)
    options = RuntimeOptions(runtime=order["runtime"], threads=order["threads"])
    pages = sample_pages()
    found, texts = time_reader(
        order["runtime"],
        lambda: engines_of(installed).load(options, ()),
        pages,
        order["budget_s"],
        order["started"],
    )
    print(json.dumps({**found.as_json(), "texts": texts}))  # noqa: T201 - this process's only result
    return 0


if __name__ == "__main__":
    sys.exit(main())
