"""Words of corners: shared by a picture and its crop, not by other pictures."""

import numpy as np
import pytest
from PIL import Image

from photoindex.media.keypoints import MOST_WORDS, keypoint_words


def landscape(seed: int) -> Image.Image:
    """Noise at several scales, which has corners as a photo has."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((300, 400))
    for cells in (8, 20, 50):
        coarse = Image.fromarray(rng.integers(0, 255, (cells, cells), dtype=np.uint8))
        whole += np.asarray(coarse.resize((400, 300), Image.Resampling.BICUBIC), dtype=float) / cells
    return Image.fromarray(((whole - whole.min()) / np.ptp(whole) * 255).astype(np.uint8))


def words(image: Image.Image) -> set[int]:
    image.thumbnail((400, 400))
    return set(keypoint_words(np.asarray(image)).tolist())


def test_a_crop_a_frame_and_a_turned_picture_share_words() -> None:
    whole = landscape(1)
    framed = Image.new("L", (460, 360), 255)
    framed.paste(whole, (30, 30))
    mine = words(whole.copy())
    assert len(mine & words(whole.crop((20, 15, 380, 285)).resize((400, 300), Image.Resampling.BICUBIC))) >= 3
    assert len(mine & words(framed)) >= 3
    assert len(mine & words(whole.rotate(90, expand=True))) >= 20


def test_other_pictures_share_hardly_any() -> None:
    assert max(len(words(landscape(1)) & words(landscape(seed))) for seed in range(2, 12)) <= 1


def test_there_are_at_most_so_many_and_the_same_each_time() -> None:
    pixels = np.asarray(landscape(1))
    first = keypoint_words(pixels)
    assert first.dtype == np.uint32
    assert 100 < len(first) <= MOST_WORDS
    assert (first == keypoint_words(pixels)).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (47, 400), (48, 48), (300, 400)])
def test_a_picture_without_corners_or_nearly_without_pixels_has_no_words(shape: tuple[int, int]) -> None:
    assert len(keypoint_words(np.full(shape, 90, np.uint8))) == 0
