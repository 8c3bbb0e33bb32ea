"""The user's words, kept in the library's folder before a command that could harm them."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from photoindex.errors import BackupNotWritten
from photoindex.keeping.words import read_words, words_object
from photoindex.store.backup_file import new_file
from photoindex.store.library import Library
from photoindex.store.upgrade import BACKUPS, keep_newest

_KEPT = 10


def keep_words(library: Library, before: str, photos: Collection[str] | None = None) -> Path:
    """Write the user's words (only those about `photos`) to `backups` in the library's folder. Returns the file.

    The newest few of those with all words are kept. Raises BackupNotWritten.
    """
    folder = library.folder / BACKUPS
    words = read_words(library) if photos is None else read_words(library).about(photos)
    stem = f"words-before-{before}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BackupNotWritten(folder, error.strerror or str(error)) from error
    target, again = folder / f"{stem}.json", 1
    while target.exists():
        again += 1
        target = folder / f"{stem}-{again}.json"
    with new_file(target) as part:
        part.write_text(json.dumps(words_object(words, str(library.folder)), indent=1))
    if photos is None:  # of what is forgotten nothing else may be left
        keep_newest(folder, f"words-before-{before}-*.json", _KEPT)
    return target
