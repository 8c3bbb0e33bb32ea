"""Looks at pairs of photos by their thumbnails, compares all pixels where it matters, and remembers both."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from photoindex.dupes.alignment import SmallPicture, look
from photoindex.dupes.candidates import Candidates, Files
from photoindex.errors import LibraryBusy, LibraryNotWritable
from photoindex.media.source import MAX_PIXELS, Need, SourcePicture, open_source
from photoindex.media.unreadable import Unreadable
from photoindex.media.views import fit_size
from photoindex.records import DupeFacts, FoundFile, Look, PhotoRow
from photoindex.steps.opencv_guard import require_opencv
from photoindex.store.library import Library

# Raised when the way of looking changes: what was remembered then counts for nothing.
VERSION = 7
_SIDE = 400
_DECODED_SIDE = 600
_KEPT = 384  # small pictures, about 0.6 MB each with their corners
_BATCH = 1024
_OF_PIXELS, _OF_BYTES = 16, 20  # bytes of a digest
Pair = tuple[int, int]


def looks(
    library: Library,
    photos: Sequence[DupeFacts],
    pairs: Candidates,
    files: Files,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[Pair, Look]:
    """How each pair of positions looks. Left out are pairs of which one has neither a thumbnail nor a readable file.

    What was looked at before is remembered in the library; a scan that writes it meanwhile only keeps new answers from
    being remembered. Raises DependencyBroken where OpenCV does not load.
    """
    ids = {(i, j): (photos[i].photo_id, photos[j].photo_id) for i, j in pairs}
    known = library.likeness.looks([*ids.values()], VERSION)
    # Which turn is tried depends on tiers and threshold; what another turn showed is no answer.
    found = {pair: old for pair, turn in pairs.items() if (old := known.get(ids[pair])) and old.turn == turn}
    missing = sorted(pair for pair in pairs if pair not in found)
    if missing:
        require_opencv()
    pictures = SmallPictures(library, photos, files)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for at in range(0, len(missing), _BATCH):
            batch = missing[at : at + _BATCH]
            new = dict(zip(batch, pool.map(lambda pair: pictures.look(pair, pairs[pair]), batch), strict=True))
            seen = {pair: answer for pair, answer in new.items() if answer is not None}
            remember(library, {ids[pair]: answer for pair, answer in seen.items()}, {})
            found |= seen
            if len(missing) > _BATCH:
                progress(at + len(batch), len(missing))
    return found


def digests(library: Library, photos: Collection[DupeFacts], files: Files, *, keep: bool = True) -> dict[int, bytes]:
    """A digest of all pixels of each photo id (see `pixel_digest`), none where its files cannot be decoded just now.

    New ones are remembered unless `keep` is False: threads that read the library must not write it, for the catalog
    is open in one way at a time.
    """
    found = library.likeness.digests([photo.photo_id for photo in photos], VERSION)
    missing = [photo for photo in photos if photo.photo_id not in found]
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        values = pool.map(lambda photo: digest_of_files(files[photo.photo_id]), missing)
        new = {photo.photo_id: value for photo, value in zip(missing, values, strict=True) if value}
    if keep:
        remember(library, {}, new)
    return found | new


def remember(library: Library, looks: Mapping[Pair, Look], digests: Mapping[int, bytes]) -> None:
    """Keep answers for the next time, unless the library is being written or cannot be."""
    if not looks and not digests:
        return
    if library.catalog.file.writable:
        library.likeness.remember(looks, digests, VERSION)
        return
    with contextlib.suppress(LibraryBusy, LibraryNotWritable), Library.writing(library.folder) as writing:
        writing.likeness.remember(looks, digests, VERSION)


def digest_of_files(rows: Iterable[PhotoRow]) -> bytes:
    for row in _in_reach(rows):
        source = opened(row.path, row.photo)
        if source is not None:
            with contextlib.suppress(Unreadable):
                return pixel_digest(source)
    return b""


def _in_reach(rows: Iterable[PhotoRow]) -> Iterable[PhotoRow]:
    """Without those of folders that may give no answer for minutes."""
    return (row for row in rows if not row.offline)


def pixel_digest(source: SourcePicture) -> bytes:
    """BLAKE2b of the size and every upright sRGB pixel. Raises Unreadable.

    Pages, frames, bits below the eighth and transparency do not show in those: a picture with any of them has a digest
    of its bytes, and so equal pixels with nothing but itself.
    """
    image = source.opened.pixels(None, MAX_PIXELS).convert("RGB")
    if not source.opened.is_all_shown():
        return hashlib.blake2b(source.data, digest_size=_OF_BYTES).digest()
    return hashlib.blake2b(image.tobytes(), digest_size=_OF_PIXELS, salt=str(image.size).encode()[:16]).digest()


def pixels_equal(one: bytes | None, other: bytes | None) -> bool | None:
    """Of two digests; None where one is missing or of its bytes, which do not tell."""
    if not one or not other or {len(one), len(other)} != {_OF_PIXELS}:
        return None
    return one == other


def opened(path: str, sha256: str | None = None, short_side: int | None = None) -> SourcePicture | None:
    """A file as a picture, or None where it cannot be read or (`sha256`) has other content by now."""
    try:
        status = os.stat(path)
        found = FoundFile(path, "", status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
        source = open_source(found, Need(short_side))
    except (OSError, Unreadable):
        return None
    return source if sha256 in (None, source.sha256) else None


def small_picture(source: SourcePicture) -> SmallPicture:
    """As thumbnails are. Raises Unreadable."""
    image = source.at_least(_DECODED_SIDE)
    return SmallPicture(np.asarray(image.resize(fit_size(image.size, _SIDE), reducing_gap=1.5)))


class SmallPictures:
    """The small pictures of a library's photos, the ones used last kept. Threads may share it."""

    def __init__(self, library: Library, photos: Sequence[DupeFacts], files: Files) -> None:
        self._library, self._photos, self._files = library, photos, files
        self._kept: OrderedDict[int, SmallPicture | None] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, pair: Pair, turn: int) -> Look | None:
        one, other = self.get(pair[0]), self.get(pair[1])
        return look(one, other, turn) if one and other else None

    def get(self, at: int) -> SmallPicture | None:
        """That of the photo at this position; None where it has neither a thumbnail nor a readable file."""
        with self._lock:
            if at in self._kept:
                self._kept.move_to_end(at)
                return self._kept[at]
        picture = self._load(self._photos[at])
        with self._lock:
            self._kept[at] = picture
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return picture

    def _load(self, photo: DupeFacts) -> SmallPicture | None:
        from PIL import Image

        with contextlib.suppress(OSError), Image.open(self._library.thumbnail_path(photo.sha256)) as image:
            return SmallPicture(np.asarray(image.convert("RGB")))
        for row in _in_reach(self._files[photo.photo_id]):
            source = opened(row.path, photo.sha256, _DECODED_SIDE)
            if source is not None:
                with contextlib.suppress(Unreadable):
                    return small_picture(source)
        return None
