"""A search for turned hashes that goes on from an earlier one tells what a search of all tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Shell, draw
from photoindex.dupes import candidates
from photoindex.pure import searched, searched_turns
from photoindex.pure.hamming import pairs_between
from photoindex.pure.searched_turns import TurnedSearch
from photoindex.pure.turns import TOLD, turned_hashes
from photoindex.records import Searched
from photoindex.store.near_file import NearFile

Hashes = npt.NDArray[np.uint8]
BITS = 12
BASES = np.random.default_rng(3).integers(0, 256, (4, 32), dtype=np.uint8)
# A hash: one of four, turned, with some bits flipped; the last is its own mirror image.
HASH = st.tuples(st.integers(0, 3), st.integers(0, 7), st.frozensets(st.integers(0, 255), max_size=9))
MIRRORED = np.unpackbits(BASES[3]).reshape(16, 16)
MIRRORED[:, ::2] = 0  # mirroring flips the bits of odd waves, so no hash is its mirror image: this comes nearest
BASES[3] = np.packbits(MIRRORED)


def hashes_of(recipes: list[tuple[int, int, frozenset[int]]]) -> Hashes:
    found = [np.empty((0, 256), np.uint8)]
    for base, turn, flips in recipes:
        bits = np.unpackbits(turned_hashes(BASES[base][None], turn), axis=1)
        bits[0, list(flips)] ^= 1
        found.append(bits)
    return np.packbits(np.concatenate(found), axis=1).reshape(-1, 32)


def brute_force(hashes: Hashes) -> dict[int, list[list[int]]]:
    """By turn all pairs within the threshold; of equal hashes the first stands for all."""
    first = [i for i, one in enumerate(hashes) if not (hashes[:i] == one).all(axis=1).any()]
    forms = {turn: turned_hashes(hashes, turn) for turn in TOLD}
    return {
        turn: [[i, j] for i in first for j in first if np.bitwise_count(hashes[i] ^ forms[turn][j]).sum() <= BITS]
        for turn in TOLD
    }


def told(search: TurnedSearch) -> dict[int, list[list[int]]]:
    return {turn: pairs.tolist() for turn, pairs in search.pairs().items()}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(HASH, min_size=1, max_size=14), st.lists(st.lists(st.integers(0, 13), max_size=18), min_size=2, max_size=5)
)
def test_rounds_of_additions_and_removals_tell_what_brute_force_tells(
    pool: list[tuple[int, int, frozenset[int]]], rounds: list[list[int]]
) -> None:
    known: Searched | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searched_turns, "_NEW_NS", 0.0)
        for chosen in rounds:
            hashes = hashes_of([pool[k % len(pool)] for k in chosen])
            search = TurnedSearch(hashes, BITS, known)
            assert search.whole is (known is None)
            assert told(search) == brute_force(hashes)
            known = search.searched() or known


def turned_copies(n: int, copies: int) -> Hashes:
    """n random hashes, `copies` of which are others turned, with up to 12 bits flipped."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    for copy in range(n - copies, n):
        bits = np.unpackbits(turned_hashes(hashes[copy - copies][None], copy % 8))
        bits[rng.permutation(256)[: rng.integers(0, BITS + 1)]] ^= 1
        hashes[copy] = np.packbits(bits)
    return hashes


@pytest.mark.parametrize("reverse", [False, True])
def test_many_new_ones_meet_all_in_tiles(monkeypatch: pytest.MonkeyPatch, reverse: bool) -> None:
    for module, name, value in ((searched, "_ROWS", 7), (searched, "_COLUMNS", 100), (searched_turns, "_NEW_NS", 0.0)):
        monkeypatch.setattr(module, name, value)
    hashes = turned_copies(1200, 400)
    hashes = hashes[::-1].copy() if reverse else hashes
    first = TurnedSearch(hashes[:800], BITS)
    assert first.searched() is None  # before its pairs nothing is known
    first.pairs()
    search = TurnedSearch(hashes, BITS, first.searched())
    whole = {turn: pairs_between(hashes, turned_hashes(hashes, turn), BITS)[0].tolist() for turn in TOLD}
    assert told(search) == whole
    assert sum(map(len, whole.values())) >= 400
    again = search.searched()
    assert again is not None
    assert told(TurnedSearch(hashes, BITS, again)) == whole


def test_what_is_remembered_is_used_for_few_new_ones_of_the_same_threshold_only() -> None:
    hashes = turned_copies(3000, 0)
    first = TurnedSearch(hashes[:2990], BITS)
    first.pairs()
    known = first.searched()
    assert known is not None
    assert not TurnedSearch(hashes, BITS, known).whole
    assert TurnedSearch(hashes, BITS + 1, known).whole
    assert TurnedSearch(hashes, BITS, Searched(known.words, known.pairs, BITS)).whole  # it does not tell of turns
    assert TurnedSearch(np.concatenate([hashes, ~hashes]), BITS, known).whole


def test_a_search_among_fewer_forgets_nothing() -> None:
    hashes = turned_copies(100, 20)
    first = TurnedSearch(hashes, BITS)
    first.pairs()
    fewer = TurnedSearch(hashes[:50], BITS, first.searched())
    fewer.pairs()
    assert fewer.searched() is None


def test_pairs_that_were_damaged_on_disk_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searched_turns, "_NEW_NS", 0.0)
    hashes = turned_copies(100, 20)
    first = TurnedSearch(hashes, BITS)
    whole = told(first)
    known = first.searched()
    assert known is not None
    assert known.turns is not None
    more = np.array([[0, 1], [5, 9]])
    turns = np.concatenate([known.turns, np.array([1, 5], np.uint8)])
    wrong = Searched(known.words, np.concatenate([known.pairs, more]), BITS, turns)
    assert told(TurnedSearch(hashes, BITS, wrong)) == whole


@pytest.mark.parametrize("turns", [np.array([5], np.uint8), np.array([8, 1], np.uint8), np.array([1, 1], np.int64)])
def test_a_file_whose_turns_do_not_fit_is_none(tmp_path: Path, turns: npt.NDArray[np.uint8]) -> None:
    file, pairs = NearFile(tmp_path), np.array([[0, 1], [1, 2]])
    words = np.zeros((3, 4), np.uint64)
    file.write({"turn": Searched(words, pairs, BITS, np.array([1, 5], np.uint8))})
    (read,) = file.read().values()
    assert read.turns is not None
    assert read.turns.tolist() == [1, 5]
    file.write({"turn": Searched(words, pairs, BITS, turns)})
    assert file.read() == {}


def test_dupes_remembers_turned_pictures(run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "REMEMBERED_FROM", 0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(3):
        draw(n).resize((640, 480)).save(folder / f"{n}.jpg", quality=90)
        draw(n).resize((640, 480)).rotate(90, expand=True).save(folder / f"{n} turned.jpg", quality=85)
    run.scan(folder)
    assert len(run("dupes", "--format", "json").json) == 3
    kept = NearFile(run.folder).read()["turn"]
    assert kept.turns is not None
    assert len(kept.words) == 6
    draw(3).resize((640, 480)).save(folder / "3.jpg", quality=90)
    draw(3).resize((640, 480)).rotate(-90, expand=True).save(folder / "3 turned.jpg", quality=85)
    run.scan(folder)
    monkeypatch.setattr(searched_turns, "pairs_between", None)  # a search of all would fail
    groups = run("dupes", "--format", "json").json
    assert sorted({name for group in groups for m in group["members"] if (name := Path(m["path"]).stem)}) == sorted(
        f"{n}{turned}" for n in range(4) for turned in ("", " turned")
    )
    assert len(NearFile(run.folder).read()["turn"].words) == 8
