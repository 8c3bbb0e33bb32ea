"""Mending a library: only what is derived. Photos and the user's words are never touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from photoindex.errors import LibraryCorrupt
from photoindex.keeping.automatic import keep_words
from photoindex.keeping.findings import Repaired
from photoindex.keeping.leftovers import clear_leftovers
from photoindex.keeping.tables import mend_tables
from photoindex.keeping.texts import mend_texts
from photoindex.keeping.thumbs import look_at_thumbnails, mend_thumbnails
from photoindex.store import soundness
from photoindex.store.library import Library


def repair(folder: Path) -> Iterator[Repaired]:
    """Mend what `check` finds in the library, and tell of each thing; first the file with the user's words is written,
    which stays where anything was mended.

    Run again after a kill it goes on. What only a scan can make is due afterwards. Raises LibraryNotFound,
    LibraryBusy, and LibraryCorrupt where the catalog itself is damaged.
    """
    Library.open(folder)
    with Library.writing(folder) as library:
        if foreign := soundness.foreign_schema(library.catalog.file):
            raise LibraryCorrupt(folder, f"it lacks {', '.join(foreign[:5])}")
        kept, mended = keep_words(library, "repair"), False
        soundness.read_all(library.catalog.file)
        for one in mend(library):
            if not mended:
                yield Repaired("words_kept", f"your own words were kept first, in {kept}", 1)
            mended = True
            yield one
        if not mended:
            kept.unlink()


def mend(library: Library) -> Iterator[Repaired]:
    """All that can be mended, in the order in which one follows from the other."""
    yield from _mend_rows(library)
    yield from mend_tables(library)
    yield from _mend_thumbnails(library)
    yield from mend_texts(library)
    if cleared := clear_leftovers(library):
        yield Repaired("leftovers_removed", "removed files and folders that killed commands had left", cleared)


def _mend_rows(library: Library) -> Iterator[Repaired]:
    file = library.catalog.file
    found = (
        ("rows_removed", "removed rows of {} that were there twice", soundness.twice(file)),
        (
            "rows_removed",
            "removed rows of {} about photos that the catalog does not have",
            soundness.without_photo(file),
        ),
        ("rows_removed", "removed {} whose id was not that of their SHA-256", _named(soundness.misnamed_photos(file))),
        ("made_due", "{} is due again: it was called done, but had left nothing", soundness.done_without_facts(file)),
    )
    if any(counts for _, _, counts in found):
        soundness.mend_rows(file)
    for code, text, counts in found:
        yield from (Repaired(code, text.format(name), count) for name, count in counts.items())


def _named(photo_ids: list[int]) -> dict[str, int]:
    return {"photos": len(photo_ids)} if photo_ids else {}


def _mend_thumbnails(library: Library) -> Iterator[Repaired]:
    found = look_at_thumbnails(library)
    mend_thumbnails(library, found)
    if again := len(found.gone) + len(found.broken):
        yield Repaired("made_due", "thumbnails are due again: the next scan makes them", again)
    if found.orphans:
        yield Repaired("thumbnails_removed", "removed files that were no photo's thumbnail", len(found.orphans))
