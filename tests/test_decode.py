"""From bytes to an upright sRGB picture, and from what is no picture to a sentence."""

import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401 lets Pillow write JPEG XL
import pytest
import rawpy
from PIL import Image, ImageCms, ImageDraw

from photoindex.media.formats import PICTURE_SUFFIXES, sniff
from photoindex.media.jxl import jxl_size
from photoindex.media.source import MAX_PIXELS, Limits, Need, SourcePicture, open_source
from photoindex.media.unreadable import MESSAGES, Unreadable
from photoindex.media.views import prepare_view
from photoindex.records import FoundFile, View

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"
pillow_heif.register_heif_opener()
Open = Callable[..., SourcePicture]


def found(path: Path, sidecars: tuple[str, ...] = ()) -> FoundFile:
    status = os.stat(path)
    return FoundFile(
        str(path), str(path.parent), status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino, sidecars
    )


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """A gradient with a red corner at the top left, so that every turn of it differs."""
    down, across = np.mgrid[0:height, 0:width]
    image = Image.fromarray(
        np.stack([across * 255 // width, down * 255 // height, 0 * down + 90], axis=2).astype(np.uint8)
    )
    ImageDraw.Draw(image).rectangle((0, 0, width // 4, height // 4), fill=(220, 30, 30))
    return image


def encoded(image: Image.Image, format_name: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def write_and_open(
        data: bytes, name: str = "photo.jpg", short_side: int | None = None, max_pixels: int = MAX_PIXELS
    ) -> SourcePicture:
        path = tmp_path / name
        path.write_bytes(data)
        return open_source(found(path), Need(short_side), Limits(max_pixels))

    return write_and_open


def failure(call: Callable[[], object]) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        call()
    return caught.value


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("HEIF", {"quality": 90}),
        ("AVIF", {"quality": 90}),
        ("JXL", {"lossless": True}),
        ("JPEG2000", {}),
    ],
)
def test_every_format_gives_the_picture_whatever_its_name(opened: Open, format_name: str, options: dict) -> None:
    source = opened(encoded(scene(), format_name, **options), "lying.png")
    assert (source.format, source.width, source.height) == (format_name, 96, 64)
    assert source.image.mode == "RGB"
    assert difference(source.image, scene()) < 4


def test_the_walk_takes_the_usual_suffixes() -> None:
    assert {".jpg", ".heic", ".jxl", ".avif", ".cr3", ".dng", ".psd", ".mpo"} <= PICTURE_SUFFIXES
    assert not {".xmp", ".mp4", ".txt", ".svg"} & PICTURE_SUFFIXES


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_rotated_picture_is_decoded_upright(opened: Open, format_name: str, orientation: int) -> None:
    turns = [None, 0, 3, 1, 5, 2, 6, 4]  # how a camera held that way stores the scene, as Transpose numbers
    turn = turns[orientation - 1]
    stored = scene() if turn is None else scene().transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = opened(
        encoded(stored, format_name, exif=exif.tobytes(), **({"lossless": True} if format_name == "WEBP" else {}))
    )
    assert (source.orientation, source.width, source.height) == (orientation, 96, 64)
    assert source.image.size == (96, 64)
    assert difference(source.image, scene()) < 4


def test_an_orientation_after_the_pixels_of_a_png_is_found_without_decoding_them(opened: Open) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = encoded(scene(), "PNG")
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    source = opened(plain[:-12] + chunk + plain[-12:], "late.png")
    assert (source.orientation, source.width, source.height) == (6, 64, 96)
    assert source.image.size == (64, 96)


def test_a_large_jpeg_is_decoded_no_larger_than_needed(opened: Open) -> None:
    data = encoded(scene(1600, 1200), "JPEG")
    assert opened(data, short_side=300).image.size == (400, 300)
    assert opened(data, short_side=301).image.size == (800, 600)
    assert opened(data, short_side=None).image.size == (1600, 1200)


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "HEIF", "JPEG2000"])
def test_other_formats_shrink_to_what_is_needed_too(opened: Open, format_name: str) -> None:
    source = opened(encoded(scene(803, 600), format_name), short_side=200)
    assert (source.width, source.height) == (803, 600)
    assert min(source.image.size) >= (150 if format_name == "JPEG2000" else 200)
    assert max(source.image.size) <= 402
    assert difference(source.image, scene(803, 600).resize(source.image.size)) < 6


def test_transparency_is_laid_on_white(opened: Open) -> None:
    clear = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    assert opened(encoded(clear, "PNG")).image.getpixel((5, 5)) == (255, 255, 255)
    assert opened(encoded(clear.convert("LA"), "PNG")).image.getpixel((5, 5)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped(opened: Open) -> None:
    ramp = Image.fromarray(np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16))
    values = np.asarray(opened(encoded(ramp, "PNG")).image)[:, :, 0].ravel()
    assert np.abs(values.astype(int) - np.arange(256)).max() <= 1


def test_floating_point_pixels_become_a_visible_picture(opened: Open) -> None:
    ramp = Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16))
    values = np.asarray(opened(encoded(ramp, "TIFF")).image)[:, :, 0].ravel()
    assert np.abs(values.astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB"])
def test_every_mode_becomes_rgb(opened: Open, mode: str) -> None:
    image = scene() if mode != "LAB" else _in_lab(scene())
    source = opened(encoded(image.convert(mode), "TIFF" if mode in ("YCbCr", "LAB", "CMYK") else "PNG"))
    assert source.image.mode == "RGB"
    assert difference(source.image, scene()) < (120 if mode in ("1", "L") else 25)


def _in_lab(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


def test_a_colour_profile_is_applied(opened: Open) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(opened(encoded(scene(), "PNG", icc_profile=srgb)).image, scene()) == 0
    assert difference(opened(encoded(_in_lab(scene()), "TIFF", icc_profile=lab)).image, scene()) < 4


@pytest.mark.skipif(not PHOTOS.exists(), reason="the shared test pictures are not here")
def test_adobe_rgb_becomes_more_vivid_in_srgb() -> None:
    for path in sorted((PHOTOS / "faces").glob("*.jpg")) + sorted((PHOTOS / "general").glob("*.jpg")):
        with Image.open(path) as image:
            if b"Adobe RGB" in (image.info.get("icc_profile") or b"") and image.mode == "RGB":
                break
    else:
        pytest.skip("no picture in Adobe RGB")
    shown = open_source(found(path), Need(None)).image
    assert np.asarray(shown).std(axis=2).mean() > np.asarray(Image.open(path)).std(axis=2).mean()


def test_the_first_frame_of_an_animation_is_shown(opened: Open) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    source = opened(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert source.frames == 3
    assert source.image.getpixel((3, 3)) == (254, 0, 0) or source.image.getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "empty_file", "0 bytes"),
        (b"\0" * 5000, "not_a_picture", "zero bytes"),
        (b"<!DOCTYPE html><html></html>", "not_a_picture", "web page"),
        (b"Hello, this is a letter.\n" * 9, "not_a_picture", "text file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_picture", "SVG"),
        (b"%PDF-1.7 ...", "not_a_picture", "PDF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 50, "not_a_picture", "video"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "not_a_picture", "macOS"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "truncated", "ends too early"),
        (b"FUJIFILMCCD-RAW " + b"\1" * 400, "unsupported", "RAF"),
    ],
)
def test_what_is_no_picture_is_told_in_words(opened: Open, data: bytes, code: str, words: str) -> None:
    error = failure(lambda: opened(data))
    assert error.code == code
    assert words in error.problem.message
    assert error.sha256 is not None


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "HEIF", "AVIF", "JXL", "JPEG2000"])
def test_a_picture_cut_short_is_a_failure_of_that_file(opened: Open, format_name: str) -> None:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 255, (90, 90, 3), dtype=np.uint8))
    data = encoded(noise, format_name)
    error = failure(lambda: opened(data[: len(data) // 3]).image)
    assert error.code in ("truncated", "damaged")
    assert "Copy it again" in str(error)


def test_the_header_of_a_truncated_picture_is_still_read(opened: Open) -> None:
    data = encoded(scene(400, 300), "JPEG")
    source = opened(data[: len(data) // 2])
    assert (source.width, source.height) == (400, 300)
    first, second = failure(lambda: source.image), failure(lambda: source.image)
    assert first is second
    assert first.sha256 == source.sha256


def bomb(side: int) -> bytes:
    """A one-bit PNG of side x side black pixels in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes((side + 7) // 8 + 1) * 1000, 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_too_many_pixels_are_refused_before_they_are_decoded(opened: Open) -> None:
    error = failure(lambda: opened(bomb(60_000), short_side=100).image)
    assert error.code == "too_large"
    assert "60,000 x 60,000 pixels (3,600 megapixels)" in error.problem.message
    assert failure(lambda: opened(bomb(10_000)).image).code == "too_large"
    assert failure(lambda: opened(encoded(scene(), "PNG"), max_pixels=1000).image).code == "too_large"


def test_the_size_of_a_jpeg_xl_is_checked_before_its_decoder_runs(opened: Open) -> None:
    for size in ((96, 64), (8, 8), (300, 200), (1000, 17)):
        assert jxl_size(encoded(scene(*size), "JXL")) == size
    assert failure(lambda: opened(encoded(scene(), "JXL"), max_pixels=1000)).code == "too_large"


def test_a_jpeg_counts_at_the_size_it_is_decoded_at(opened: Open) -> None:
    data = encoded(scene(1600, 1200), "JPEG")
    assert opened(data, short_side=150, max_pixels=100_000).image.size == (200, 150)
    assert failure(lambda: opened(data, max_pixels=100_000).image).code == "too_large"


def test_a_file_that_changed_since_the_walk_is_left_for_the_next_scan(tmp_path: Path) -> None:
    path = tmp_path / "growing.jpg"
    path.write_bytes(encoded(scene(), "JPEG"))
    before = found(path)
    path.write_bytes(encoded(scene(), "JPEG") + b"more")
    assert failure(lambda: open_source(before, Need(None))).code == "changed_while_reading"
    path.unlink()
    assert failure(lambda: open_source(before, Need(None))).code == "vanished"


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert failure(lambda: open_source(found(tmp_path / "pipe.jpg"), Need(None))).code == "not_a_file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    path = tmp_path / "private.jpg"
    path.write_bytes(encoded(scene(), "JPEG"))
    path.chmod(0)
    assert failure(lambda: open_source(found(path), Need(None))).code == "permission"


def test_a_failure_crosses_between_processes() -> None:
    error = pickle.loads(pickle.dumps(Unreadable("damaged", "why", sha256="ab")))
    assert (error.problem, error.sha256) == (Unreadable("damaged", "why").problem, "ab")
    assert all(Unreadable(code, "a", "b").problem.message for code in MESSAGES)


def test_sniffing_knows_heif_from_avif() -> None:
    assert sniff(encoded(scene(), "HEIF")).format == "HEIF"
    assert sniff(encoded(scene(), "AVIF")).format == "AVIF"


@pytest.mark.parametrize(
    "size", [(640, 480), (480, 640), (333, 251), (224, 224), (100, 37), (1, 1), (1, 9), (500, 224)]
)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_crop_and_squash_equal_torchvision_bit_for_bit(size: tuple[int, int], interpolation: str) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    how = getattr(transforms.InterpolationMode, interpolation.upper())
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    crop = transforms.Compose([transforms.Resize(224, how), transforms.CenterCrop(224)])
    squash = transforms.Resize((224, 224), how)
    assert np.array_equal(prepare_view(image, View("v", "crop", 224, interpolation)), np.asarray(crop(image)))
    assert np.array_equal(prepare_view(image, View("v", "squash", 224, interpolation)), np.asarray(squash(image)))


def test_the_centre_of_a_very_long_picture_is_what_torchvision_shows_but_for_rounding() -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    image = scene(4000, 50)
    crop = transforms.Compose([transforms.Resize(64, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(64)])
    ours = prepare_view(image, View("v", "crop", 64)).astype(int)
    assert np.abs(ours - np.asarray(crop(image)).astype(int)).max() <= 1
    assert prepare_view(scene(1, 200_000), View("v", "crop", 224)).shape == (224, 224, 3)


def test_fit_keeps_the_aspect_and_never_enlarges() -> None:
    assert prepare_view(scene(400, 300), View("v", "fit", 200)).shape == (150, 200, 3)
    assert prepare_view(scene(90, 60), View("v", "fit", 200)).shape == (60, 90, 3)
    assert prepare_view(scene(1, 9000), View("v", "fit", 200)).shape == (200, 1, 3)
    view = prepare_view(scene(90, 60), View("v", "fit", 200))
    assert view.dtype == np.uint8
    assert view.flags.writeable
    assert view.flags.c_contiguous


class PoorRaw:
    """In rawpy's place where memory is short: `lacking` names what fails."""

    sizes = SimpleNamespace(width=1200, height=800, flip=0)

    def __init__(self, lacking: str) -> None:
        self.lacking = lacking

    def imread(self, _: object) -> Any:
        return self.ask("imread", self)

    def extract_thumb(self) -> object:
        return self.ask("extract_thumb", SimpleNamespace(data=encoded(scene(), "JPEG")))

    def postprocess(self, **_: object) -> object:
        return self.ask("postprocess", np.zeros((8, 12, 3), np.uint8))

    def ask(self, what: str, answer: Any) -> Any:
        if what == self.lacking:
            raise rawpy.LibRawUnsufficientMemoryError(b"Unsufficient memory")
        return answer

    def __enter__(self) -> "PoorRaw":
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize("lacking", ["imread", "extract_thumb", "postprocess"])
def test_a_raw_file_that_does_not_fit_into_memory_is_not_called_damaged(
    opened: Open, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    monkeypatch.setattr(rawpy, "imread", PoorRaw(lacking).imread)
    assert failure(lambda: opened(encoded(scene(), "TIFF"), "a.nef", 800).image).code == "over_memory"


@pytest.mark.skipif(not PHOTOS.exists(), reason="the shared test pictures are not here")
def test_raw_files_are_developed_or_shown_by_their_preview() -> None:
    raw = PHOTOS / "raw"
    developed = open_source(found(raw / "r001.dng"), Need(800))
    assert (developed.format, developed.width, developed.height) == ("DNG", 1224, 816)
    assert developed.image.size == (1224, 816)
    assert open_source(found(raw / "r001.dng"), Need(600)).image.size == (1024, 683)
    cut_short = open_source(found(raw / "r007.nef"), Need(800))
    assert cut_short.image.size == (425, 640)
    without_pixels = open_source(found(raw / "r003.cr3"), Need(800))
    assert (without_pixels.width, without_pixels.height) == (6024, 4020)
    assert failure(lambda: without_pixels.image).code == "truncated"
