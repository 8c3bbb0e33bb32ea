"""A search that goes on from an earlier one: whatever came, went or changed, it tells what a search of all tells."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Shell, draw
from photoindex.dupes import candidates
from photoindex.pure import searched
from photoindex.pure.grouping import near_pairs
from photoindex.pure.hamming import Distances, Indexes, pair_blocks
from photoindex.pure.searched import Search
from photoindex.records import Searched
from photoindex.store.library import Library
from photoindex.store.near_file import NearFile

Hashes = npt.NDArray[np.uint8]
BASES = np.random.default_rng(5).integers(0, 2, (6, 256), dtype=np.uint8)
# A hash: one of six, with some bits flipped.
HASH = st.tuples(st.integers(0, 5), st.frozensets(st.integers(0, 255), max_size=20))


def hashes_of(recipes: list[tuple[int, frozenset[int]]]) -> Hashes:
    bits = BASES[[base for base, _ in recipes]].reshape(-1, 256).copy()
    for row, (_, flips) in zip(bits, recipes, strict=True):
        row[list(flips)] ^= 1
    return np.packbits(bits, axis=1).reshape(-1, 32)


def told(blocks: Iterator[tuple[Indexes, Distances]]) -> dict[tuple[int, int], int]:
    return {(int(i), int(j)): int(d) for pairs, far in blocks for (i, j), d in zip(pairs, far, strict=True)}


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes on from what is known, however much is new."""
    monkeypatch.setattr(searched, "_NEW_NS", 0.0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(HASH, min_size=1, max_size=12, unique=True),
    st.lists(
        st.tuples(st.lists(st.integers(0, 11), max_size=16), st.sampled_from([0, 8, 20, 31, 40, 256])),
        min_size=2,
        max_size=5,
    ),
)
def test_rounds_of_additions_removals_and_thresholds_tell_what_a_search_of_all_tells(
    pool: list[tuple[int, frozenset[int]]], rounds: list[tuple[list[int], int]]
) -> None:
    known: Searched | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searched, "_NEW_NS", 0.0)
        for chosen, threshold in rounds:
            hashes = hashes_of([pool[k % len(pool)] for k in chosen])
            search = Search(hashes, threshold, known)
            assert search.whole is (not len(hashes) or known is None or known.threshold < threshold)
            assert told(search.blocks()) == told(pair_blocks(hashes, threshold))
            known = search.searched() or known


def random_hashes(n: int, near: int, seed: int = 0) -> Hashes:
    """n hashes, `near` of which are others with up to 31 bits flipped."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n, 256), dtype=np.uint8)
    for copy in range(n - near, n):
        bits[copy] = bits[rng.integers(n - near)]
        bits[copy, rng.permutation(256)[: rng.integers(0, 32)]] ^= 1
    return np.packbits(bits, axis=1)[rng.permutation(n)]


@pytest.mark.usefixtures("eager")
def test_many_new_ones_meet_all_in_tiles_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_ROWS", 7), ("_COLUMNS", 100), ("_ROWS_A_PART", 50)):
        monkeypatch.setattr(searched, name, value)
    hashes = random_hashes(1500, 400)
    first = Search(hashes[:1000], 31)
    told(first.blocks())
    search = Search(hashes[::-1], 31, first.searched())
    whole = told(pair_blocks(hashes[::-1], 31))
    assert told(search.blocks()) == whole
    assert len(whole) > 300
    again = search.searched()
    assert again is not None
    assert Search(hashes, 31, again).searched() is None  # before its blocks: nothing is known of it


def test_few_new_ones_are_searched_for_and_many_are_not() -> None:
    hashes = random_hashes(30_000, 0)
    first = Search(hashes[:29_000], 31)
    assert first.whole
    words = hashes[:29_000].view(">u8").astype(np.uint64)
    known = Searched(words, np.empty((0, 2), np.int64), 31)
    assert not Search(hashes[:29_100], 31, known).whole
    assert Search(np.concatenate([hashes, ~hashes]), 31, known).whole
    assert Search(hashes[:29_100], 32, known).whole


def test_nothing_is_left_to_remember_of_a_search_that_was_broken_off_or_told_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashes = random_hashes(300, 100)
    search = Search(hashes, 31)
    next(search.blocks())
    assert search.searched() is None
    told(search.blocks())
    known = search.searched()
    assert known is not None
    unchanged = Search(hashes[::-1], 31, known)
    told(unchanged.blocks())
    assert unchanged.searched() is None
    monkeypatch.setattr(searched, "_MOST_PAIRS", 0)
    monkeypatch.setattr(searched, "_MORE_PAIRS", 10)
    told(search.blocks())
    assert search.searched() is None


@pytest.mark.usefixtures("eager")
def test_hashes_that_share_a_mix_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searched, "mixed", lambda words: words[:, 0] & np.uint64(1))
    hashes = random_hashes(200, 80)
    first = Search(hashes[:150], 31)
    told(first.blocks())
    search = Search(hashes, 31, first.searched())
    assert not search.whole
    assert told(search.blocks()) == told(pair_blocks(hashes, 31))


@pytest.mark.usefixtures("eager")
def test_near_pairs_are_the_same_with_what_is_known() -> None:
    kinds = [random_hashes(400, 150, seed) for seed in (1, 2)]
    firsts = [Search(kind[:300], 31) for kind in kinds]
    for first in firsts:
        told(first.blocks())
    searches = [Search(kind, 31, first.searched()) for kind, first in zip(kinds, firsts, strict=True)]
    assert near_pairs(kinds, 31, searches=searches).tolist() == near_pairs(kinds, 31).tolist()


@pytest.mark.usefixtures("eager")
def test_a_narrower_search_does_not_replace_what_a_wider_one_found() -> None:
    hashes = random_hashes(300, 100)

    def after(chosen: Hashes, threshold: int, known: Searched | None) -> Searched | None:
        search = Search(chosen, threshold, known)
        told(search.blocks())
        return search.searched()

    known = after(hashes[:250], 31, None)
    assert after(hashes[:260], 20, known) is None  # as with --threshold 20
    assert after(hashes[200:260], 31, known) is None  # as with --min-size
    wider = after(hashes[:260], 31, known)
    assert wider is not None
    assert (len(wider.words), wider.threshold) == (len(np.unique(hashes[:260], axis=0)), 31)
    fewer = after(hashes[5:260], 31, known)  # some were deleted, more are new
    assert fewer is not None
    assert len(fewer.words) == len(np.unique(hashes[5:260], axis=0))


# -- the file


def test_what_was_written_is_read_again_and_a_damaged_file_is_none(tmp_path: Path) -> None:
    search = Search(random_hashes(300, 100), 31)
    told(search.blocks())
    known = search.searched()
    assert known is not None
    file = NearFile(tmp_path)
    assert file.read() == {}
    file.write({"pdq": known, "pdq_own": known})
    kept = file.read()
    assert list(kept) == ["pdq", "pdq_own"]
    assert kept["pdq"].threshold == 31
    assert (kept["pdq"].words == known.words).all()
    assert (kept["pdq"].pairs == known.pairs).all()
    whole = file.path.read_bytes()
    for cut in (0, 100, len(whole) // 2):
        file.path.write_bytes(whole[:cut])
        assert file.read() == {}
    middle = len(whole) // 3
    file.path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    assert file.read() == {}
    file.remove()
    file.remove()
    assert file.read() == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"pdq hashes": np.zeros((3, 4), np.uint64), "pdq pairs": np.array([[0, 3]])},
        {"pdq hashes": np.zeros((3, 4), np.uint64), "pdq pairs": np.array([[-1, 2]])},
        {"pdq hashes": np.zeros((3, 5), np.uint64), "pdq pairs": np.zeros((0, 2), np.int64)},
        {"pdq hashes": np.zeros((3, 4), np.int64), "pdq pairs": np.zeros((0, 2), np.int64)},
        {"pdq hashes": np.zeros((3, 4), np.uint64)},
        {"pdq hashes": np.array([None]), "pdq pairs": np.zeros((0, 2), np.int64)},
    ],
)
def test_a_file_of_another_form_is_none(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / "cache").mkdir()
    np.savez(NearFile(tmp_path).path, **wrong, **{"pdq threshold": np.array(31)})
    assert zipfile.is_zipfile(NearFile(tmp_path).path)
    assert NearFile(tmp_path).read() == {}


@pytest.fixture
def written(tmp_path: Path) -> NearFile:
    file = NearFile(tmp_path)
    file.write({"pdq": Searched(np.zeros((3, 4), np.uint64), np.array([[0, 2]]), 31)})
    return file


def test_a_file_with_any_byte_of_its_directory_changed_is_none_or_sound(written: NearFile) -> None:
    """Flags say that it is encrypted, or compressed in another way, or of a size beyond memory."""
    whole = written.path.read_bytes()
    for at in range(whole.index(b"PK\1\2"), len(whole)):
        for bit in (1, 8):
            written.path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            assert set(written.read()) <= {"pdq"}


@pytest.mark.parametrize("failure", [MemoryError(), RuntimeError("encrypted"), NotImplementedError("that method")])
def test_a_file_that_cannot_be_unpacked_is_none(
    written: NearFile, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise failure

    assert written.read()
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", fail)
    assert written.read() == {}


def test_an_array_in_its_place_is_none(written: NearFile) -> None:
    with written.path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert written.read() == {}


def test_a_full_disk_leaves_nothing_half_written(written: NearFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("photoindex.store.near_file.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        written.write({})
    assert [path.name for path in written.path.parent.iterdir()] == [written.path.name]
    assert list(written.read()) == ["pdq"]


# -- the command


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(4):
        draw(n).resize((640, 480)).save(folder / f"{n}.jpg", quality=90)
        draw(n).resize((320, 240)).save(folder / f"{n} small.jpg", quality=80)
    return folder


@pytest.mark.usefixtures("eager")
def test_dupes_finds_the_same_with_what_it_remembers(
    run: Shell, copies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(from_hashes: int, *options: str) -> Any:
        monkeypatch.setattr(candidates, "REMEMBERED_FROM", from_hashes)
        return run("dupes", *options, "--format", "json").json

    file = NearFile(run.folder)
    run.scan(copies)
    first = groups(10**9)
    assert not file.path.exists()
    assert (groups(0), len(first)) == (first, 4)
    kept = file.path.read_bytes()
    assert groups(0) == first
    assert file.path.read_bytes() == kept  # nothing is new
    draw(1).resize((200, 150)).save(copies / "1 smaller.jpg", quality=80)
    (copies / "2 small.jpg").unlink()
    shutil.copyfile(copies / "3.jpg", copies / "3 again.jpg")
    run.scan(copies)
    now = groups(0)
    assert now == groups(10**9)
    assert now != first
    assert file.path.read_bytes() != kept
    for threshold in ("12", "60"):
        assert groups(0, "--threshold", threshold) == groups(10**9, "--threshold", threshold)


def test_nothing_is_remembered_while_the_library_is_written_or_of_what_was_forgotten(
    run: Shell, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "REMEMBERED_FROM", 0)
    run.scan(copies)
    file = NearFile(run.folder).path
    with Library.writing(run.folder):
        assert len(run("dupes", "--format", "json").json) == 4
        assert not file.exists()
    run("dupes")
    assert file.exists()
    run("forget", "--root", copies, "--yes")
    assert not file.exists()
