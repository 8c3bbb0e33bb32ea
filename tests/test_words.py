"""The words of a query against what a library's texts hold: spellings, coverage, fields."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from photoindex.pure.fold import document
from photoindex.pure.spelling import Terms, completions, edits, misspellings, parted
from photoindex.pure.words import FIELD_END, Match, match, wanted_words


def terms(*documents: str) -> Terms:
    counts = Counter(word for text in documents for word in set(document(text).split()))
    return Terms(b"\n" + b"".join(sorted(f"{term}\t{count}\n".encode() for term, count in counts.items())))


def answer(query: str, *documents: str, guess: bool = False) -> list[Match]:
    """How each document, all of it text in the picture, answers a query of a library of them."""
    wanted = wanted_words(query, terms(*documents), len(documents), guess=guess)
    return [match(document(text), wanted) for text in documents]


# --- spellings ------------------------------------------------------------------------------------------------------


def test_counts_are_of_whole_terms() -> None:
    known = terms("no parking", "parking", "park 12")
    assert [known.count(term) for term in ("parking", "park", "12", "par", "1", "")] == [2, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        *[("motel", "motel", 0), ("omtel", "motel", 1), ("motl", "motel", 1), ("mootel", "motel", 1)],
        *[("mxtxl", "motel", 2), ("ca", "abc", 3), ("", "ab", 2), ("язкыи", "языки", 1)],
    ],
)
def test_edits_count_changed_neighbours_once(one: str, other: str, distance: int) -> None:
    assert edits(one, other, 3) == edits(other, one, 3) == distance
    assert edits(one, other, 0) == (0 if one == other else 1)


def test_words_are_counted_and_completed_in_any_vocabulary() -> None:
    rng = random.Random(1)
    for size in (0, 1, 2, 3, 40):
        words = {"".join(rng.choices("abü", k=rng.randrange(1, 6))) for _ in range(size)}
        counts = {word: n for n, word in enumerate(words, 1)}
        known = Terms(b"\n" + b"".join(sorted(f"{term}\t{count}\n".encode() for term, count in counts.items())))
        for asked in (*words, "a", "ü", "ba", "abab", "z", ""):
            assert known.count(asked) == counts.get(asked, 0)
            assert dict(known.beginning(asked)) == {w: n for w, n in counts.items() if w.startswith(asked)}


def test_a_word_begun_or_part_of_a_longer_one_is_completed() -> None:
    known = terms("coronavirus", "bratwurst wurstsalat", "catalogue", "Дворцовая")
    assert completions("coron", known).keys() == {"coronavirus"}
    whole, inside = completions("wurst", known)["wurstsalat"], completions("wurst", known)["bratwurst"]
    assert 1 > whole > inside > 0
    assert completions("cat", known) == {}  # too short to tell
    assert completions("двор", known).keys() == {"дворцовая"}


@pytest.mark.parametrize("typed", ["aureluis", "arelius", "aurelios", "auurelius", "uarelius", "aureliu"])
def test_one_slip_is_forgiven_wherever_it_is(typed: str) -> None:
    assert "aurelius" in misspellings(typed, terms("Marcus Aurelius", "other words"))


def test_two_slips_are_forgiven_in_long_words_only_and_digits_are_exact() -> None:
    known = terms("coronavirus", "motel", "4711", "cat")
    assert "coronavirus" in misspellings("coronawirsu", known)
    assert misspellings("mutal", known) == {}
    assert misspellings("4712", known) == {}
    assert misspellings("car", known) == {}


def test_words_run_together_are_parted_where_both_are_known() -> None:
    known = terms("no parking", "at any time")
    assert parted("noparking", known) == ("no", "parking")
    assert parted("nosmoking", known) == ("nosmoking",)


# --- answers --------------------------------------------------------------------------------------------------------


def test_a_document_with_one_of_two_words_is_no_whole_answer() -> None:
    both, one, none = answer("no parking", "NO PARKING at any time", "no pets", "beach")
    assert (both.whole, one.whole, none.whole) == (True, False, False)
    assert both.coverage == pytest.approx(1.0)
    assert one.coverage < 0.5
    assert (none.coverage, none.met) == (0.0, ())


def test_words_that_join_others_are_not_asked_for() -> None:
    plain, full = answer("a bridge over the river", "bridge river", "a bridge over the river")
    assert plain.whole
    assert full.score > plain.score
    assert answer("the", "the sea", "sea")[0].whole  # unless there is nothing else


def test_the_words_in_their_order_count_more() -> None:
    ordered, mixed = answer("windows on arm", "runs windows on arm today", "an arm rests on both windows")
    assert ordered.score > mixed.score


def test_an_exact_word_counts_more_than_a_longer_and_that_more_than_a_guess() -> None:
    exact, longer = answer("wurst", "wurst", "wurstsalat")
    assert exact.score > longer.score > 0
    assert answer("wrust", "wurst", guess=False)[0].met == ()
    assert answer("wrust", "wurst", guess=True)[0].met[0].spelling == "wurst"


@pytest.mark.parametrize("query", ["noparking", "no parking", "nop arking"])
def test_words_typed_or_written_as_one_meet_those_typed_as_two(query: str) -> None:
    assert all(found.whole for found in answer(query, "no parking", guess=True)) is (query != "nop arking")
    assert all(found.whole for found in answer(query, "noparking", guess=True))


def test_a_slip_in_a_word_with_a_plural_ending_is_forgiven() -> None:
    assert answer("Bulmeis", "BULMERS ORIGINAL", guess=True)[0].whole
    assert answer("Aurelies", "Marcus Aurelius", guess=True)[0].whole


def test_a_field_is_named_and_weighs() -> None:
    known = terms("dog", "x")
    wanted = wanted_words("dog", known, 2)
    tagged = match(f"x {FIELD_END} dog {FIELD_END} {FIELD_END} {FIELD_END} ", wanted)
    named = match(f"x {FIELD_END} {FIELD_END} {FIELD_END} {FIELD_END} dog", wanted)
    assert (tagged.met[0].field, named.met[0].field) == ("tags", "name")
    assert tagged.score > named.score
    assert tagged.coverage == named.coverage == 1.0


@pytest.mark.parametrize("query", ["我是中国人", "中国", "猫", "ภาษาไทย", "한국어"])
def test_scripts_without_spaces_are_met(query: str) -> None:
    texts = ("我是中国人", "子猫", "ภาษาไทย", "한국어를")
    assert any(found.whole for found in answer(query, *texts))
    assert not answer(query, "latin only")[0].met
