"""The cut of a list of nearest vectors: what unrelated queries reach, and what counts as an answer."""

from __future__ import annotations

import numpy as np
import pytest

from photoindex.pure.cut import FloatArray, Level, cut, level, telling, understood


def groups(unrelated: float, related: float, share: float, n: int = 300, spread: float = 0.015) -> FloatArray:
    rng = np.random.default_rng(7)
    first = rng.normal(unrelated, spread, round(n * (1 - share)))
    return np.concatenate([first, rng.normal(related, spread, n - len(first))]).astype(np.float32)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7])
def test_the_level_parts_what_is_in_the_library_from_what_is_not(share: float) -> None:
    found = level(groups(0.20, 0.29, share))
    assert found is not None
    assert found.mean == pytest.approx(0.20, abs=0.01)
    assert 0.215 < found.least < 0.275


def test_the_level_follows_the_model_and_the_library() -> None:
    """The same groups elsewhere on the scale and wider apart give the same level there."""
    near, far = level(groups(0.20, 0.29, 0.3)), level(groups(0.20, 0.29, 0.3) * 5 - 0.4)
    assert near is not None
    assert far is not None
    assert far.least == pytest.approx(near.least * 5 - 0.4, abs=1e-3)
    assert far.distance(far.least) == pytest.approx(near.distance(near.least), abs=0.05)


def test_where_no_groups_part_only_what_stands_out_is_an_answer() -> None:
    found = level(groups(0.20, 0.20, 0.5))
    assert found is not None
    assert found.least == pytest.approx(0.20 + 3 * 0.015, abs=0.01)


def test_too_few_words_give_no_level_and_equal_ones_no_crash() -> None:
    assert level(np.array([0.1, 0.2, 0.3], np.float32)) is None
    same = level(np.full(50, 0.25, np.float32))
    assert same is not None
    assert np.isfinite([same.mean, same.spread, same.least]).all()


LEVEL = Level(mean=0.10, spread=0.02, least=0.14)


def test_a_query_whose_best_photo_is_below_the_level_has_no_answer() -> None:
    found = cut([0.23, 0.22, 0.21], base=0.2, level=LEVEL)
    assert (found.kept, found.best) == (0, pytest.approx(0.13))


def test_photos_near_the_best_are_kept_and_the_rest_cut() -> None:
    found = cut([0.32, 0.31, 0.29, 0.22, 0.20], base=0.2, level=LEVEL)
    assert found.kept == 3
    assert found.last <= LEVEL.least


def test_a_query_that_is_near_to_everything_must_reach_further() -> None:
    scores = [0.26, 0.25]
    assert cut(scores, base=0.2, level=LEVEL).kept == 2
    assert cut(scores, base=0.25, level=LEVEL).kept == 0


def test_an_empty_list_has_no_answer() -> None:
    assert cut([], 0.2, LEVEL).kept == 0


def test_words_that_the_model_cannot_tell_apart_tell_nothing() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 32))
    vectors[:10] = vectors[0] + rng.normal(size=(10, 32)) * 0.01
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    known = telling(vectors)
    assert known.tolist() == [False] * 10 + [True] * 30
    assert not understood(vectors[3], vectors[~known])
    assert understood(vectors[20], vectors[~known])
    assert understood(vectors[20], vectors[:0])
