"""Whether a library is whole: both stores, what they say of one another, thumbnails, weights, and what kills left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from photoindex.errors import LibraryBusy, LibraryCorrupt, LibraryNotWritable, ModelMissing, PhotoindexError
from photoindex.keeping.findings import REPAIR, Finding
from photoindex.keeping.leftovers import leftovers, unfinished_applies
from photoindex.keeping.tables import Table, look_at_tables
from photoindex.keeping.texts import stale_documents
from photoindex.keeping.thumbs import look_at_thumbnails
from photoindex.models.registry import Registry
from photoindex.models.verify import verify
from photoindex.scan.chosen import chosen_models
from photoindex.store import soundness
from photoindex.store.lance_repair import lying_aside
from photoindex.store.library import Library, writer_lock
from photoindex.store.migrations import SCHEMA
from photoindex.store.vectors import DOCUMENTS, image_table

# What a scan that is running has not brought in line yet is no fault.
_OF_A_RUNNING_SCAN = {"rows_orphaned", "documents_due", "documents_stale", "thumbnails_orphaned", "leftovers"}


def check(
    folder: Path,
    registry: Registry,
    models_dir: Path,
    *,
    quick: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Examine the library in `folder`, and change nothing. `quick` leaves out what reads every byte of vectors, texts
    and weights. `tell` is given one line before each long part.

    No scan can begin meanwhile; while one is running, what it is about to bring in line is not told. Raises
    LibraryNotFound, LibraryTooNew, and LibraryBusy where the catalog cannot be had at all.
    """
    library = Library.open(folder)
    with contextlib.suppress(LibraryCorrupt), library.catalog.file.read():
        pass  # an older library is upgraded now: that needs the lock
    with _undisturbed(folder) as busy:
        found = list(_check(library, registry, models_dir, quick, tell))
    return found if busy is None else [busy, *(f for f in found if f.code not in _OF_A_RUNNING_SCAN)]


@contextlib.contextmanager
def _undisturbed(folder: Path) -> Iterator[Finding | None]:
    """Keep writers out for the time of the check; where one is at work already, say so."""
    with contextlib.ExitStack() as stack:
        busy = None
        try:
            stack.enter_context(writer_lock(folder))
        except LibraryBusy as error:
            text = f"{str(error).partition('. ')[0]}: what it has not finished yet is not counted as wrong."
            busy = Finding("ok", "being_written", text)
        except LibraryNotWritable:
            pass  # a library that cannot be written is not written by others either
        yield busy


def _check(
    library: Library, registry: Registry, models_dir: Path, quick: bool, tell: Callable[[str], None]
) -> Iterator[Finding]:
    file = library.catalog.file
    try:
        foreign = soundness.foreign_schema(file)
        if foreign:
            yield _foreign(foreign)
            return
        tell("Reading the catalog.")
        soundness.read_all(file)
    except LibraryCorrupt as error:
        yield _damaged(library, error)
        return
    status = library.queries.status()
    text = f"The catalog can be read: {status.photos:,} photos in {status.files:,} files, schema {SCHEMA}."
    yield Finding("ok", "catalog", text)
    yield from _rows(library)
    tell("Reading the vectors.")
    tables = look_at_tables(library, quick=quick)
    yield from (_table(table) for table in tables)
    yield from _searched(library, tables)
    yield from _documents(library, quick or any(t.problem for t in tables if t.name == DOCUMENTS))
    tell("Looking at the thumbnails.")
    yield from _thumbnails(library)
    yield from _left(library)
    yield from unfinished_applies(library.folder)
    if not quick:
        tell("Reading the weights.")
        yield from _weights(library, registry, models_dir)


def _foreign(columns: list[str]) -> Finding:
    text = f"The catalog is of schema {SCHEMA}, but lacks {', '.join(columns[:5])}"
    more = f" and {len(columns) - 5:,} more" if len(columns) > 5 else ""
    return Finding("problem", "schema_foreign", f"{text}{more}.", len(columns), _restore_advice())


def _damaged(library: Library, error: LibraryCorrupt) -> Finding:
    kept = sorted((library.folder / "backups").glob("before-schema-*.zip"))
    also = f" An older one is {kept[-1]}." if kept else ""
    return Finding("problem", "catalog_damaged", f"{str(error).partition('. ')[0]}.", 1, _restore_advice() + also)


def _restore_advice() -> str:
    return (
        "It cannot be repaired: `photoindex restore FILE --force` brings a backup back, and sets this library aside."
        " Without a backup, try `photoindex backup --user-data FILE`, which reads your own words alone. Then move the"
        " library's folder away and scan again; your photos are untouched."
    )


def _rows(library: Library) -> Iterator[Finding]:
    """The rules that the catalog's tables follow."""
    file = library.catalog.file
    for code, found, what in (
        ("rows_twice", soundness.twice(file), "are there twice"),
        ("rows_without_photo", soundness.without_photo(file), "are about photos that the catalog does not have"),
        ("done_without_facts", soundness.done_without_facts(file), "are called done, but left nothing"),
    ):
        for name, count in found.items():
            yield Finding("problem", code, f"{count:,} rows of {name} {what}.", count, REPAIR)
    if misnamed := soundness.misnamed_photos(file):
        text = f"{len(misnamed):,} photos have another id than their SHA-256 gives."
        yield Finding("problem", "photos_misnamed", text, len(misnamed), REPAIR)
    if broken := soundness.broken_words(file):
        text = f"{broken:,} photos are said to be in collections or decisions that are not there."
        advice = "What you said is never deleted: `photoindex restore FILE` of user data brings back what was meant."
        yield Finding("problem", "words_broken", text, broken, advice)


def _table(table: Table) -> Finding:
    if table.problem is not None:
        text = f"The table {table.name} cannot be read: {table.problem}"
        return Finding("problem", "table_unreadable", text, 1, REPAIR)
    if len(table.lacking):
        text = f"{len(table.lacking):,} photos that the catalog calls done have no row in {table.name}."
        return Finding("problem", "rows_lacking", text, len(table.lacking), REPAIR)
    if len(table.unsound):
        text = f"{len(table.unsound):,} photos have a vector in {table.name} that points nowhere."
        return Finding("problem", "vectors_unsound", text, len(table.unsound), REPAIR)
    if len(table.orphans):
        text = f"{len(table.orphans):,} rows of {table.name} are of photos that the catalog does not know."
        advice = "A killed scan leaves such; searches leave them out, and the next scan removes them."
        return Finding("warning", "rows_orphaned", text, len(table.orphans), advice)
    return Finding("ok", "table", f"The table {table.name} can be read: {table.rows:,} rows.", table.rows)


def _searched(library: Library, tables: list[Table]) -> Iterator[Finding]:
    """The vectors that a search looks at must be there as soon as others are."""
    images = [table.name for table in tables if table.step == "embedding"]
    model = library.catalog.settings().get("embedding_model")
    if model and images and image_table(model) not in images:
        text = f"Searches use the vectors of {model}, and this library has only {', '.join(images)}."
        yield Finding("problem", "searched_vectors_missing", text, 1, "The next scan makes them.")


def _documents(library: Library, quick: bool) -> Iterator[Finding]:
    if due := len(library.catalog.documents_due()):
        text = f"The searchable texts of {due:,} photos are not written yet."
        yield Finding("warning", "documents_due", text, due, "The next scan writes them.")
    if not quick and (stale := stale_documents(library)):
        text = f"The searchable texts of {len(stale):,} photos are not what the catalog says."
        yield Finding("warning", "documents_stale", text, len(stale), REPAIR)


def _thumbnails(library: Library) -> Iterator[Finding]:
    found = look_at_thumbnails(library)
    for code, count, what in (
        ("thumbnails_missing", len(found.gone), "are not there"),
        ("thumbnails_broken", len(found.broken), "are cut short, or no pictures"),
    ):
        if count:
            yield Finding("problem", code, f"{count:,} thumbnails {what}.", count, REPAIR)
    if found.orphans:
        text = f"{len(found.orphans):,} files among the thumbnails belong to no photo."
        yield Finding("warning", "thumbnails_orphaned", text, len(found.orphans), REPAIR)
    if not found.gone and not found.broken:
        yield Finding("ok", "thumbnails", f"All {found.whole:,} thumbnails are there and whole.", found.whole)


def _left(library: Library) -> Iterator[Finding]:
    for table, count in lying_aside(library.vectors).items():
        text = f"A repair of {table} was killed: {count:,} of its last states lie aside."
        yield Finding("warning", "repair_unfinished", text, count, REPAIR)
    if found := leftovers(library):
        text = f"Commands that were killed left {len(found):,} files or folders, such as {found[0]}."
        yield Finding("warning", "leftovers", text, len(found), REPAIR)


def _weights(library: Library, registry: Registry, models_dir: Path) -> Iterator[Finding]:
    """The files of the models that this library uses, as far as they are installed."""
    whole = 0
    try:
        specs = chosen_models(library, registry).values()
    except PhotoindexError as error:
        yield Finding("warning", "models_unknown", str(error), 1)
        return
    for spec in specs:
        with contextlib.suppress(ModelMissing):  # a step without weights is skipped, and `scan` says so
            for file in verify(registry, spec, models_dir, lambda *_: None):
                whole += file.good
                if not file.good:
                    text = f"A file of the model {spec.name} is {file.verdict}: {file.path}"
                    advice = f"`photoindex models pull {spec.name}` fetches it again."
                    yield Finding("problem", "weights_broken", text, 1, advice)
    yield Finding("ok", "weights", f"{whole:,} files of weights are what they should be.", whole)
