"""PDQ hashes: close for copies, equal to what others publish, cheap for large pictures."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from PIL import Image, ImageFilter

from conftest import draw
from photoindex.media.source import Need, SourcePicture, open_source
from photoindex.media.unreadable import Unreadable
from photoindex.pure.turns import TURNS, turned_hashes
from photoindex.records import FoundFile, Hashes
from photoindex.steps.hash import SHORT_SIDE, hashes

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"


def opened(path: Path) -> SourcePicture:
    status = os.stat(path)
    file = FoundFile(str(path), str(path.parent), status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
    return open_source(file, Need(SHORT_SIDE))


def hashed(path: Path, image: Image.Image, exif: Image.Exif | None = None) -> Hashes:
    image.save(path, quality=92, exif=(exif or Image.Exif()).tobytes())
    return hashes(opened(path))


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def landscape(width: int, height: int, seed: int = 5) -> Image.Image:
    """Smooth noise at several scales, which hashes like a photo."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((height, width, 3))
    for cells in (3, 8, 20, 60):
        coarse = Image.fromarray(rng.integers(0, 255, (cells, cells, 3), dtype=np.uint8))
        whole += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=float) / cells
    whole = (whole - whole.min()) / (whole.max() - whole.min()) * 255
    return Image.fromarray(whole.astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))


def test_a_small_copy_has_nearly_the_same_hash(tmp_path: Path) -> None:
    original = landscape(1500, 1000)
    first = hashed(tmp_path / "a.jpg", original)
    second = hashed(tmp_path / "b.jpg", original.resize((300, 200), Image.Resampling.LANCZOS))
    assert first.quality >= 50
    assert distance(first.pdq, second.pdq) <= 8


def test_another_picture_has_another_hash(tmp_path: Path) -> None:
    first = hashed(tmp_path / "a.jpg", landscape(600, 400))
    second = hashed(tmp_path / "b.jpg", landscape(600, 400, seed=6))
    assert distance(first.pdq, second.pdq) > 80


def test_a_rotated_picture_is_hashed_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = landscape(600, 400)
    turned = hashed(tmp_path / "b.jpg", upright.transpose(Image.Transpose.ROTATE_90), exif)
    assert distance(hashed(tmp_path / "a.jpg", upright).pdq, turned.pdq) <= 4


def test_a_plain_picture_has_no_quality(tmp_path: Path) -> None:
    assert hashed(tmp_path / "black.jpg", Image.new("RGB", (300, 200))).quality == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3000, 1), (1, 500_00), (64, 64)])
def test_odd_sizes_are_hashed_without_a_crash(tmp_path: Path, size: tuple[int, int]) -> None:
    found = hashed(tmp_path / "odd.png", Image.new("RGB", size, "grey"))
    assert len(found.pdq) == len(found.pdq_own) == len(found.turn) == 32
    assert found.words == b""
    assert found.sharpness == 0


def test_a_picture_of_modest_size_is_hashed_as_the_library_does(tmp_path: Path) -> None:
    image = landscape(500, 380)
    path = tmp_path / "modest.png"
    image.save(path)
    bits, quality = pdqhash.compute(np.asarray(image))
    found = hashes(opened(path))
    assert found.pdq_own.hex() == np.packbits(bits.astype(bool)).tobytes().hex()
    assert found.quality_own == quality


@pytest.mark.parametrize("size", [(1400, 1000), (1153, 900), (3000, 2000)])
def test_the_own_hash_of_a_large_picture_is_close_to_that_of_all_its_pixels(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    image = landscape(*size)
    bits, _ = pdqhash.compute(np.asarray(image))
    assert distance(hashed(tmp_path / "large.jpg", image).pdq_own, np.packbits(bits.astype(bool)).tobytes()) <= 10


def test_damaged_pixels_have_no_hash(tmp_path: Path) -> None:
    whole = io.BytesIO()
    landscape(300, 200).save(whole, "JPEG")
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole.getvalue()[:3000])
    with pytest.raises(Unreadable):
        hashes(opened(path))


@pytest.mark.skipif(not PHOTOS.exists(), reason="the shared test pictures are not here")
def test_published_hashes_are_met() -> None:
    with open(PHOTOS / "pdq_vectors.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    met = {row["file"]: hashes(opened(PHOTOS / row["file"])) for row in rows}
    far = [
        (row["file"], gap)
        for row in rows
        if met[row["file"]].quality_own >= 80
        and (gap := distance(met[row["file"]].pdq_own, bytes.fromhex(row["pdq_hash"]))) > 12
    ]
    assert len(rows) == 34
    assert not far


def test_a_mirrored_copy_has_the_turned_hash_and_a_blurred_one_is_less_sharp(tmp_path: Path) -> None:
    original = draw(1, (900, 700))
    first = hashed(tmp_path / "a.jpg", original)
    mirrored = hashed(tmp_path / "b.jpg", original.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    derived = turned_hashes(np.frombuffer(first.turn, np.uint8)[None], TURNS.index("mirrored"))
    assert distance(derived.tobytes(), mirrored.turn) <= 6
    assert distance(first.turn, mirrored.turn) > 60
    blurred = hashed(tmp_path / "c.jpg", original.filter(ImageFilter.GaussianBlur(2)))
    assert first.sharpness is not None
    assert blurred.sharpness is not None
    assert first.sharpness > 1.5 * blurred.sharpness
    assert len(first.words) % 4 == 0
    assert first.words
