"""photoindex makes a photo library searchable on your own machine.

    from photoindex import Library, SearchOptions, find, load_registry, read_settings

    settings = read_settings()
    library = Library.open(settings.library)
    registry = load_registry(settings.user_models)
    found = find(library, "beach -people camera:pixel", registry, settings.models_dir, SearchOptions(limit=0))
    for hit in found.hits:
        print(hit.photo.path)

Everything that a command does has a function of its name: `photoindex.scan.scan`, `photoindex.search.find`,
`photoindex.search.similar`, `photoindex.search.pick`, `photoindex.dupes.dupes`, `photoindex.saved` for collections,
`photoindex.exporting` and `photoindex.store.sql.ask_sql`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from photoindex.config import read_settings as read_settings
    from photoindex.models.registry import load_registry as load_registry
    from photoindex.search import SearchOptions as SearchOptions
    from photoindex.search import find as find
    from photoindex.search import similar as similar
    from photoindex.store.library import Library as Library

__version__ = "0.1.0"
_PUBLIC = {
    "Library": "photoindex.store.library",
    "SearchOptions": "photoindex.search",
    "find": "photoindex.search",
    "similar": "photoindex.search",
    "load_registry": "photoindex.models.registry",
    "read_settings": "photoindex.config",
}


def __getattr__(name: str) -> Any:
    """Load the public names when they are first used, so that the command line starts at once."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'photoindex' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)
