"""The one writer: how much may be finished and not saved yet."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from photoindex.records import Analysed, FoundFile
from photoindex.scan import writer as module
from photoindex.scan.writer import Writer

FILE = FoundFile("/photos/a.jpg", "/photos", 1, 1, 1, 1)
BATCH = [Analysed(FILE, "0" * 64, ())]
A_WHILE = 60.0


class Store:
    """A library whose saving waits until it may go on."""

    def __init__(self) -> None:
        self.vectors = SimpleNamespace(warm_up=lambda: None, compact=lambda: None)
        self.saving, self.go_on, self.saved = threading.Event(), threading.Event(), 0

    def save(self, *_: Any) -> None:
        self.saving.set()
        assert self.go_on.wait(A_WHILE)
        self.saved += 1


def putting(writer: Writer) -> threading.Thread:
    thread = threading.Thread(target=writer.put, args=(BATCH, ()))
    thread.start()
    return thread


def test_the_next_batch_is_taken_only_when_the_last_is_saved() -> None:
    store = Store()
    writer = Writer(store, 1)  # type: ignore[arg-type]
    writer.put(BATCH, ())
    assert store.saving.wait(A_WHILE)
    second = putting(writer)
    second.join(0.2)
    assert second.is_alive()
    store.go_on.set()
    second.join(A_WHILE)
    assert not second.is_alive()
    writer.close()
    assert store.saved == 2


def test_a_batch_is_taken_while_the_texts_of_those_before_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    store, writing, go_on = Store(), threading.Event(), threading.Event()
    store.go_on.set()

    def write(*_: object, **__: object) -> None:
        writing.set()
        assert go_on.wait(A_WHILE)

    monkeypatch.setattr(module, "_PHOTOS_PER_DOCUMENT_COMMIT", 1)
    monkeypatch.setattr(module, "write_due_documents", write)
    writer = Writer(store, 1)  # type: ignore[arg-type]
    writer.put(BATCH, ())
    assert writing.wait(A_WHILE)
    second = putting(writer)
    second.join(A_WHILE)
    assert not second.is_alive()
    go_on.set()
    writer.close()
    assert store.saved == 2


def test_a_store_that_fails_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()

    def fail(*_: object) -> None:
        raise SystemError("the disk burns")

    monkeypatch.setattr(store, "save", fail)
    writer = Writer(store, 1)  # type: ignore[arg-type]
    with pytest.raises(SystemError, match="burns"):
        _put_again_and_again(writer)
    with pytest.raises(SystemError, match="burns"):
        writer.close()


def _put_again_and_again(writer: Writer) -> None:
    for _ in range(3):
        writer.put(BATCH, ())
