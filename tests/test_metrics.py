"""Recall, nDCG and reciprocal rank, against values worked out by hand."""

from __future__ import annotations

from math import log2

import pytest

from photoindex.pure.metrics import ndcg, recall, reciprocal_rank, without


def test_recall_is_of_as_many_as_could_be_shown() -> None:
    assert recall(["a", "x", "b"], {"a", "b", "c"}, 2) == 0.5
    assert recall(["a", "x", "b"], {"a", "b", "c"}, 3) == pytest.approx(2 / 3)
    assert recall(["x", "a"], {"a"}, 5) == 1.0
    assert recall([], {"a"}, 5) == 0.0


def test_gain_is_discounted_by_the_logarithm_of_the_place() -> None:
    assert ndcg(["a", "b"], {"a", "b"}, 10) == 1.0
    assert ndcg(["x", "a"], {"a"}, 10) == pytest.approx(1 / log2(3))
    assert ndcg(["a", "x", "b"], {"a", "b"}, 10) == pytest.approx((1 + 1 / 2) / (1 + 1 / log2(3)))
    assert ndcg(["x", "a"], {"a"}, 1) == 0.0
    assert ndcg(["a"], {"a", "b"}, 1) == 1.0


def test_the_reciprocal_rank_is_of_the_first_relevant_one() -> None:
    assert reciprocal_rank(["x", "y", "b", "a"], {"a", "b"}) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x"], {"a"}) == 0.0


def test_what_counts_neither_way_is_taken_out() -> None:
    assert without(["a", "copy", "b", "a"], {"copy"}) == ["a", "b"]


def test_a_query_without_relevant_photos_has_none_of_these() -> None:
    for measure in (lambda: recall(["a"], set(), 5), lambda: ndcg([], set(), 5), lambda: reciprocal_rank([], set())):
        with pytest.raises(ValueError, match="no recall"):
            measure()
    with pytest.raises(ValueError, match="at least 1"):
        ndcg(["a"], {"a"}, 0)
