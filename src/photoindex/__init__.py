"""photoindex makes a photo library searchable on your own machine.

    from pathlib import Path
    from photoindex import Filters, Library

    library = Library.open(Path("~/.local/share/photoindex/default").expanduser())
    for row in library.queries.rows(library.queries.filtered(Filters(camera="pixel"))).values():
        print(row.path)

Everything that a command does has a function of its name: `photoindex.scan.scan`, `photoindex.search.search`,
`photoindex.dupes.dupes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from photoindex.records import Filters as Filters
    from photoindex.store.library import Library as Library

__version__ = "0.1.0"
_PUBLIC = {"Filters": "photoindex.records", "Library": "photoindex.store.library"}


def __getattr__(name: str) -> Any:
    """Load the public names when they are first used, so that the command line starts at once."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'photoindex' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)
