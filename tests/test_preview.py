"""Thumbnails on terminals that can show them."""

import re
import shutil
from pathlib import Path

import pytest

from conftest import Shell
from terminal import on_terminal, silent


@pytest.fixture
def two(run: Shell, photos: Path) -> Shell:
    run.scan(photos / "2023" / "trip")
    return run


def with_sixel(written: bytes) -> bytes:
    return b"\x1b[?62;4c" if b"\x1b[c" in written else b""


def like_kitty(written: bytes) -> bytes:
    """Knows no Sixel; says OK to its own protocol."""
    asked = re.search(rb"\x1b_Gi=(\d+).*a=q", written)
    return b"\x1b[?62c" if b"\x1b[c" in written else b"\x1b_Gi=%s;OK\x1b\\" % asked[1] if asked else b""


def test_sixel(two: Shell) -> None:
    written = on_terminal(two, "search", "format:jpeg", "--preview", answer=with_sixel, pictures=True)
    assert re.search(r"\x1bP[0-9;]*q", written)
    assert "paris.jpg" in written
    assert "2023-07-14 09:00" in written


def test_kitty(two: Shell) -> None:
    written = on_terminal(two, "search", "format:jpeg", "--preview", answer=like_kitty, pictures=True)
    assert re.search(r"\x1b_G[^\x1b]*f=100[^\x1b]*;iVBORw0KGgo", written)  # a PNG in base64
    assert "paris.jpg" in written


def test_a_terminal_without_pictures_is_told_what_else_there_is(two: Shell) -> None:
    written = on_terminal(two, "search", "format:jpeg", "--preview", answer=silent, code=2)
    assert "--open" in written
    assert "paris.jpg" not in written


def test_no_terminal_is_told_so(two: Shell) -> None:
    ran = two("search", "format:jpeg", "--preview", code=2)
    assert ran.out == b""
    assert "--open" in ran.err


def test_a_photo_without_thumbnail_is_shown_by_name(two: Shell) -> None:
    shutil.rmtree(two.folder / "cache" / "thumbnails")
    written = on_terminal(two, "search", "format:jpeg", "--preview", answer=with_sixel, pictures=True)
    assert "(no thumbnail)" in written
    assert "paris.jpg" in written


def test_a_broken_thumbnail_is_none(two: Shell) -> None:
    (thumbnail,) = (two.folder / "cache" / "thumbnails").rglob(
        f"{two('search', 'name:paris', '--ids').text.strip()}.jpg"
    )
    thumbnail.write_bytes(thumbnail.read_bytes()[:200])
    assert "(no thumbnail)" in on_terminal(two, "search", "format:jpeg", "--preview", answer=with_sixel, pictures=True)


def test_preview_is_for_people(two: Shell) -> None:
    assert "--preview" in two("search", "jpg", "--preview", "--format", "json", code=2).err
