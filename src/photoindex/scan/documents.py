"""Full-text documents: built from the catalog alone, so that they can be built again at any time.

The catalog remembers which photos' texts changed in the transaction that changed them; only then are the
documents written, and only then is that forgotten. A scan killed in between finds them still due.
"""

from __future__ import annotations

from photoindex.pure.fold import document
from photoindex.records import DocumentParts
from photoindex.store.library import Library

_AT_ONCE = 5_000


def write_due_documents(library: Library) -> int:
    """Bring the full-text index up to date with the catalog. Returns the number of documents written."""
    due = library.catalog.documents_due()
    for at in range(0, len(due), _AT_ONCE):
        part = due[at : at + _AT_ONCE]
        texts = library.queries.document_parts(part)
        library.vectors.put_documents({photo_id: document_text(parts) for photo_id, parts in texts.items()})
        library.catalog.documents_done(part)
    return len(due)


def document_text(parts: DocumentParts) -> str:
    """The searchable text of a photo, as the index splits it."""
    return document("\n".join((*parts.ocr, *parts.tags, *parts.words, *parts.place, *parts.names)))
