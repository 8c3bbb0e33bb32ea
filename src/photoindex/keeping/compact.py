"""A library at its least size: what was deleted or replaced takes no room any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from photoindex.keeping.leftovers import clear_leftovers
from photoindex.store.library import Library
from photoindex.store.snapshot import compact_catalog


@dataclass(frozen=True, slots=True)
class Compacted:
    """Bytes on disk by part (catalog, vectors, thumbnails), before and after."""

    before: dict[str, int]
    after: dict[str, int]


def compact(folder: Path, tell: Callable[[str], None] = lambda _: None) -> Compacted:
    """Rewrite both stores to their least size, as the library's only writer; searches go on meanwhile.

    Killed at any moment, each store is in its old or its new form. The catalog needs room for a second one. Raises
    LibraryNotFound, LibraryBusy, LibraryNotWritable, and LibraryCorrupt where something cannot be read.
    """
    Library.open(folder)
    with Library.writing(folder) as library:
        before = library.sizes()
        clear_leftovers(library)
        tell("Rewriting the catalog.")
        compact_catalog(library.catalog.file)
        tell("Rewriting the vectors.")
        library.vectors.shrink()
        return Compacted(before, library.sizes())
