"""Thumbnails: small, upright, plain JPEG."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from photoindex.media.source import Need, open_source
from photoindex.media.unreadable import Unreadable
from photoindex.records import FoundFile
from photoindex.steps.thumbnail import SHORT_SIDE, render


def thumbnail_of(path: Path) -> Image.Image:
    status = os.stat(path)
    file = FoundFile(str(path), str(path.parent), status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
    data = render(open_source(file, Need(SHORT_SIDE)))
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 3000), (400, 300)),
        ((300, 1200), (100, 400)),
        ((90, 60), (90, 60)),
        ((1, 5000), (1, 400)),
        ((1, 1), (1, 1)),
    ],
)
def test_the_longest_side_is_at_most_400_and_nothing_is_enlarged(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    Image.new("RGB", size, "teal").save(tmp_path / "photo.jpg")
    assert thumbnail_of(tmp_path / "photo.jpg").size == expected


def test_a_rotated_photo_gets_an_upright_thumbnail_without_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "private words"
    stored = Image.new("RGB", (800, 600), "white")
    stored.paste("red", (0, 0, 800, 300))  # the upper half as stored is the right half when upright
    stored.save(tmp_path / "photo.jpg", exif=exif.tobytes())
    thumbnail = thumbnail_of(tmp_path / "photo.jpg")
    assert thumbnail.size == (300, 400)
    assert thumbnail.getpixel((290, 200))[1] < 60  # type: ignore[index]
    assert thumbnail.getpixel((10, 200))[1] > 200  # type: ignore[index]
    assert not thumbnail.getexif()


def test_a_damaged_photo_has_no_thumbnail(tmp_path: Path) -> None:
    Image.effect_noise((300, 300), 80).save(tmp_path / "photo.jpg")
    (tmp_path / "photo.jpg").write_bytes((tmp_path / "photo.jpg").read_bytes()[:5000])
    with pytest.raises(Unreadable):
        thumbnail_of(tmp_path / "photo.jpg")
