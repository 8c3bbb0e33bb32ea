"""Reciprocal rank fusion of text and vector lists."""

import pytest

from photoindex.pure.fusion import reciprocal_rank_fusion


def test_a_score_is_the_sum_of_one_over_sixty_plus_rank() -> None:
    fused = dict(reciprocal_rank_fusion({"text": [7, 8], "vector": [8, 9]}))
    assert fused == {8: pytest.approx(1 / 62 + 1 / 61), 7: pytest.approx(1 / 61), 9: pytest.approx(1 / 62)}


def test_what_both_lists_hold_comes_before_the_best_of_one() -> None:
    fused = reciprocal_rank_fusion({"text": [1, 2, 3], "vector": [4, 5, 3]})
    assert [photo for photo, _ in fused] == [3, 1, 4, 2, 5]


def test_ties_keep_the_order_of_the_lists() -> None:
    fused = reciprocal_rank_fusion({"a": [10, 20, 30], "b": [20, 30, 10], "c": [30, 10, 20]})
    assert [photo for photo, _ in fused] == [10, 20, 30]
    assert len({score for _, score in fused}) == 1


def test_a_weight_makes_one_list_count_more_and_zero_not_at_all() -> None:
    lists = {"text": [1, 2], "vector": [3, 4]}
    heavier = reciprocal_rank_fusion(lists, weights={"vector": 2.0})
    assert [photo for photo, _ in heavier] == [3, 4, 1, 2]
    assert heavier[0][1] == pytest.approx(2 / 61)
    assert [photo for photo, _ in reciprocal_rank_fusion(lists, weights={"text": 0.0})] == [3, 4]


def test_a_larger_k_lets_agreement_outweigh_a_first_rank() -> None:
    lists = {"text": [1, 5, 6, 2], "vector": [7, 8, 9, 2]}
    assert reciprocal_rank_fusion(lists, k=0)[0][0] == 1
    assert reciprocal_rank_fusion(lists, k=60)[0][0] == 2


def test_an_id_told_twice_in_a_list_counts_once_at_its_first_rank() -> None:
    assert reciprocal_rank_fusion({"text": [1, 1, 2]}) == reciprocal_rank_fusion({"text": [1, 2]})


def test_no_lists_and_empty_lists_give_nothing() -> None:
    assert reciprocal_rank_fusion({}) == []
    assert reciprocal_rank_fusion({"text": [], "vector": []}) == []


def test_wrong_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="vectr"):
        reciprocal_rank_fusion({"vector": [1]}, weights={"vectr": 2.0})
    with pytest.raises(ValueError, match="negative"):
        reciprocal_rank_fusion({"vector": [1]}, weights={"vector": -1.0})
