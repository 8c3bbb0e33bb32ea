"""What encodes a query soonest: measured once in a library that is worth it, so that no search ever has to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, RuntimeOptions
from photoindex.runtimes.calibration import calibrate, known_of, rank, stored
from photoindex.runtimes.candidates import candidates
from photoindex.runtimes.session import Arrays
from photoindex.steps.forms import Forms, read_forms
from photoindex.steps.text_encoder import query_threads

# For each tower; the start of a process counts, and there are two or three of them.
_BUDGET_S = 6.0
_SHORT = 24  # tokens: a query has few


def measure_for_search(
    installed: InstalledModel,
    stop: Callable[[], bool] = lambda: False,
    doing: Callable[[str], None] = lambda _: None,
) -> None:
    """Measure both towers of an embedding model as a search runs them: one row, from the start of a process.

    Where that is known already for this machine and its packages nothing is done. Kept beside the forms, where
    TextEncoder and PictureEncoder find it. Raises ModelMissing, and ModelBroken where the forms have not been made.
    """
    forms = read_forms(installed)
    options = RuntimeOptions(stop=stop, doing=doing)
    if "text" not in forms.refused:
        told = dataclasses.replace(options, threads=query_threads(forms))
        _measure(forms.text, forms, told, *_short_queries(forms))
    if "visual" not in forms.refused:
        _measure(forms.visual, forms, options, *forms.check("visual"))


def search_runtime(installed: InstalledModel) -> tuple[str | None, bool]:
    """What a search encodes its words with, and whether that was measured. None where it cannot. Opens nothing."""
    forms = read_forms(installed)
    told = dataclasses.replace(AUTOMATIC, threads=query_threads(forms))
    usable = [each.name for each in candidates(forms.text, purpose="search") if each.absent is None]
    if "text" in forms.refused or not usable:
        return None, False
    best = [pick.runtime for pick in rank(stored(forms.text, forms.folder, told, "search") or (), "search")]
    return next((name for name in best if name in usable), usable[0]), bool(best)


def _measure(form: Path, forms: Forms, options: RuntimeOptions, probe: Arrays, expected: Arrays) -> None:
    rungs = [each for each in candidates(form, threads=options.threads, purpose="search") if each.absent is None]
    _, decided = known_of([each.name for each in rungs], form, forms.folder, options, "search")
    if len(rungs) < 2 or options.stop() or decided:
        return
    options.doing("measure what searches run on")
    calibrate(form, rungs, probe, expected, kept_in=forms.folder, options=options, purpose="search", budget_s=_BUDGET_S)


def _short_queries(forms: Forms) -> tuple[Arrays, Arrays]:
    """Those texts of the check that are as short as queries are, cut to their length where the model allows that."""
    inputs, outputs = forms.check("text")
    ids, vectors = inputs["ids"], outputs["vectors"]
    if not forms.trim:
        return inputs, outputs
    lengths = np.where(ids != forms.pad, np.arange(1, ids.shape[1] + 1), 1).max(axis=1)
    short = lengths <= max(_SHORT, lengths.min())
    return {"ids": ids[short, : lengths[short].max()]}, {"vectors": vectors[short]}
