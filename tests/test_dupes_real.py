"""Duplicates among real pictures with known copies, edits and look-alikes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dupe_quality
import pytest
from dupe_quality import Truth, found, names_of, precision

from photoindex.pure.tiers import BURST, DUPLICATES, TIERS
from photoindex.records import Group

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PHOTOS.exists(), reason="the shared test pictures are not here"),
]


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth.read(PHOTOS.resolve())


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> list[Group]:
    return dupe_quality.ours(dupe_quality.scan(PHOTOS.resolve(), tmp_path_factory.mktemp("dupes") / "library"))


def names(groups: Sequence[Group], tiers: Sequence[str] = DUPLICATES) -> Sequence[frozenset[str]]:
    return names_of(groups, PHOTOS.resolve(), tiers)


@pytest.mark.parametrize(("expectation", "least"), [("must", 0.99), ("should", 0.8)])
def test_copies_are_found(groups: list[Group], truth: Truth, expectation: str, least: float) -> None:
    copies = truth.copies(lambda row: row["expectation"] == expectation)
    assert found(names(groups), copies) >= least * len(copies)
    assert len(copies) >= 5


def test_turned_and_mirrored_pictures_are_found(groups: list[Group], truth: Truth) -> None:
    copies = truth.copies(lambda row: row["relation"] in ("mirrored", "rotated"))
    assert found(names(groups), copies) >= 0.95 * len(copies)
    assert len(copies) >= 10


def test_no_look_alike_is_called_a_duplicate(groups: list[Group], truth: Truth) -> None:
    surer = names(groups, TIERS[: TIERS.index(BURST)])
    assert not [pair for pair in truth.look_alikes() for group in surer if pair <= group]
    assert len(truth.look_alikes()) >= 10


def test_hardly_any_two_pictures_share_a_group(groups: list[Group], truth: Truth) -> None:
    right, every = precision(names(groups), truth)
    assert right >= 0.98 * every
    assert every > 300


def test_mere_copies_are_re_encoded_at_most(groups: list[Group], truth: Truth) -> None:
    kinds = ("resized", "recompressed", "format", "EXIF orientation 6", "exact copy")
    member_of = {Path(member.photo.path).name: member for group in groups for member in group.members}
    copies = [copy for _, copy in truth.copies(lambda row: row["transformation"] in kinds)]
    assert not [copy for copy in copies if member_of[Path(copy).name].tier == "edited"]
    assert len(copies) >= 25


@pytest.mark.parametrize("family", [{f"m0{n}.jpg" for n in range(37, 45)}, {f"o0{n}.avif" for n in range(23, 27)}])
def test_copies_with_another_small_label_in_the_middle_are_edited(groups: list[Group], family: set[str]) -> None:
    (group,) = (g for g in groups if family == {Path(member.photo.path).name for member in g.members})
    assert (group.tier, {link.tier for link in group.links}) == ("edited", {"edited"})
    assert all("something in it differs" in link.differs for link in group.links)


def test_the_original_is_kept(groups: list[Group], truth: Truth) -> None:
    """Of what was made from it; which of the others was there first nobody knows."""
    made = [row["group"] for row in truth.rows if row["group"].startswith("grp") and row["expectation"] == "group"]
    for family in made:
        rows = [row for row in truth.rows if row["group"] == family]
        originals = {row["file"] for row in rows if row["relation"] in ("original", "exact")}
        (group,) = (g for g in groups if g.tier in DUPLICATES and truth.original[family] in names([g])[0])
        assert Path(group.members[0].photo.path).relative_to(PHOTOS.resolve()).as_posix() in originals
    assert len(made) == 6


def test_exact_copies_are_identical_and_equal_pixels_are_told(groups: list[Group], truth: Truth) -> None:
    exact = truth.copies(lambda row: row["relation"] == "exact")
    tier_of = {next(iter(names([group], TIERS))): group for group in groups}
    for original, copy in exact:
        group = next(group for name_set, group in tier_of.items() if original in name_set)
        tiers = {Path(member.photo.path).name: member.tier for member in group.members}
        assert tiers[Path(original).name] == tiers[Path(copy).name] or "identical" in tiers.values()
    same = names(groups, ["same-pixels"])
    assert any({"general/g025.jpg", "general/g028.jpg"} <= group for group in same)  # only the EXIF date differs
