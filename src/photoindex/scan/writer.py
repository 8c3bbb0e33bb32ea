"""The one writer: a thread that saves batch after batch while the next one is analysed."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from photoindex.errors import PhotoindexError
from photoindex.events import during, timed
from photoindex.records import Analysed, FoundFile, Problem
from photoindex.scan.documents import write_due_documents
from photoindex.store.library import Library

# The full-text index takes larger commits than the catalog: each leaves a fragment that queries must visit.
_PHOTOS_PER_DOCUMENT_COMMIT = 1_000
_Batch = tuple[Sequence[Analysed], Sequence[tuple[FoundFile, Problem]]]


class Writer:
    """Saves what it is given, in order. It takes the next batch only when the last one is saved, so that a scan that is
    killed repeats at most two batches: the one that was being written, and what was done of the next.

    An error of the store is raised at the next call: a store that cannot write stops the scan.
    """

    def __init__(self, library: Library, run_id: int) -> None:
        self._library = library
        self._run_id = run_id
        self._queue: queue.Queue[_Batch | None] = queue.Queue()
        self._all_saved = threading.Semaphore(1)
        self._error: BaseException | None = None
        self._since_documents = 0
        self.waited_s = 0.0
        self._thread = threading.Thread(target=self._work, name="writer")
        self._thread.start()

    def put(self, batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]]) -> None:
        started = time.perf_counter()
        self._all_saved.acquire()
        self._queue.put((batch, unreadable))
        self.waited_s += time.perf_counter() - started
        self._check()

    def close(self) -> None:
        """Wait until everything is saved. Raises what the store raised."""
        started = time.perf_counter()
        self._queue.put(None)
        self._thread.join()
        self.waited_s += time.perf_counter() - started
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        self._attempt(self._library.vectors.warm_up)  # beside the decoding, or the end of a stopped scan waits for it
        while (batch := self._queue.get()) is not None:
            self._attempt(self._save, *batch)
            self._all_saved.release()
            self._attempt(self._write_documents)  # derived from what is saved: the next batch need not wait

    def _attempt(self, act: Callable[..., None], *given: object) -> None:
        """Unless something failed before. What fails is raised in the main thread by `_check`."""
        if self._error is None:
            try:
                act(*given)
            except BaseException as error:  # noqa: BLE001 - carried to the main thread
                self._error = error

    def _save_rows(self, batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]]) -> None:
        """Save a batch; where its data is refused, one photo at a time, so that only the guilty one fails."""
        try:
            self._library.save(batch, unreadable, self._run_id)
        except PhotoindexError:
            raise
        except Exception as error:
            if not batch:
                raise
            if len(batch) == 1:
                text = f"What it says cannot be saved: {' '.join(str(error).split())[:200]}"
                self._library.save((), [*unreadable, (batch[0].file, Problem("not_saved", text))], self._run_id)
                return
            for item in batch:
                self._save_rows([item], ())
            self._save_rows((), unreadable)

    def _save(self, batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]]) -> None:
        counts = {"photos": len(batch), "unreadable": len(unreadable)}
        files = [item.file.path for item in batch]
        with timed("batch_committed", logging.DEBUG, **counts), during("saving", files):
            self._save_rows(batch, unreadable)
        self._since_documents += len(batch)

    def _write_documents(self) -> None:
        if self._since_documents >= _PHOTOS_PER_DOCUMENT_COMMIT:
            self._since_documents = 0
            write_due_documents(self._library, more_to_come=True)
            self._library.vectors.compact()
