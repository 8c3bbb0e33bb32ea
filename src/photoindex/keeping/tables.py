"""The tables of the vector store against the catalog: can they be read, and are their rows those that it expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from photoindex.keeping.findings import Repaired
from photoindex.store.background import BackgroundFile
from photoindex.store.health import CatalogHealth, catalog_health
from photoindex.store.lance_errors import in_words
from photoindex.store.lance_repair import fall_back, put_back
from photoindex.store.library import Library
from photoindex.store.soundness import aside, make_due_again, make_texts_due
from photoindex.store.vector_copies import texts, unsound_ids
from photoindex.store.vectors import DOCUMENTS

Ids = npt.NDArray[np.int64]
_NONE = np.empty(0, np.int64)
_STEPS = {"image": "embedding", "face": "faces"}


def _none() -> Ids:
    return _NONE


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is there or should be. `orphans`: photos in it that the catalog does not know; `lacking`: photos
    that should be in it; `unsound`: those whose vector has no direction; `problem`: why it cannot be read."""

    name: str
    rows: int = 0
    orphans: Ids = field(default_factory=_none)
    lacking: Ids = field(default_factory=_none)
    unsound: Ids = field(default_factory=_none)
    problem: str | None = None

    @property
    def step(self) -> str:
        """The step that fills it."""
        return _STEPS.get(self.name.partition("-")[0], DOCUMENTS)

    @property
    def model(self) -> str:
        return self.name.partition("-")[2]


def look_at_tables(library: Library, *, quick: bool = False) -> list[Table]:
    """Every table; all of its rows are read unless `quick`. One that cannot be read is a result, not an error."""
    health = catalog_health(library.catalog.file)
    expected = _expected(library, health)
    names = sorted({*library.vectors.tables(), *(name for name, ids in expected.items() if len(ids))})
    return [_look(library, name, health.photo_ids, expected.get(name, _NONE), quick) for name in names]


def _expected(library: Library, health: CatalogHealth) -> dict[str, Ids]:
    """For each table the photos that must be in it. Vectors beside those in use may have gone without harm."""
    beside = {f"image-{model}": np.array(sorted(ids), np.int64) for model, ids in aside(library.catalog.file).items()}
    there = {name: ids for name, ids in beside.items() if library.vectors.has(name)}
    names = {*health.expected, *there}
    return {name: np.union1d(health.expected.get(name, _NONE), there.get(name, _NONE)) for name in names}


def _look(library: Library, name: str, photos: Ids, expected: Ids, quick: bool) -> Table:
    try:
        ids = np.unique(library.vectors.ids(name))
        rows, unsound = library.vectors.count(name), _NONE
        if not quick:
            unsound = _read_through(library, name)
        _ask_index(library, name, rows)
    except Exception as error:  # noqa: BLE001 - Lance raises anything for a damaged file, and that is what is asked
        return Table(name, problem=in_words(error))
    return Table(name, rows, np.setdiff1d(ids, photos), np.setdiff1d(expected, ids), np.intersect1d(unsound, photos))


def _read_through(library: Library, name: str) -> Ids:
    """Read every row; of vectors the photos whose vector is none."""
    if name != DOCUMENTS:
        return unsound_ids(library.vectors, name) if library.vectors.has(name) else _NONE
    for _ in texts(library.vectors):
        pass
    return _NONE


def _ask_index(library: Library, name: str, rows: int) -> None:
    """Use the index of a table, which lies in files of its own."""
    if rows and name == DOCUMENTS:
        library.vectors.holding([["a"]], 1, every=False)
    elif rows:
        for _, vectors in library.vectors.batches(name):
            library.vectors.nearest(name, vectors[0].astype(np.float32), 1)
            break


def mend_tables(library: Library) -> Iterator[Repaired]:
    """Bring the tables back in line with the catalog: what cannot be had back becomes due with the next scan."""
    put_back(library.vectors)
    for table in look_at_tables(library):
        if table.problem is not None:
            yield from _bring_back(library, table)
    for table in look_at_tables(library):
        yield from _mend(library, table)


def _bring_back(library: Library, table: Table) -> Iterator[Repaired]:
    """An earlier state of a damaged table, or none: then it goes, and is filled again."""
    if table.name != DOCUMENTS:  # those are made again from the catalog in no time
        tried = fall_back(library.vectors, table.name, lambda: _read_through(library, table.name))
        if tried is not None and _look(library, table.name, _NONE, _NONE, True).problem is None:
            text = f"{table.name} could not be read: went back to its state of {tried} commits before"
            yield Repaired("table_set_back", text, tried)
            return
    library.vectors.drop(table.name)
    yield Repaired("table_dropped", f"{table.name} could not be read: removed, to be filled again", 1)


def _mend(library: Library, table: Table) -> Iterator[Repaired]:
    file, gone = library.catalog.file, np.union1d(table.orphans, table.unsound)
    if len(gone):
        library.vectors.remove(table.name, gone.tolist())
    if len(table.orphans):
        text = f"removed rows of {table.name} of photos that the catalog does not know"
        yield Repaired("orphans_removed", text, len(table.orphans))
    again = np.union1d(table.lacking, table.unsound)
    if not len(again):
        return
    if table.step == DOCUMENTS:
        make_texts_due(file, again.tolist())
        return
    BackgroundFile(library.vectors.folder, table.name).remove()  # it counts in vectors that are not there
    make_due_again(file, table.step, again.tolist(), table.model)  # last: what is due is not found lacking again
    yield Repaired("made_due", f"{table.step} with {table.model} is due again: the next scan does it", len(again))
