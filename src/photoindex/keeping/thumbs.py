"""Thumbnails against the catalog: which are not there or cut short, and which belong to nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from photoindex.store.library import Library
from photoindex.store.soundness import make_due_again, thumbnailed

_HEAD, _TAIL = b"\xff\xd8\xff", b"\xff\xd9"  # of a JPEG


@dataclass(slots=True)
class Thumbs:
    """`gone` and `broken`: photo ids of thumbnails that were made; `orphans`: files that are no photo's thumbnail."""

    whole: int = 0
    gone: list[int] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    orphans: list[Path] = field(default_factory=list)


def look_at_thumbnails(library: Library) -> Thumbs:
    """Every one: two reads of a few bytes each. A file of zeros, as a power cut leaves it, or a cut one is broken."""
    found, known = Thumbs(), thumbnailed(library.catalog.file)
    for sha256, photo_id in known.items():
        state = _state(library.thumbnail_path(sha256))
        if state is None:
            found.gone.append(photo_id)
        elif state:
            found.whole += 1
        else:
            found.broken.append(photo_id)
    photos = set(library.catalog.all_shas())  # one whose thumbnail is due again may have the old one still
    found.orphans = [path for path in _files(library.folder / "cache" / "thumbnails") if not _belongs(path, photos)]
    return found


def mend_thumbnails(library: Library, found: Thumbs) -> None:
    """Delete what is broken and what belongs to nothing; the next scan makes what is not there."""
    broken = set(found.broken)
    paths = [library.thumbnail_path(sha) for sha, i in thumbnailed(library.catalog.file).items() if i in broken]
    make_due_again(library.catalog.file, "thumbnail", [*found.gone, *found.broken])
    for path in (*found.orphans, *paths):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _belongs(path: Path, photos: set[str]) -> bool:
    return path.suffix == ".jpg" and path.stem in photos and path.parts[-3:-1] == (path.stem[:2], path.stem[2:4])


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names)


def _state(path: Path) -> bool | None:
    """Whether a thumbnail is whole; None where it is not there."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_HEAD))
            file.seek(-min(len(_TAIL), os.fstat(file.fileno()).st_size), os.SEEK_END)
            return head == _HEAD and file.read() == _TAIL
    except FileNotFoundError:
        return None
    except OSError:
        return False
