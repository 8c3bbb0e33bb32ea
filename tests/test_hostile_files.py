"""Pictures made to break their reader: bombs, lying headers, endless metadata, profiles that are none."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import Shell, draw
from photoindex.media.metadata import gather
from photoindex.media.source import Need, SourcePicture, open_source
from photoindex.media.unreadable import Unreadable
from photoindex.records import FoundFile

OpenBytes = Callable[..., SourcePicture]


@pytest.fixture
def opened(tmp_path: Path) -> OpenBytes:
    def write_and_open(data: bytes, name: str = "photo.jpg", sidecar: bytes | None = None) -> SourcePicture:
        (tmp_path / name).write_bytes(data)
        beside = tmp_path / f"{name}.xmp"
        if sidecar is not None:
            beside.write_bytes(sidecar)
        status = os.stat(tmp_path / name)
        file = FoundFile(
            *(str(tmp_path / name), str(tmp_path), status.st_size, status.st_mtime_ns, 0, 0),
            (str(beside),) if sidecar is not None else (),
        )
        return open_source(file, Need(200))

    return write_and_open


def encoded(image: Image.Image, name: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*before: bytes, width: int = 32, height: int = 32) -> bytes:
    pixels = zlib.compress((b"\0" + b"\x40\x80\xc0" * 32) * 32)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def app1(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def jpeg_with(*segments: bytes) -> bytes:
    plain = encoded(draw(1), "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def packet(inside: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:RDF><rdf:Description>{inside}</rdf:Description></rdf:RDF>'
        "</x:xmpmeta>"
    ).encode()


# --- bombs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_bomb_in_a_part_of_a_png_that_is_no_picture_costs_that_part(opened: OpenBytes, kind: bytes) -> None:
    bomb = zlib.compress(bytes(100 << 20), 9)
    head = {b"zTXt": b"Comment\0\0", b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0", b"iCCP": b"profile\0\0"}[kind]
    source = opened(png(chunk(kind, head + bomb)), "bomb.png")
    assert source.image.size == (32, 32)
    assert gather(source).width == 32


def test_a_hundred_text_bombs_cost_a_bounded_sum(opened: OpenBytes) -> None:
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(8 << 20), 9))
    assert opened(png(*[bomb] * 100), "bombs.png").image.size == (32, 32)


def test_a_picture_that_claims_what_its_bytes_cannot_hold_is_refused(opened: OpenBytes) -> None:
    with pytest.raises(Unreadable) as caught:
        _ = opened(png(width=60_000, height=3_000), "lie.png").image
    assert "180 megapixels" in str(caught.value)
    assert "bombs" in str(caught.value)


def test_a_tiff_whose_strips_lie_is_a_failure(opened: OpenBytes) -> None:
    data = bytearray(encoded(draw(1), "TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, at)
        if tag in (0x111, 0x117):  # where the strips lie, and how long they are
            struct.pack_into("<HHII", data, at, tag, 4, 1, 0xFFFFFFF0)
    with pytest.raises(Unreadable):
        _ = opened(bytes(data), "lie.tif").image


def test_a_gif_of_a_hundred_thousand_frames_is_its_first(opened: OpenBytes) -> None:
    plain = encoded(Image.new("P", (4, 4)), "GIF")
    frame = plain[plain.index(b",\0\0\0\0") : -1]
    source = opened(plain[:-1] + frame * 99_999 + b";", "long.gif")
    assert source.image.size == (4, 4)
    assert source.frames in (1, 100_000)


def test_a_tiff_whose_directories_go_in_circles_ends(opened: OpenBytes) -> None:
    data = bytearray(encoded(draw(1), "TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    assert opened(bytes(data), "circle.tif").image.size == (320, 240)


def test_archives_and_drawings_are_no_pictures_whatever_their_name(opened: OpenBytes) -> None:
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    for data, word in ((b"PK\x03\x04" + bytes(200), "zip"), (drawing, "SVG")):
        with pytest.raises(Unreadable) as caught:
            opened(data, "photo.heic")
        assert caught.value.code == "not_a_picture"
        assert word in str(caught.value)


def test_a_heic_that_holds_an_archive_is_a_failure(opened: OpenBytes) -> None:
    box = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic"
    with pytest.raises(Unreadable):
        _ = opened(box + struct.pack(">I", 0) + b"meta" + b"PK\x03\x04" * 500, "photo.heic").image


# --- metadata -------------------------------------------------------------------------------------------------------


def laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "ha">{entities}]><x>&l9;</x>'.encode()


@pytest.mark.parametrize(
    ("xmp", "word"),
    [
        (laughs(), "refused"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', "refused"),
        (b'<!DOCTYPE x SYSTEM "http://localhost:9/x.dtd"><x/>', "refused"),
        (b"<a>" * 10_000, "damaged"),
        (b"<a>" * 10_000 + b"</a>" * 10_000, ""),
        (b" " * 3 + bytes(50 << 20), "too large"),
        (b"<a>" + b"x" * (50 << 20), "too large"),
        (b"<?xml version='1.0' encoding='utf-7'?><x/>", "damaged"),
        (b"\xff\xfe" + "<x>".encode("utf-16-le"), "damaged"),
    ],
    ids=["laughs", "file", "network", "deep and open", "deep", "padding", "50 MB", "utf-7", "utf-16"],
)
def test_hostile_xmp_costs_the_xmp(opened: OpenBytes, xmp: bytes, word: str) -> None:
    source = opened(encoded(draw(1), "JPEG"), sidecar=xmp)
    facts = gather(source)
    assert facts.width == 320
    assert (word in " ".join(facts.warnings)) if word else not facts.warnings
    assert source.image.size == (320, 240)


def test_metadata_without_end_is_cut(opened: OpenBytes) -> None:
    words = "".join(f"<rdf:li>word {n}</rdf:li>" for n in range(100_000))
    long = "<dc:title>" + "x" * 1_000_000 + "</dc:title>"
    facts = gather(
        opened(encoded(draw(1), "JPEG"), sidecar=packet(f"<dc:subject><rdf:Bag>{words}</rdf:Bag></dc:subject>{long}"))
    )
    assert len(facts.keywords) == 1_000
    assert len(facts.title or "") == 10_000
    assert any("keywords" in warning for warning in facts.warnings)


def test_exif_that_points_at_itself_and_outside_is_read_as_far_as_it_goes(opened: OpenBytes) -> None:
    entries = [(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x010F, 2, 0xFFFFFFFF, 8), (0x0110, 2, 400, 0x7FFFFF00)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 8)
    facts = gather(opened(jpeg_with(app1(block))))
    assert (facts.width, facts.height) == (320, 240)


def test_a_hundred_exif_blocks_are_one_picture(opened: OpenBytes) -> None:
    block = app1(b"Exif\0\0II*\0\x08\0\0\0" + np.random.default_rng(3).bytes(60_000))
    assert opened(jpeg_with(*[block] * 100)).image.size == (320, 240)


@pytest.mark.parametrize("profile", ["noise", "cut", "sizes", "other space", "huge"])
def test_a_profile_that_is_none_is_ignored(opened: OpenBytes, profile: str) -> None:
    sound = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = {
        "noise": np.random.default_rng(1).bytes(3_000),
        "cut": sound[: len(sound) // 2],
        "sizes": sound[:128] + b"\xff\xff\xff\xff" + sound[132:],
        "other space": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        "huge": sound + bytes(4 << 20),
    }[profile]
    picture = opened(encoded(draw(1), "JPEG", icc_profile=data, quality=95)).image
    assert np.abs(np.asarray(picture, int) - np.asarray(draw(1), int)).mean() < 12


# --- what is left of a picture --------------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_jpeg_cut_short_is_indexed_by_what_is_left_and_named_as_damaged(
    run: Shell, tmp_path: Path, progressive: bool
) -> None:
    (tmp_path / "photos").mkdir()
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 255, (240, 320, 3), dtype=np.uint8))
    whole = encoded(noise, "JPEG", quality=90, progressive=progressive)
    (tmp_path / "photos" / "cut.jpg").write_bytes(whole[: len(whole) * 8 // 10])
    (tmp_path / "photos" / "stub.jpg").write_bytes(whole[: whole.index(b"\xff\xda") + 40])
    run.scan(tmp_path / "photos", code=1)
    failures = {os.path.basename(row["path"]): row for row in run("failures", "--format", "json").json}
    assert {name: (row["step"], row["code"]) for name, row in failures.items()} == {
        "cut.jpg": ("hash", "cut_short"),
        "stub.jpg": ("decode", "truncated"),
    }
    assert progressive or "the lower 2" in failures["cut.jpg"]["message"]
    shown = run("show", str(tmp_path / "photos" / "cut.jpg"), "--format", "json").json
    assert shown["state"] == "partial"
    assert (shown["hashes"], Path(shown["thumbnail"]).is_file()) == (None, True)
    assert "see `photoindex failures`" in run("status").text
    assert run.scan(tmp_path / "photos")["due"] == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
def test_damaged_files_leave_no_descriptor_open(opened: OpenBytes) -> None:
    data = encoded(draw(1), "JPEG")
    before = len(os.listdir("/proc/self/fd"))
    for n in range(100):
        try:
            _ = opened(data[: 20 + n * 7]).image
        except Unreadable:
            continue
    assert len(os.listdir("/proc/self/fd")) <= before + 2
