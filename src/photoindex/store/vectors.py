"""Every LanceDB call: image vectors, face vectors and the full-text documents.

LanceDB writes; pylance, the library LanceDB is built on, reads the same files, because it is imported in a
fraction of the time and a search is a fresh process. A table's vectors come from one model and its name says
which, so that vectors of another model lie beside them, never among them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from photoindex.durable import sync_file, sync_folder
from photoindex.errors import LibraryCorrupt, LibraryNotWritable
from photoindex.records import Face
from photoindex.store.among import best_among, rows_of, sorted_ids
from photoindex.store.background import Background, BackgroundFile
from photoindex.store.lance_errors import in_words
from photoindex.store.terms import TermsFile, read_terms, write_terms
from photoindex.store.vector_index import FEW, INDEX_FROM, Scored, keep_index, nearest

DOCUMENTS = "documents"
TERMS = "terms.txt"
# Compacting rewrites data, so it waits until queries would feel the difference: rows outside the index are
# scanned at about 2.5 microseconds each, and every commit leaves a fragment behind.
_MAX_UNINDEXED = 4_000
_MAX_FRAGMENTS = 100
# So many ids make one condition: Lance reads it as text.
_DELETED_AT_ONCE = 10_000
# Older states of a table are kept for readers that are in the middle of a question, and for repair.
_KEPT_VERSIONS = timedelta(minutes=5)
# What a process keeps of each table: the index of a million vectors takes 140 MB.
_INDEX_CACHE, _METADATA_CACHE = 1 << 30, 128 << 20
Read = TypeVar("Read")
Ask = TypeVar("Ask", bound=Callable[..., Any])


def image_table(model: str) -> str:
    return f"image-{model}"


def face_table(model: str) -> str:
    return f"face-{model}"


def _again(ask: Ask) -> Ask:
    """Ask once more where files of the state that a question began with were cleared away meanwhile (see `shrink`)."""

    @functools.wraps(ask)
    def asked(*arguments: Any, **named: Any) -> Any:
        try:
            return ask(*arguments, **named)
        except (OSError, ValueError, LibraryCorrupt) as error:
            if "not found" not in str(error).lower():
                raise
            return ask(*arguments, **named)

    return cast("Ask", asked)


class Vectors:
    """The Lance tables of a library, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[Path, tuple[tuple[int, int, int], Any]] = {}
        self._sessions: dict[str, tuple[tuple[int, int], Any]] = {}

    # -- reading

    def has(self, table: str) -> bool:
        return (self.folder / f"{table}.lance").is_dir()

    def count(self, table: str) -> int:
        return int(self._dataset(table).count_rows()) if self.has(table) else 0

    @_again
    def ids(self, table: str) -> npt.NDArray[np.int64]:
        if not self.has(table):
            return np.empty(0, np.int64)
        ids: npt.NDArray[np.int64] = self._dataset(table).to_table(columns=["id"])["id"].to_numpy()
        return ids

    @_again
    def nearest(
        self, table: str, query: npt.NDArray[np.float32], limit: int, among: Collection[int] | None = None
    ) -> Scored:
        """Photos by cosine similarity (-1 to 1) to `query` (width,), best first; filtered before ranking."""
        if not self.has(table) or (among is not None and not among):
            return []
        return nearest(self._dataset(table), query, limit, None if among is None else sorted_ids(among))

    @_again
    def holding(
        self,
        groups: Sequence[Collection[str]],
        limit: int,
        *,
        every: bool,
        among: Collection[int] | None = None,
        texts: int | None = None,
    ) -> list[tuple[int, float, str]]:
        """Documents that hold a word of each group (of any group unless `every`), best first by BM25.

        Words are as `pure.fold.tokens` gives them; nothing in them is syntax. A row is id, score and the document's
        text; only the first `texts` rows have theirs, where that is given.
        """
        query = _words_query(groups, every)
        if query is None or not self.has(DOCUMENTS) or (among is not None and not among):
            return []
        dataset, few = self._dataset(DOCUMENTS), among is None or len(among) <= FEW
        columns = ["id", "_score", *(["text"] if few and (texts is None or texts >= limit) else [])]

        def ask(depth: int) -> Any:
            narrowed = _filter(among) if few else {}
            return dataset.scanner(columns=columns, full_text_query=query, limit=depth, **narrowed).to_table()

        found = ask(limit) if few else best_among(ask, sorted_ids(among or ()), limit, dataset.count_rows())
        ids = found["id"].to_pylist()
        read = found["text"].to_pylist() if "text" in columns else _texts(dataset, ids, texts)
        return list(zip(ids, found["_score"].to_pylist(), read, strict=True))

    def terms(self) -> TermsFile:
        """The words of the documents, as the last `refresh_terms` counted them."""
        return self._kept(self.folder / TERMS, lambda: read_terms(self.folder / TERMS))

    def background(self, table: str) -> Background | None:
        """What the last scan measured of a table of image vectors, without the photos that it counted."""
        file = BackgroundFile(self.folder, table)
        return self._kept(file.path, lambda: file.read(photos=False))

    @_again
    def vectors_of(self, table: str, photo_ids: Collection[int]) -> dict[int, npt.NDArray[np.float16]]:
        if not photo_ids or not self.has(table):
            return {}
        found = rows_of(self._dataset(table), photo_ids, ["id", "vector"])
        width = found.schema.field("vector").type.list_size
        rows = found["vector"].combine_chunks().flatten().to_numpy().reshape(-1, width)
        return dict(zip(found["id"].to_pylist(), rows, strict=True))

    def batches(self, table: str) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]]:
        """Every row of a table: ids (n,) and vectors (n, width), some thousands at a time."""
        for batch in self._dataset(table).to_batches(columns=["id", "vector"], batch_size=8_192):
            width = batch.schema.field("vector").type.list_size
            yield batch["id"].to_numpy(), batch["vector"].flatten().to_numpy().reshape(-1, width)

    def snapshot(self, table: str) -> Any:
        """The table as it is now, as a Lance dataset: what is written later does not show in it."""
        return self._dataset(table)

    # -- writing

    def warm_up(self) -> None:
        """Import what writing needs, which takes seconds."""
        import lancedb  # noqa: F401

    def rename(self, table: str, name: str) -> None:
        """Give a table another name, unless it is not there or the name is taken. Its background goes along."""
        if self.has(table) and not self.has(name):
            with self._explained():
                BackgroundFile(self.folder, table).rename(name)  # first: a table may lack its own, not have another's
                (self.folder / f"{table}.lance").rename(self.folder / f"{name}.lance")

    def put_images(self, model: str, vectors: Mapping[int, npt.NDArray[np.float16]]) -> None:
        """Insert or replace image vectors (width,) float16, and make them durable."""
        if not vectors:
            return
        matrix = np.stack(list(vectors.values()))
        self._merge(image_table(model), {"id": _ids(vectors), "vector": _vector_column(matrix)}, "id")

    def put_faces(self, model: str, faces: Mapping[int, Sequence[Face]]) -> None:
        """Replace all face vectors of these photos; faces without a vector are left out."""
        rows = [(i, n, f.vector) for i, found in faces.items() for n, f in enumerate(found) if f.vector is not None]
        table = face_table(model)
        if self.has(table):
            self._write(table, lambda tb: tb.delete(_among(faces)))
        if not rows:
            return
        matrix = np.stack([row[2] for row in rows]).astype(np.float16)
        columns = {"id": _ids(r[0] for r in rows), "face": [r[1] for r in rows], "vector": _vector_column(matrix)}
        self._merge(table, columns, ["id", "face"])

    def put_documents(self, documents: Mapping[int, str]) -> None:
        """Insert or replace the folded texts that `matching` searches."""
        if documents:
            self._merge(DOCUMENTS, {"id": _ids(documents), "text": list(documents.values())}, "id")

    def make(self, table: str, rows: Any) -> None:
        """A table of `rows` (a pyarrow RecordBatchReader) with its indexes, in place of one of its name."""
        if self.has(table):
            self.drop(table)
        with self._explained():
            self._create(table, rows.schema, rows)

    def remove(self, table: str, photo_ids: Collection[int]) -> None:
        """Delete the rows of these photos."""
        ids = list(photo_ids)
        for at in range(0, len(ids), _DELETED_AT_ONCE):
            self._write(table, lambda tb, at=at: tb.delete(_among(ids[at : at + _DELETED_AT_ONCE])))

    def sweep(self, table: str, known: npt.NDArray[np.int64]) -> int:
        """Delete rows of photos that the catalog does not know: what a killed process had written ahead."""
        orphans = np.setdiff1d(self.ids(table), known)
        self.remove(table, orphans.tolist())
        return len(orphans)

    def drop(self, table: str) -> int:
        """Delete a table. Returns the bytes on disk that it took. Killed in between, it is gone all the same."""
        path, aside = self.folder / f"{table}.lance", self.folder / "dropped"
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        with self._explained():
            BackgroundFile(self.folder, table).remove()
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        return size

    def tables(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.lance"))

    def refresh_terms(self, field_end: str, grown: float = 0.0) -> None:
        """Count the words of the documents anew, if there are `grown` times as many as at the last count."""
        if not self.has(DOCUMENTS) or self.count(DOCUMENTS) < grown * self.terms().documents:
            return
        batches = self._dataset(DOCUMENTS).to_batches(columns=["text"], batch_size=10_000)
        with self._explained():
            texts = (text for batch in batches for text in batch["text"].to_pylist())
            write_terms(self.folder / TERMS, texts, frozenset({field_end}))

    def keep_index(self, table: str, doing: Callable[[str], None] = lambda _: None) -> None:
        """Index a large table of vectors, or its new rows, where it pays: a search never waits for it."""
        rows = self.count(table)
        if rows >= INDEX_FROM:
            self._write(table, lambda tb: keep_index(tb, rows, doing))

    def compact(self, doing: Callable[[str], None] = lambda _: None) -> None:
        """Bring new rows into the indexes and merge small fragments, where it pays. Where it does not, that is found
        without LanceDB, which takes longer to import than a scan that finds nothing new."""
        for name in self.tables():
            dataset = self._dataset(name)
            unindexed = _not_indexed(dataset) if name == DOCUMENTS else 0
            if unindexed > _MAX_UNINDEXED or len(dataset.get_fragments()) > _MAX_FRAGMENTS:
                doing(f"tidy up {name}")
                self._write(name, lambda tb: tb.optimize(cleanup_older_than=_KEPT_VERSIONS))

    def shrink(self) -> None:
        """Bring each table to its least size: one fragment, no deleted rows, no former states."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of readers of those states: they ask again
            for name in self.tables():
                for _ in range(2):  # the first leaves the state of before the indexes took in what is new
                    self._write(name, lambda tb: tb.optimize(cleanup_older_than=timedelta(0), delete_unverified=True))

    # -- inside

    def _kept(self, path: Path, read: Callable[[], Read]) -> Read:
        """What a file holds, read again only where another has taken its place."""
        try:
            stat = path.stat()
        except OSError:
            return read()
        seen, held = self._files.get(path, (None, None))
        if seen != (state := (stat.st_ino, stat.st_size, stat.st_mtime_ns)):
            self._files[path] = state, (held := read())
        return cast("Read", held)

    def _dataset(self, table: str) -> Any:
        """The table as it is now. What Lance has read of it is kept for the next question, until the folder is
        another one or has other parts."""
        import lance

        path = self.folder / f"{table}.lance"
        try:
            stat = path.stat()
            seen, session = self._sessions.get(table, (None, None))
            if session is None or seen != (stat.st_ino, stat.st_ctime_ns):
                session = lance.Session(  # type: ignore[attr-defined]
                    index_cache_size_bytes=_INDEX_CACHE, metadata_cache_size_bytes=_METADATA_CACHE
                )
                self._sessions[table] = (stat.st_ino, stat.st_ctime_ns), session
            return lance.dataset(str(path), session=session)
        except (OSError, ValueError) as error:
            raise LibraryCorrupt(self.folder.parent, f"{table}: {in_words(error)}") from error

    def _merge(self, table: str, columns: Mapping[str, Any], key: str | list[str]) -> None:
        import pyarrow as pa

        rows = pa.table(dict(columns))
        if not self.has(table):
            with self._explained():
                self._create(table, rows.schema)

        def merge(tb: Any) -> None:
            tb.merge_insert(key).when_matched_update_all().when_not_matched_insert_all().execute(rows)

        self._write(table, merge)

    def _create(self, table: str, schema: Any, rows: Any = None) -> None:
        """Make a table of `rows`, or an empty one, with its indexes aside, then move it into place: a table that is
        there is whole."""
        import lancedb
        from lancedb.index import FTS, BTree

        aside = self.folder / "new"
        shutil.rmtree(aside, ignore_errors=True)
        created = lancedb.connect(aside).create_table(table, data=rows, schema=schema)
        created.create_index("id", config=BTree())
        if table == DOCUMENTS:
            # The text is folded by this program before it comes here, so the tokenizer only splits at spaces.
            plain = FTS(
                base_tokenizer="whitespace",
                lower_case=False,
                stem=False,
                remove_stop_words=False,
                ascii_folding=False,
                with_position=True,
            )
            created.create_index("text", config=plain)
        _sync(aside / f"{table}.lance", 0.0)
        (aside / f"{table}.lance").rename(self.folder / f"{table}.lance")

    def _write(self, table: str, act: Any) -> None:
        before = time.time() - 1.0
        with self._explained():
            act(self._open(table))
            _sync(self.folder / f"{table}.lance", before)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Lance tells of a full or failing disk by OSError or RuntimeError, as the place in its code has it."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            raise LibraryNotWritable(self.folder.parent, in_words(error)) from error

    def _open(self, table: str) -> Any:
        return self._connect().open_table(table)

    def _connect(self) -> Any:
        import lancedb

        return lancedb.connect(self.folder)


def _words_query(groups: Sequence[Collection[str]], every: bool) -> Any:
    from lance.query import BooleanQuery, MatchQuery, Occur

    groups = [group for group in groups if group]
    if every and len(groups) > 1:
        return BooleanQuery([(Occur.MUST, MatchQuery(" ".join(group), "text")) for group in groups])
    words = dict.fromkeys(word for group in groups for word in group)
    return MatchQuery(" ".join(words), "text") if words else None


def _not_indexed(documents: Any) -> int:
    """Rows that the full-text index does not have yet: each is read at every search."""
    try:
        return int(documents.stats.index_stats("text_idx")["num_unindexed_rows"])
    except KeyError:
        return 0  # a table without the index is made anew by `check --repair`, not here


def _sync(table: Path, since: float) -> None:
    """fsync what was written after `since`: Lance leaves it to the kernel, and a power cut would empty it."""
    indexes = (table / "_indices").glob("*")
    for folder in (*indexes, *(table / part for part in ("data", "_deletions", "_transactions", "_versions"))):
        if not folder.is_dir():
            continue
        fresh = [entry.path for entry in os.scandir(folder) if entry.stat().st_mtime >= since]
        for path in fresh:
            sync_file(path)
        if fresh:
            sync_folder(folder)


def _ids(values: Any) -> Any:
    import pyarrow as pa

    return pa.array(list(values), pa.int64())


def _vector_column(matrix: npt.NDArray[np.float16]) -> Any:
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(matrix, np.float16).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _among(photo_ids: Collection[int]) -> str:
    return f"id IN ({', '.join(str(int(i)) for i in photo_ids)})"


def _filter(among: Collection[int] | None) -> dict[str, Any]:
    return {} if among is None else {"filter": _among(among), "prefilter": True}


def _texts(dataset: Any, photo_ids: Sequence[int], count: int | None) -> list[str]:
    """The texts of the first `count` documents, or of all; of the others it is empty."""
    first = photo_ids if count is None else photo_ids[:count]
    if not first:
        return [""] * len(photo_ids)
    found = dataset.to_table(columns=["id", "text"], filter=_among(first))
    texts = dict(zip(found["id"].to_pylist(), found["text"].to_pylist(), strict=True))
    return [texts.get(photo_id, "") for photo_id in photo_ids]
