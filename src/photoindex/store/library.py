"""A library: one folder with the catalog, the vectors and the thumbnails, and the one writer it may have."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from photoindex.errors import LibraryBusy, LibraryNotFound, LibraryNotWritable
from photoindex.events import lasting
from photoindex.records import Analysed, FoundFile, Problem
from photoindex.store.catalog import Catalog, Wanted
from photoindex.store.collections import Collections
from photoindex.store.decisions import Decisions
from photoindex.store.let_go import LetGo
from photoindex.store.likeness import Likeness
from photoindex.store.near_file import NearFile
from photoindex.store.queries import Queries
from photoindex.store.runs import Runs
from photoindex.store.swap import finish_swap, is_pending
from photoindex.store.tag_scores import TagScores
from photoindex.store.thumbnails import write_thumbnails
from photoindex.store.unheld import forget_unheld
from photoindex.store.vectors import Vectors, face_table, image_table

_TABLES = {"embedding": image_table, "faces": face_table}


def vectors_version(table: str) -> str:
    """The setting that says which version of its model a table's vectors are of."""
    return f"version of {table}"


class Library:
    """An index directory.

    Open one with `Library.open(folder)` to ask, or inside `Library.writing(folder)` to change it.
    """

    def __init__(self, folder: Path | str, writable: bool = False) -> None:
        self.folder = Path(folder)
        self.catalog = Catalog(self.folder / "catalog.duckdb", writable)

    @classmethod
    def open(cls, folder: Path | str) -> Library:
        """A library for reading. Raises LibraryNotFound."""
        folder = Path(folder)
        if is_pending(folder):
            with writer_lock(folder):
                pass
        if not (folder / "catalog.duckdb").is_file():
            raise LibraryNotFound(folder)
        return cls(folder)

    @classmethod
    @contextlib.contextmanager
    def writing(cls, folder: Path | str) -> Iterator[Library]:
        """The library as its only writer, made or upgraded where needed. Raises LibraryBusy and others."""
        folder = Path(folder)
        with writer_lock(folder), lasting("lock_acquired", "lock_released", library=str(folder)):
            library = cls(folder, writable=True)
            library.catalog.file.create()
            yield library

    @cached_property
    def queries(self) -> Queries:
        return Queries(self.catalog.file)

    @cached_property
    def tag_scores(self) -> TagScores:
        return TagScores(self.catalog.file)

    @cached_property
    def collections(self) -> Collections:
        return Collections(self.catalog.file)

    @cached_property
    def decisions(self) -> Decisions:
        return Decisions(self.catalog.file)

    @cached_property
    def runs(self) -> Runs:
        return Runs(self.catalog.file)

    @cached_property
    def let_go(self) -> LetGo:
        return LetGo(self.catalog)

    @cached_property
    def likeness(self) -> Likeness:
        return Likeness(self.catalog.file)

    @cached_property
    def near(self) -> NearFile:
        return NearFile(self.folder)

    @cached_property
    def vectors(self) -> Vectors:
        return Vectors(self.folder / "vectors")

    def thumbnail_path(self, sha256: str) -> Path:
        """Where the thumbnail of a photo lies: a JPEG, longest side 400, upright, sRGB."""
        return self.folder / "cache" / "thumbnails" / sha256[:2] / sha256[2:4] / f"{sha256}.jpg"

    def sizes(self) -> dict[str, int]:
        """Bytes on disk by part."""
        parts = {"catalog": "catalog.duckdb*", "vectors": "vectors/**/*", "thumbnails": "cache/thumbnails/**/*"}
        return {
            name: sum(path.stat().st_size for path in self.folder.glob(pattern) if path.is_file())
            for name, pattern in parts.items()
        }

    def save(
        self, batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]] = (), run_id: int = 0
    ) -> None:
        """Save a batch: thumbnails and vectors first, then the catalog, whose commit makes it count.

        A process killed in between leaves only rows that the same photos will overwrite.
        """
        batch, clashing = self._without_clashes(batch)
        unreadable = [*unreadable, *clashing]
        done = [(item, o) for item in batch for o in item.outcomes if o.status == "done"]
        self._write_thumbnails({item.sha256: o.facts for item, o in done if o.step == "thumbnail"})
        for model in sorted({o.model or "" for _, o in done if o.step == "embedding"}):
            mine = {i.photo_id: o.facts for i, o in done if o.step == "embedding" and o.model == model}
            self.vectors.put_images(model, mine)
        for model in sorted({o.model or "" for _, o in done if o.step == "faces"}):
            faces = {i.photo_id: o.facts for i, o in done if o.step == "faces" and o.model == model}
            self.vectors.put_faces(model, faces)
        self.catalog.save(batch, unreadable, run_id)

    def drop_unheld(self) -> int:
        """Forget photos that no file holds any more (see `unheld`) in both stores, and their thumbnails. Returns how
        many. A process killed on the way leaves vectors that the next scan sweeps."""
        gone = forget_unheld(self.catalog.file)
        if gone:
            known = np.array(self.catalog.photo_ids(), np.int64)
            for table in self.vectors.tables():
                self.vectors.sweep(table, known)
            for sha256 in gone:
                with contextlib.suppress(OSError):  # one that stays takes a little room, and nothing else
                    self.thumbnail_path(sha256).unlink(missing_ok=True)
        return len(gone)

    def expect_versions(self, wanted: Sequence[Wanted]) -> None:
        """Before a scan: what each model saves belongs to this version of it.

        The vectors of another version go to a table of their own, with its fingerprint in the name, and come back
        when that version does: tables called by a model's name alone hold those of its present version. What was
        saved before versions were noted counts as made by the present one.
        """
        known = self.catalog.settings()
        for want in wanted:
            if want.step in _TABLES and want.model and want.fingerprint:
                table = _TABLES[want.step](want.model)
                key = vectors_version(table)
                if known.get(key, want.fingerprint) != want.fingerprint:
                    self.vectors.rename(table, f"{table}.{known[key]}")
                    self.vectors.rename(f"{table}.{want.fingerprint}", table)
                if known.get(key) != want.fingerprint:
                    self.catalog.set_setting(key, want.fingerprint)
        self.catalog.adopt(wanted)

    def _without_clashes(self, batch: Sequence[Analysed]) -> tuple[Sequence[Analysed], list[tuple[FoundFile, Problem]]]:
        """Set aside files whose id (64 bits of the SHA-256) already belongs to other content."""
        owners = self.catalog.known_shas({item.sha256 for item in batch})
        clashing = []
        for item in batch:
            if owners.setdefault(item.photo_id, item.sha256) != item.sha256:
                clashing.append((item.file, Problem("id_clash", "Its SHA-256 begins like that of another photo.")))
        lost = {file.path for file, _ in clashing}
        return [item for item in batch if item.file.path not in lost], clashing

    def _write_thumbnails(self, jpegs: Mapping[str, bytes]) -> None:
        try:
            write_thumbnails({self.thumbnail_path(sha256): jpeg for sha256, jpeg in jpegs.items()})
        except OSError as error:
            raise LibraryNotWritable(self.folder, error.strerror or str(error)) from error


@contextlib.contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Be the only writer of the library in `folder`, whatever state it is in. Raises LibraryBusy, LibraryNotWritable.

    A library that a killed process was about to put in place there is put in place first.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "writer.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise LibraryBusy(folder, *_read_holder(folder)) from None
    except OSError as error:
        raise LibraryNotWritable(folder, error.strerror or str(error)) from error
    try:
        _begin(folder)
        yield
    finally:
        lock.release()


def _begin(folder: Path) -> None:
    try:
        _write_holder(folder)
        finish_swap(folder)
    except OSError as error:
        raise LibraryNotWritable(folder, error.strerror or str(error)) from error


def _write_holder(folder: Path) -> None:
    """Whole at every moment: whoever is refused reads who was the writer before, or who is now."""
    part = folder / "writer.part"
    part.write_text(json.dumps({"pid": os.getpid(), "since": time.time()}))
    part.replace(folder / "writer.json")


def _read_holder(folder: Path) -> tuple[int | str, str]:
    try:
        holder = json.loads((folder / "writer.json").read_text())
        return int(holder["pid"]), datetime.fromtimestamp(holder["since"]).strftime("%Y-%m-%d %H:%M:%S")
    except (OSError, ValueError, KeyError):
        return "unknown", "an unknown time"
