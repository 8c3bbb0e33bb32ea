"""The rules that put two photos in a tier, which file is kept, and what names tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from photoindex.errors import UsageError
from photoindex.media.formats import RAW_FORMATS as DECODED_RAW
from photoindex.pure.components import Edge, components, spanning_forest, weakest_to
from photoindex.pure.differences import differences
from photoindex.pure.keep import DEFAULT_RULES, RULES, Copy, Wishes, choose, parse_rules
from photoindex.pure.names import frames_of_series, is_copy_name, same_shot, video_of
from photoindex.pure.tiers import RAW_FORMATS, Evidence, edits, edits_told, is_same_picture, relation
from photoindex.pure.votes import pairs_by_votes
from photoindex.records import DupeFacts, Look

SAME = Look(whole=True, correlation=0.96, agreement=1.0, colour=1.0, texture=10.0)
OTHER = replace(SAME, correlation=0.1, agreement=0.05, colour=80.0)
NOON = datetime(2024, 5, 1, 12)
BARE = DupeFacts(1, "a" * 64, 1000, b"", b"", 100, format="JPEG", width=400, height=300)
SHOT = replace(BARE, camera="K-1", taken_at=NOON, taken_source="exif_original")


def tier(a: DupeFacts, b: DupeFacts, seen: Evidence, names: tuple[str, str] = ("/p/a.jpg", "/p/b.jpg")) -> str | None:
    found = relation(a, b, names[:1], names[1:], seen)
    assert relation(b, a, names[1:], names[:1], seen) == found
    return found


def later(seconds: float) -> DupeFacts:
    return replace(SHOT, taken_at=NOON + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("a", "b", "seen", "expected"),
    [
        pytest.param(BARE, BARE, Evidence(0, SAME, True), "same-pixels", id="equal pixels"),
        pytest.param(SHOT, later(7), Evidence(0, SAME, True), "same-pixels", id="equal pixels, other date"),
        pytest.param(BARE, BARE, Evidence(4, SAME, False), "re-encoded", id="same picture"),
        pytest.param(BARE, SHOT, Evidence(120, SAME), "re-encoded", id="same picture far by hash"),
        pytest.param(BARE, BARE, Evidence(4, replace(SAME, tone=20.0)), "edited", id="other colours"),
        pytest.param(BARE, BARE, Evidence(120, replace(SAME, turn=1)), "edited", id="mirrored"),
        pytest.param(SHOT, later(0), Evidence(2, SAME), "re-encoded", id="same second"),
        pytest.param(SHOT, later(1), Evidence(2, SAME), "burst", id="a second later"),
        pytest.param(SHOT, later(60), Evidence(2, SAME), "similar", id="a minute later"),
        pytest.param(SHOT, later(7200), Evidence(2, SAME), "re-encoded", id="another time zone"),
        pytest.param(SHOT, replace(later(0), camera="K-2"), Evidence(2, SAME), "similar", id="another camera"),
        pytest.param(SHOT, replace(later(1), taken_source="file_time"), Evidence(2, SAME), "re-encoded", id="no date"),
        pytest.param(SHOT, later(2), Evidence(60, OTHER), "burst", id="seconds apart, somewhat alike"),
        pytest.param(SHOT, later(2), Evidence(128, OTHER), None, id="seconds apart, unlike"),
        pytest.param(BARE, BARE, Evidence(6, OTHER), None, id="near by hash, unlike: dark pictures"),
        pytest.param(BARE, BARE, Evidence(6, replace(SAME, texture=0.3)), None, id="nothing to see"),
        pytest.param(BARE, BARE, Evidence(6, None), None, id="could not be looked at"),
        pytest.param(BARE, BARE, Evidence(20, replace(OTHER, correlation=0.6)), "similar", id="somewhat alike"),
        pytest.param(BARE, BARE, Evidence(90, replace(OTHER, matches=40, agreement=0.6)), "similar", id="corners"),
    ],
)
def test_the_tier_of_a_pair(a: DupeFacts, b: DupeFacts, seen: Evidence, expected: str | None) -> None:
    assert tier(a, b, seen) == expected


@pytest.mark.parametrize("equal", [True, False])
def test_pictures_of_several_pages_are_duplicates_of_nothing(equal: bool) -> None:
    pages = replace(BARE, format="TIFF", frames=3)
    for other in (BARE, pages, replace(pages, frames=2)):
        assert tier(pages, other, Evidence(0, SAME, equal)) == "similar"
    assert tier(replace(pages, format="MPO"), BARE, Evidence(0, SAME, equal)) == "re-encoded"
    assert tier(replace(BARE, format="PSD", frames=2), BARE, Evidence(0, SAME, equal)) == "re-encoded"
    assert differences(BARE, replace(BARE, sha256="b", frames=2)) == ("2 frames, not 1",)


def test_animations_of_one_length_are_re_encoded_and_it_is_said_what_was_compared() -> None:
    gif, webp = replace(BARE, format="GIF", frames=42), replace(BARE, sha256="b", format="WEBP", frames=42)
    assert tier(gif, webp, Evidence(0, SAME, True)) == "re-encoded"
    assert tier(gif, replace(webp, frames=41), Evidence(0, SAME, True)) == "similar"
    assert "only the first of 42 frames was compared" in differences(gif, webp)


def test_frames_of_a_series_within_a_second_are_a_burst_unless_nothing_differs() -> None:
    names = ("/p/IMG_0041.JPG", "/p/IMG_0042.JPG")
    assert tier(SHOT, SHOT, Evidence(2, SAME), names) == "burst"
    assert tier(SHOT, SHOT, Evidence(2, replace(SAME, correlation=0.99)), names) == "re-encoded"
    assert tier(SHOT, SHOT, Evidence(2, SAME), ("/p/IMG_0041.JPG", "/p/IMG_0041 (1).JPG")) == "re-encoded"


def test_a_raw_file_and_its_jpeg_are_a_pair_by_name_time_and_look() -> None:
    raw = replace(SHOT, format="NEF", width=4000)
    names = ("/p/DSC_1.NEF", "/p/DSC_1.JPG")
    assert tier(raw, SHOT, Evidence(10, SAME), names) == "raw+jpeg"
    assert tier(raw, SHOT, Evidence(10, SAME), ("/p/DSC_1.NEF", "/q/DSC_1.JPG")) == "re-encoded"
    assert tier(raw, later(5), Evidence(128, OTHER), names) is None
    assert tier(raw, SHOT, Evidence(128, OTHER), names) is None
    assert RAW_FORMATS == DECODED_RAW


@pytest.mark.parametrize(
    ("covers", "same"),
    [((1.0, 0.7), True), ((0.97, 0.97), True), ((0.99, 0.2), False), ((0.7, 0.7), False)],
    ids=["a crop", "a small turn", "a detail", "an overlap"],
)
def test_a_picture_within_another_is_the_same_an_overlap_is_not(covers: tuple[float, float], same: bool) -> None:
    assert is_same_picture(replace(SAME, whole=False, covers_a=covers[0], covers_b=covers[1])) is same


def test_something_differs_where_it_stands_out_from_what_compression_did() -> None:
    for spot, noise, agreement, differs in (
        (7.4, 0.05, 1.0, True),
        (3.8, 0.7, 0.95, False),
        (9.0, 0.1, 1.0, False),
        (9.0, 0.1, 0.95, True),
        (21.0, 0.1, 1.0, True),
        (7.0, 0.9, 1.0, True),
    ):
        expected = ("something in it differs",) if differs else ()
        assert edits(replace(SAME, spot=spot, noise=noise, agreement=agreement)) == expected


def test_whole_pictures_that_are_far_apart_by_their_hash_and_differ_in_something_have_other_words() -> None:
    differing = replace(SAME, spot=7.4, noise=0.05)
    assert tier(BARE, BARE, Evidence(40, differing)) == "edited"  # something laid over a photo
    assert tier(BARE, BARE, Evidence(42, differing)) == "similar"  # a screen of the same layout
    assert tier(BARE, BARE, Evidence(42, SAME)) == "re-encoded"
    for done in ({"tone": 30.0}, {"turn": 2}, {"whole": False, "covers_b": 0.8}, {"frame": "a"}):
        assert tier(BARE, BARE, Evidence(120, replace(differing, **done))) == "edited"


def test_lossless_files_of_one_size_with_other_pixels_are_no_mere_copies() -> None:
    png, bmp = replace(BARE, format="PNG"), replace(BARE, format="BMP")
    for other in (png, bmp):
        assert tier(png, other, Evidence(2, SAME, True)) == "same-pixels"
        assert tier(png, other, Evidence(2, SAME, False)) == "edited"
        assert tier(png, other, Evidence(30, SAME)) == "edited"  # too far apart for equal pixels
        assert tier(png, other, Evidence(2, SAME)) == "re-encoded"  # transparent: pixels were not compared
    assert edits_told("edited", SAME) == ("some pixels differ",)
    assert edits_told("edited", replace(SAME, turn=1)) == edits(replace(SAME, turn=1))
    assert edits_told("re-encoded", SAME) == ()
    assert tier(png, replace(png, width=200), Evidence(2, SAME, False)) == "re-encoded"
    for lossy in ("JPEG", "GIF"):
        assert tier(png, replace(BARE, format=lossy), Evidence(2, SAME, False)) == "re-encoded"


def test_edits_are_named() -> None:
    assert edits(SAME) == ()
    assert edits(replace(SAME, turn=5)) == ("turned by 90 degrees clockwise",)
    assert edits(replace(SAME, whole=False, covers_b=0.8)) == ("one shows 80 % of the other",)
    assert edits(replace(SAME, whole=False, angle=-3.0, covers_a=0.975)) == ("turned by 3 degrees",)
    assert edits(replace(SAME, tone=30.0, spot=7.0)) == (
        "other colours or brightness",
        "something in it differs",
    )


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/p/IMG_1.CR2", "/p/IMG_1.JPG"),
        ("/p/IMG_1.HEIC", "/p/img_1.mov"),
        ("/p/PXL_20231006_063000139.MP.jpg", "/p/PXL_20231006_063000139.MP"),
        ("/p/MVIMG_20190101_1.jpg", "/p/IMG_20190101_1.dng"),
        ("/p/20240101_120000_MP.jpg", "/p/20240101_120000.mp4"),
    ],
)
def test_names_of_one_shot(one: str, other: str) -> None:
    assert same_shot(one, other)
    assert not same_shot(one, "/q/" + other.removeprefix("/p/"))
    assert not same_shot(one, "/p/IMG_2.JPG")


def test_names_of_copies_and_of_series() -> None:
    copies = ["a (1).jpg", "a - Copy.jpg", "a copy 2.jpg", "a-edited.jpg", "Copy of a.jpg", "IMG_E1234.JPG", "a~2.jpg"]
    assert [name for name in copies if not is_copy_name(name)] == []
    assert [name for name in ("IMG_1.jpg", "copyright.jpg", "(1984).jpg", "photocopy.jpg") if is_copy_name(name)] == []
    assert frames_of_series("DSC_0041.JPG", "DSC_0042.JPG")
    assert not frames_of_series("DSC_0041.JPG", "DSC_0041.JPG")
    assert not frames_of_series("DSC_0041.JPG", "DSC_0041 (1).JPG")
    assert not frames_of_series("DSC_0041.JPG", "IMG_0042.JPG")
    assert video_of("/p/IMG_1.HEIC", frozenset({"IMG_1.MOV", "IMG_1.HEIC", "IMG_2.MOV"})) == "IMG_1.MOV"
    assert video_of("/p/IMG_1.HEIC", frozenset({"IMG_1.AAE", "IMG_10.MOV"})) is None


# --- which to keep ----------------------------------------------------------------------------------------------------


def kept(*copies: Copy, rules: str = DEFAULT_RULES, **wishes: tuple[str, ...]) -> tuple[str, str]:
    at, reason = choose(copies, Wishes(parse_rules(rules), **wishes))
    assert choose(copies[::-1], Wishes(parse_rules(rules), **wishes)) == (len(copies) - 1 - at, reason)
    return copies[at].path, reason


def test_rules_are_asked_in_order_and_tell_their_reason() -> None:
    large, camera = Copy("/p/large.jpg", replace(BARE, width=800, height=600)), Copy("/p/camera.jpg", SHOT)
    assert kept(large, camera) == ("/p/camera.jpg", "it still says which camera took it (K-1)")
    assert kept(large, camera, rules="resolution") == ("/p/large.jpg", "800x600 pixels, not 400x300")
    smallest = kept(large, camera, rules="-resolution")
    assert smallest == ("/p/camera.jpg", "400x300 pixels, not 800x600 (as -resolution asks)")


def test_the_better_of_two_copies() -> None:
    plain = Copy("/p/plain.jpg", BARE)
    raw = Copy("/p/raw.nef", replace(BARE, format="NEF"))
    assert kept(plain, raw)[1] == "it is the camera's raw file"
    assert kept(plain, Copy("/p/b.jpg", replace(BARE, size=2000)))[1] == "it is compressed less"
    assert kept(plain, Copy("/p/b.jpg", replace(BARE, described=3)))[1] == "its metadata is fuller"
    assert kept(plain, Copy("/p/plain (1).jpg", BARE))[1] == "its name is not that of a copy, as 'plain (1).jpg' is"
    assert kept(plain, Copy("/p/q/plain.jpg", BARE)) == ("/p/plain.jpg", "its path is the shortest")
    old = Copy("/p/b.jpg", replace(BARE, taken_at=datetime(2001, 2, 3)))
    assert kept(Copy("/p/a.jpg", replace(BARE, taken_at=NOON)), old)[1] == "its date is the earliest (2001-02-03)"


def test_bytes_of_different_formats_are_compared_loosely() -> None:
    jpeg, heic = Copy("/p/a.jpg", BARE), Copy("/p/bb.heic", replace(BARE, format="HEIF", size=800))
    assert kept(jpeg, heic) == ("/p/a.jpg", "its path is the shortest")
    assert kept(jpeg, Copy("/p/bb.heic", replace(BARE, format="HEIF", size=3000)))[1] == "it is compressed less"


def test_bytes_of_one_format_are_compared_as_they_are_whatever_else_is_there() -> None:
    original, brighter = Copy("/p/original.jpg", BARE), Copy("/p/b.jpg", replace(BARE, size=850, sharpness=9.0))
    avif = Copy("/p/sub/c.avif", replace(BARE, format="AVIF", size=300))
    reason = "it is compressed less; it is JPEG, and no camera writes AVIF"
    assert kept(original, brighter, avif) == ("/p/original.jpg", reason)


def test_what_has_lost_tones_is_not_kept_for_its_bytes() -> None:
    brighter = Copy("/p/a.jpg", replace(BARE, size=2000, sharpness=9.0), clipped=True)
    assert kept(brighter, Copy("/p/b.jpg", BARE)) == ("/p/b.jpg", "it still has tones that others have lost")
    larger = replace(brighter, facts=replace(BARE, width=800, height=600))
    assert kept(larger, Copy("/p/b.jpg", BARE))[0] == "/p/a.jpg"


def test_a_frame_makes_a_picture_larger_and_no_better() -> None:
    framed = Copy("/p/a.jpg", replace(BARE, width=500, height=400), framed=True)
    assert kept(framed, Copy("/p/b.jpg", BARE)) == ("/p/b.jpg", "no frame was put round it")
    assert edits(replace(SAME, whole=False, covers_a=0.7, frame="a")) == ("one has a frame",)


def test_folders_come_before_rules_and_protected_ones_first() -> None:
    good, bad = Copy("/good/a.jpg", replace(SHOT, width=800)), Copy("/bad/b.jpg", BARE)
    assert kept(good, bad, prefer=("/bad",))[0] == "/bad/b.jpg"
    assert kept(good, bad, prefer=("/bad",), protect=("/good",))[0] == "/good/a.jpg"
    assert kept(good, bad, prefer=("/ba",))[0] == "/good/a.jpg"


def test_every_rule_can_be_asked_and_an_unknown_one_is_refused() -> None:
    assert parse_rules(" , ".join([*RULES, *(f"-{name}" for name in RULES)]))
    for text in ("", "beauty", "--resolution", "resolution;name"):
        with pytest.raises(UsageError, match="There are: original, resolution"):
            parse_rules(text)
    for name in RULES:
        assert kept(Copy("/p/a.jpg", BARE), Copy("/p/bb.jpg", SHOT), rules=f"-{name}")


def test_differences_are_in_words() -> None:
    other = replace(BARE, sha256="b" * 64, format="PNG", width=200, height=150, size=100, described=0)
    assert differences(BARE, BARE) == ()
    assert differences(replace(SHOT, described=2), other) == (
        "PNG, not JPEG",
        "200x150, not 400x300",
        "10 % of the bytes",
        "no camera",
        "no date of its own",
        "less metadata",
    )


# --- graphs and votes -------------------------------------------------------------------------------------------------


def test_a_group_is_held_by_its_strongest_links_and_each_member_knows_the_weakest_on_its_way() -> None:
    edges = [Edge((0, 0), 1, 2), Edge((3, 0), 2, 3), Edge((2, 0), 3, 4), Edge((5, 0), 1, 4), Edge((1, 0), 8, 9)]
    forest = spanning_forest(edges)
    assert {(edge.i, edge.j) for edge in forest} == {(1, 2), (2, 3), (3, 4), (8, 9)}
    (first, links), (second, _) = components(forest)
    assert (first, second) == ([1, 2, 3, 4], [8, 9])
    assert weakest_to(1, links) == {2: 0, 3: 3, 4: 3}
    assert weakest_to(4, links) == {3: 2, 2: 3, 1: 3}


def words(*values: int) -> bytes:
    return np.array(values, "<u4").tobytes()


def test_photos_that_share_enough_rare_words_are_paired() -> None:
    common = [words(1 << 30, 7 << 10, *(n << 20 for n in range(500 + 9 * k, 508 + 9 * k))) for k in range(30)]
    pairs, votes = pairs_by_votes([*common, words(*(n << 20 for n in range(500, 506)))])
    assert pairs.tolist() == [[0, 30]]
    assert votes.tolist() == [6]
    assert pairs_by_votes([])[0].shape == (0, 2)
    assert pairs_by_votes([b"", words(1), b""])[0].shape == (0, 2)


def test_votes_agree_with_sets() -> None:
    rng = np.random.default_rng(3)
    lists = [rng.integers(0, 300, 40).astype("<u4") << np.uint32(16) for _ in range(12)]
    pairs, votes = pairs_by_votes([mine.tobytes() for mine in lists], least=5)
    sets = [set((mine >> np.uint32(4)).tolist()) for mine in lists]
    expected = {(i, j): len(sets[i] & sets[j]) for j in range(12) for i in range(j)}
    assert dict(zip(map(tuple, pairs.tolist()), votes.tolist(), strict=True)) == {
        pair: count for pair, count in expected.items() if count >= 5
    }
