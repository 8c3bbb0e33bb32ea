"""Forgetting photos: what the library knows of them, never the photos themselves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from photoindex.errors import UsageError
from photoindex.keeping.automatic import keep_words
from photoindex.keeping.words import read_words
from photoindex.pure.words import FIELD_END
from photoindex.scan.documents import write_due_documents
from photoindex.store.forgetting import below, forget_paths, forget_words, missing, of_photos
from photoindex.store.library import Library


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What would be forgotten: `paths` of files, and the `photos` (SHA-256) of which no other file is known; `present`:
    how many of those files are there. `folders`: scanned folders that are forgotten with their files; `collections`
    and `decisions`: how many of them speak of these photos, which stays unless that is to go too; `copies`: of photos
    that were asked for, how many files hold the same bytes as another of these files and so go with it."""

    paths: tuple[str, ...]
    photos: tuple[str, ...]
    present: int
    folders: tuple[str, ...] = ()
    collections: int = 0
    decisions: int = 0
    copies: int = 0


def forgetting_photos(library: Library, photo_ids: Sequence[int]) -> Forgetting:
    """All files of these photos."""
    what = _forgetting(library, of_photos(library.catalog.file, photo_ids))
    return replace(what, copies=len(what.paths) - len(what.photos))


def forgetting_files(library: Library, root: Path | None = None) -> Forgetting:
    """The files that are missing; with `root` all files below that folder. Raises UsageError where it is unknown."""
    if root is None:
        return _forgetting(library, missing(library.catalog.file))
    path = os.path.abspath(os.path.expanduser(root))
    inside = path.rstrip(os.sep) + os.sep
    folders = tuple(f for f in library.queries.status().roots if f == path or f.startswith(inside))
    files = below(library.catalog.file, path)
    if not files and not folders:
        known = ", ".join(library.queries.status().roots) or "none"
        raise UsageError(f"The library knows no file below {path}. Its folders: {known}.")
    return _forgetting(library, files, folders)


def _forgetting(library: Library, files: Sequence[tuple[str, bool]], folders: tuple[str, ...] = ()) -> Forgetting:
    paths = tuple(path for path, _ in files)
    photos = tuple(library.catalog.only_at(paths))
    words = read_words(library).about(set(photos))
    present = sum(there for _, there in files)
    return Forgetting(paths, photos, present, folders, len(words.collections), len(words.decisions))


def forget(library: Library, what: Forgetting, *, words: bool = False) -> Path:
    """Forget it, in a library that is open for writing. Returns the file that keeps the user's words about it.

    What the user said (decisions, places in collections) is kept by content, and meets the photos again when they are
    scanned again; `words` removes that too. Killed on the way, the next scan or `check --repair` removes the rest.
    Raises BackupNotWritten, and then nothing was forgotten.
    """
    kept = keep_words(library, "forget", set(what.photos))
    forget_paths(library.catalog.file, what.paths, what.folders)
    if words:
        forget_words(library.catalog.file, what.photos)
    library.drop_unheld()
    library.near.remove()
    write_due_documents(library)
    library.vectors.refresh_terms(FIELD_END)  # even where no document was written
    return kept
