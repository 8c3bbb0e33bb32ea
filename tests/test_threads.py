"""Iterators run side by side."""

import threading
from collections.abc import Iterator

import pytest

from photoindex.pure.threads import in_threads


def test_everything_comes_once_whatever_the_number_of_threads() -> None:
    for threads in (1, 2, 5):
        parts = (iter(range(k * 100, k * 100 + 100)) for k in range(7))
        assert sorted(in_threads(parts, threads)) == [*range(700)]
    assert [*in_threads(iter(()), 2)] == []


def test_an_error_in_a_part_reaches_the_caller() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(in_threads([iter(range(50)), broken()], 2))


def test_a_caller_that_stops_early_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    parts = in_threads((iter(range(10_000)) for _ in range(4)), 3)
    assert next(parts) >= 0
    parts.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before
