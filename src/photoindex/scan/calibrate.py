"""What everyday words reach in the library: measured at the end of a scan, so that search can tell a good match.

See `pure.cut`. The words are every other one of the tags that come with photoindex, and those of the user's own
zero-shot models for the same vectors: a small model may know only these. They are encoded once for each model; of
photos that came since, only the vectors are read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from photoindex.errors import PhotoindexError
from photoindex.models.identity import fingerprint
from photoindex.models.install import locate
from photoindex.models.registry import Registry
from photoindex.models.spec import InstalledModel
from photoindex.models.words import VOCABULARY, read_vocabulary
from photoindex.pure.cut import telling
from photoindex.records import AUTOMATIC, FloatArray
from photoindex.store.background import Background, BackgroundFile
from photoindex.store.library import Library
from photoindex.store.vectors import image_table

_EMBEDDING = "embedding_model"
_EVERY = 2
_TEXTS_AT_ONCE = 32
_WORTH_MEASURING = 2_000  # photos
# Until so many of the photos that were counted are gone, what they reached stands: an edited photo is much as before.
_GONE = 0.02
_FEW = 5_000  # so many new photos are asked for by id, more by reading the whole table


def prepare_search(
    library: Library,
    registry: Registry,
    models_dir: Path,
    stop: Callable[[], bool],
    doing: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Index the vectors that are searched, and measure what everyday words reach there. Returns what is to be said;
    `doing` is told of what takes long, before it begins."""
    model = library.catalog.settings().get(_EMBEDDING)
    if model is None or stop():
        return []
    library.vectors.keep_index(image_table(model), doing)
    try:
        calibrate(library, registry, models_dir, model, stop, doing)
        _measure_runtimes(library, registry, models_dir, model, stop, doing)
    except PhotoindexError as error:
        return [f"Searches by meaning show every photo, good match or not: {error}"]
    return []


def calibrate(
    library: Library,
    registry: Registry,
    models_dir: Path,
    model: str,
    stop: Callable[[], bool] = lambda: False,
    doing: Callable[[str], None] = lambda _: None,
) -> bool:
    """Bring the background of `model`'s vectors up to date. Says whether it is; `stop` ends it early.

    Raises the Model* and Runtime* errors of the text encoder.
    """
    table = image_table(model)
    if not library.vectors.has(table):
        return False
    installed = locate(registry, registry.model(model), models_dir)
    texts = everyday_words(registry, model)
    source = f"{fingerprint(installed)} {hashlib.sha256(chr(10).join(texts).encode()).hexdigest()[:16]}"
    file = BackgroundFile(library.vectors.folder, table)
    before = file.read()
    ids = np.sort(library.vectors.ids(table))
    fresh = ids if before is None else np.setdiff1d(ids, before.photos)
    gone = 0 if before is None else len(np.setdiff1d(before.photos, ids))
    stale = before is not None and gone > _GONE * len(before.photos)
    if before is not None and before.source == source and not len(fresh) and not stale:
        return True
    if before is None or before.source != source:
        doing("measure what everyday words reach")
        vectors = _encode(installed, texts, stop)
        if vectors is None:
            return False
        known = telling(vectors)
        before = _empty(vectors[known], vectors[~known], source)
    if stale:
        before = _empty(before.words, before.crowd, source)
    after = _with_photos(library, table, before, np.setdiff1d(ids, before.photos), stop)
    if after is not None:
        file.write(after)
    return after is not None


def _measure_runtimes(
    library: Library,
    registry: Registry,
    models_dir: Path,
    model: str,
    stop: Callable[[], bool],
    doing: Callable[[str], None],
) -> None:
    """Where a scan took minutes, seconds are spent on what its searches begin with."""
    from photoindex.steps.search_runtimes import measure_for_search

    table = image_table(model)
    if library.vectors.has(table) and len(library.vectors.ids(table)) >= _WORTH_MEASURING and not stop():
        measure_for_search(locate(registry, registry.model(model), models_dir), stop, doing)


def everyday_words(registry: Registry, model: str) -> tuple[str, ...]:
    """The texts whose reach is the background of the vectors of `model`."""
    own = {
        str(spec.options["vocabulary"])
        for spec in registry.models.values()
        if spec.options.get("embedding") == model and "vocabulary" in spec.options
    }
    words = list(read_vocabulary(VOCABULARY)[::_EVERY])
    for path in sorted(own - {str(VOCABULARY)}):
        words += read_vocabulary(Path(path))
    return tuple(dict.fromkeys(words))


def _encode(installed: InstalledModel, texts: Sequence[str], stop: Callable[[], bool]) -> FloatArray | None:
    from photoindex.steps.text_encoder import TextEncoder

    encoder = TextEncoder(installed, dataclasses.replace(AUTOMATIC, threads=os.cpu_count() or 1))
    found = []
    try:
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            if stop():
                return None
            found.append(encoder.encode(texts[first : first + _TEXTS_AT_ONCE]))
    finally:
        encoder.close()
    return np.concatenate(found)


def _empty(words: FloatArray, crowd: FloatArray, source: str) -> Background:
    nothing = np.zeros(words.shape[1], np.float32)
    return Background(words, crowd, np.full(len(words), -1.0, np.float32), nothing, np.empty(0, np.int64), source)


def _with_photos(
    library: Library, table: str, background: Background, new: npt.NDArray[np.int64], stop: Callable[[], bool]
) -> Background | None:
    """The background with the photos `new` counted in; None where it was stopped on the way."""
    reached, total = background.reached.copy(), background.mean.astype(np.float64) * len(background.photos)
    for vectors in _vectors(library, table, new):
        if stop():
            return None
        reached = np.maximum(reached, (background.words @ vectors.T).max(1, initial=-1.0))
        total += vectors.sum(0)
    photos = np.union1d(background.photos, new)
    mean = (total / max(1, len(photos))).astype(np.float32)
    return dataclasses.replace(background, reached=reached, mean=mean, photos=photos)


def _vectors(library: Library, table: str, wanted: npt.NDArray[np.int64]) -> Iterator[FloatArray]:
    if len(wanted) <= _FEW:
        found = library.vectors.vectors_of(table, wanted.tolist())
        if found:
            yield np.stack(list(found.values())).astype(np.float32)
        return
    for ids, vectors in library.vectors.batches(table):
        chosen = np.isin(ids, wanted)
        if chosen.any():
            yield vectors[chosen].astype(np.float32)
