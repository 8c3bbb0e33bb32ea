"""The full-text index against the catalog, from which alone it is made."""

from __future__ import annotations

from collections.abc import Iterator

from photoindex.keeping.findings import Repaired
from photoindex.scan.documents import document_text, write_due_documents
from photoindex.store.library import Library
from photoindex.store.soundness import make_texts_due
from photoindex.store.vector_copies import texts


def stale_documents(library: Library) -> list[int]:
    """Photos whose document is not what the catalog says now, though it is not noted as due."""
    due, found = set(library.catalog.documents_due()), list[int]()
    for part in texts(library.vectors):
        now = library.queries.document_parts([photo_id for photo_id in part if photo_id not in due])
        found += [photo_id for photo_id, parts in now.items() if _words(document_text(parts)) != _words(part[photo_id])]
    return found


def _words(text: str) -> list[str]:
    """Tags of one score have no order, so words are compared without theirs."""
    return sorted(text.split())


def mend_texts(library: Library) -> Iterator[Repaired]:
    """Write what is due or stale, and bring new rows into the index and its list of words up to date."""
    make_texts_due(library.catalog.file, stale_documents(library))
    written = write_due_documents(library)
    library.vectors.compact()
    if written:
        yield Repaired("documents_written", "wrote the searchable texts of photos anew", written)
