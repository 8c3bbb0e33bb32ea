"""Groups of duplicates on one page: whole in itself, honest about its limits, safe against any name of a file."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import shutil
import webbrowser
from pathlib import Path

import pytest
from PIL import Image

from conftest import Shell, draw, exif
from page import Page
from photoindex.web import dupes_page

EVIL = "<img src=x onerror=alert(1)>\"'&.jpg"
BYTES = b"bad\xff\n\x1b[31m.jpg"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture in two qualities, the worse in a folder of its own, and another in three files of the same bytes."""
    folder = tmp_path_factory.mktemp("page") / "photos"
    (folder / "sent").mkdir(parents=True)
    large = draw(1).resize((1200, 900))
    large.save(folder / "large.jpg", quality=97, exif=exif("2023:05:01 14:30:00"))
    large.resize((600, 450)).save(folder / "sent" / EVIL, quality=85)
    draw(2).resize((800, 600)).save(folder / "twin.jpg")
    shutil.copyfile(folder / "twin.jpg", folder / "twin (1).jpg")
    shutil.copyfile(folder / "twin.jpg", os.fsencode(folder) + b"/" + BYTES)
    return folder


def page_of(run: Shell, path: Path, *arguments: str | Path) -> Page:
    run("dupes", "--sheet", path, *arguments)
    return Page(path.read_text("utf-8"))


def test_groups_stand_side_by_side_on_a_page_that_needs_nothing_else(
    found: Shell, tmp_path: Path, pictures: Path
) -> None:
    ran = found("dupes", "--sheet", tmp_path / "x.html")
    assert ran.out == b""
    assert str(tmp_path / "x.html") in ran.err
    assert "2 groups (1 identical, 1 re-encoded)" in ran.err
    text = (tmp_path / "x.html").read_text("utf-8")
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "object", "link", "form"})
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"]
    for part in ("identical", "the same bytes", "re-encoded", "camera took it (Kamera K-1)", "600x450, not 1200x900"):
        assert part in page.text
    assert "of 256 bits from the first, fine detail agrees by " in page.text
    assert EVIL in page.text
    assert "bad\ufffd\u240a\u241b[31m.jpg" in page.text
    links = {link["href"] for link in page.of("a")}
    names = ("large.jpg", "twin.jpg", "twin (1).jpg")
    assert {"#tier-identical", "#tier-re-encoded", *((pictures / name).as_uri() for name in names)} < links
    assert {(pictures / "sent" / EVIL).as_uri(), pictures.as_uri() + "/bad%FF%0A%1B%5B31m.jpg"} < links
    (policy,) = [m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    style = re.search("<style>(.*)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.split("; ")[:3] == ["default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'"]


def test_files_of_the_same_bytes_share_one_picture_and_every_picture_has_a_name(found: Shell, tmp_path: Path) -> None:
    page = page_of(found, tmp_path / "x.html")
    assert [picture["alt"] for picture in page.of("img")] == [
        "Thumbnail of twin.jpg",
        "Thumbnail of large.jpg",
        f"Thumbnail of {EVIL}",
    ]
    assert "the same bytes: 2 more files" in page.text
    headings = [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert headings == ["h1", "h2", "h3", "h2", "h3"]
    labels = {section["aria-labelledby"] for section in page.of("section")}
    assert labels == {heading["id"] for heading in page.of("h2")} == {"tier-identical", "tier-re-encoded"}


def test_what_is_protected_or_decided_is_said(found: Shell, tmp_path: Path, pictures: Path) -> None:
    page = page_of(found, tmp_path / "x.html", "--protect", pictures / "sent")
    assert "keep (protected)" in page.text
    found("dupes", "decide", "keep-all", pictures / "large.jpg", pictures / "sent" / EVIL)
    assert "You decided" not in page_of(found, tmp_path / "x.html").text
    assert "You decided keep-all about this" in page_of(found, tmp_path / "x.html", "--decided").text


def test_what_a_page_leaves_out_is_said_on_it_and_beside_it(
    found: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "Only the first 1 of 2 groups are on this page; --limit 0 shows all."
    ran = found("dupes", "--sheet", tmp_path / "x.html", "--limit", "1")
    assert told in ran.err
    assert told in Page((tmp_path / "x.html").read_text("utf-8")).text
    monkeypatch.setattr(dupes_page, "MOST_GROUPS", 1)
    assert told in found("dupes", "--sheet", tmp_path / "x.html").err
    assert "Only the first" not in page_of(found, tmp_path / "x.html", "--limit", "0").text


def test_many_pictures_are_smaller_ones_and_the_page_says_so(
    found: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sides(page: Page) -> list[int]:
        data = (base64.b64decode(picture["src"].partition(",")[2]) for picture in page.of("img"))
        return [max(Image.open(io.BytesIO(one)).size) for one in data]

    assert min(sides(page_of(found, tmp_path / "x.html"))) > 240
    monkeypatch.setattr(dupes_page, "_STORED", 2)
    page = page_of(found, tmp_path / "x.html")
    assert sides(page) == [240] * 3
    assert "The pictures are 240 pixels wide or high" in page.text
    monkeypatch.setattr(dupes_page, "_SIDES", ((2, 240), (None, 160)))
    assert sides(page_of(found, tmp_path / "x.html")) == [160] * 3


def test_of_a_long_group_the_later_files_are_named_only(
    found: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dupes_page, "_MOST_PICTURES", 1)
    monkeypatch.setattr(dupes_page, "_LISTED", 1)
    page = page_of(found, tmp_path / "x.html")
    assert len(page.of("img")) == 2
    assert len(page.of("details")) == 2
    assert "1 more without their pictures" in page.text
    assert EVIL in page.text


def test_a_broken_thumbnail_leaves_the_page_whole(
    found: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dupes_page, "_STORED", 0)
    for thumbnail in (found.folder / "cache" / "thumbnails").rglob("*.jpg"):
        thumbnail.write_bytes(thumbnail.read_bytes()[:100])
    page = page_of(found, tmp_path / "x.html")
    assert page.of("img") == []
    assert "no thumbnail" in page.text
    assert "large.jpg" in page.text


def test_open_shows_the_page(found: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) is None)
    found("dupes", "--open")
    (page,) = tmp_path.glob("photoindex-*.html")
    assert opened == [page.as_uri()]
    assert page.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert "No browser could be started" in found("dupes", "--open", code=2).err


def test_a_page_goes_with_formats_for_programs_and_with_limits_but_not_with_against(
    found: Shell, tmp_path: Path, pictures: Path
) -> None:
    assert len(found("dupes", "--sheet", tmp_path / "x.html", "--format", "json").json) == 2
    assert "--against lists files" in found("dupes", "--against", pictures, "/", "--open", code=2).err
    assert "--against lists files" in found("dupes", "--against", pictures, "/", "--limit", "3", code=2).err
    (tmp_path / "mine.html").write_text("mine")
    assert "no contact sheet" in found("dupes", "--sheet", tmp_path / "mine.html", code=2).err
    ran = found("dupes", "--tier", "burst", "--sheet", tmp_path / "none.html")
    assert "No duplicates." in ran.err
    assert not (tmp_path / "none.html").exists()


def test_a_list_can_be_limited_too_and_says_so(found: Shell) -> None:
    ran = found("dupes", "--limit", "1", "--format", "ndjson")
    assert len(ran.text.splitlines()) == 1
    assert "The first 1 of 2 groups are shown; --limit 0 shows all." in ran.err
    assert len(found("dupes", "--limit", "0", "--format", "ndjson").text.splitlines()) == 2
