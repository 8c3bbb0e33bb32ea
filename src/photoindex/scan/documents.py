"""Full-text documents: built from the catalog alone, so that they can be built again at any time.

The catalog remembers which photos' texts changed in the transaction that changed them; only then are the
documents written, and only then is that forgotten. A scan killed in between finds them still due.
"""

from __future__ import annotations

from collections.abc import Callable

from photoindex.pure.fold import document
from photoindex.pure.words import FIELD_END
from photoindex.records import DocumentParts
from photoindex.store.library import Library
from photoindex.store.vectors import DOCUMENTS

_AT_ONCE = 5_000
# Documents of another form are written anew: 2 parts the fields.
_FORM, _FORM_SETTING = "2", "documents"
# In the middle of a scan, and after a round of a watch, the words are counted again only after so much growth: it takes
# a while in a large library. Words that are not counted are found as typed, but not yet completed or corrected.
_GROWN = 1.5


def write_due_documents(
    library: Library,
    *,
    more_to_come: bool = False,
    stop: Callable[[], bool] = lambda: False,
    doing: Callable[[str], None] = lambda _: None,
) -> int:
    """Bring the full-text index and the count of its words up to date. Returns the number of documents written.

    Where they are many, `stop` is asked on the way, and what is left stays due; `doing` is told how far it is.
    """
    if library.catalog.settings().get(_FORM_SETTING) != _FORM:
        library.catalog.make_documents_due()
        library.catalog.set_setting(_FORM_SETTING, _FORM)
    due = library.catalog.documents_due()
    for at in range(0, len(due), _AT_ONCE):
        if at:
            doing(f"write texts ({at:,} of {len(due):,})")
            if stop():
                return at
        part = due[at : at + _AT_ONCE]
        texts = library.queries.document_parts(part)
        library.vectors.put_documents({photo_id: document_text(parts) for photo_id, parts in texts.items()})
        library.catalog.documents_done(part)
    if due or library.vectors.terms().documents != library.vectors.count(DOCUMENTS):
        library.vectors.refresh_terms(FIELD_END, _GROWN if more_to_come else 0.0)
    return len(due)


def document_text(parts: DocumentParts) -> str:
    """The searchable text of a photo as the index splits it, its fields in the order of `pure.words.FIELDS`."""
    fields = (parts.ocr, parts.tags, parts.words, parts.place, parts.names)
    return f" {FIELD_END} ".join(document("\n".join(texts)) for texts in fields)
