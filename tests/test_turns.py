"""The hash whose turned forms follow from it."""

import numpy as np
import pytest

from photoindex.pure.turns import OTHER_QUARTER, QUARTER, TURNS, turn_hash, turned_hashes, turned_pixels


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (64, 64), dtype=np.uint8)


def as_array(value: bytes) -> np.ndarray:
    return np.frombuffer(value, np.uint8)[None]


def bits_between(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(one ^ other).sum())


@pytest.mark.parametrize("turn", range(8))
def test_a_turned_picture_has_the_turned_hash(turn: int) -> None:
    picture = noise(1)
    predicted = turned_hashes(as_array(turn_hash(picture)), turn)
    assert bits_between(predicted, as_array(turn_hash(turned_pixels(picture, turn)))) == 0


def test_the_eight_forms_differ_from_each_other_and_from_another_picture() -> None:
    mine = as_array(turn_hash(noise(1)))
    forms = [turned_hashes(mine, turn) for turn in range(len(TURNS))]
    assert all(bits_between(one, other) > 60 for i, one in enumerate(forms) for other in forms[:i])
    assert all(bits_between(form, as_array(turn_hash(noise(2)))) > 60 for form in forms)


def test_only_the_quarter_turns_are_not_their_own_inverse() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for turn in range(8):
        inverse = {QUARTER: OTHER_QUARTER, OTHER_QUARTER: QUARTER}.get(turn, turn)
        assert (turned_pixels(turned_pixels(picture, turn), inverse) == picture).all()


def test_a_quarter_turn_goes_clockwise() -> None:
    assert turned_pixels(np.array([[1, 2], [3, 4]], np.uint8), QUARTER).tolist() == [[3, 1], [4, 2]]


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="64 x 64"):
        turn_hash(np.zeros((32, 64), np.uint8))
