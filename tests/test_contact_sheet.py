"""The contact sheet: one page that needs nothing else, and that no name of a file can break."""

import base64
import hashlib
import os
import re
import webbrowser
from pathlib import Path

import pytest

from conftest import Shell, draw
from page import Page

EVIL = "<img src=x onerror=alert(1)>\"'&.jpg"
BYTES = b"bad\xff\n\x1b[31m.jpg"


@pytest.fixture
def odd(run: Shell, photos: Path) -> Shell:
    folder = photos / "2023" / "trip"
    draw(30).save(folder / EVIL)
    with open(os.fsencode(folder) + b"/" + BYTES, "wb") as file:
        draw(31).save(file, "JPEG")
    run.scan(folder)
    return run


def test_a_sheet_is_whole_in_itself(odd: Shell, tmp_path: Path, photos: Path) -> None:
    sheet = tmp_path / "sheet.html"
    ran = odd("search", "-name:nothing_like_it", "--sheet", sheet)
    assert ran.out == b""
    assert str(sheet) in ran.err
    page = Page(sheet.read_text("utf-8"))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "object", "link", "form"})
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    pictures = page.of("img")
    assert len(pictures) == 4
    for picture in pictures:
        kind, data = picture["src"].split(",")
        assert kind == "data:image/jpeg;base64"
        assert base64.b64decode(data).startswith(b"\xff\xd8")
    links = {link["href"] for link in page.of("a")}
    folder = photos / "2023" / "trip"
    assert links == {
        *((folder / name).as_uri() for name in ("paris.jpg", "Kölner Dom.png", EVIL)),
        folder.as_uri() + "/bad%FF%0A%1B%5B31m.jpg",
    }
    assert EVIL in page.text
    assert "bad\ufffd\u240a\u241b[31m.jpg" in page.text
    assert "about 20" in page.text  # only the file's own time
    assert sheet.stat().st_mode & 0o077 == 0


def test_the_policy_lets_the_style_in_and_nothing_else(odd: Shell, tmp_path: Path) -> None:
    odd("search", "name:paris", "--sheet", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    (policy,) = [m["content"] for m in Page(text).of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    style = re.search("<style>(.*)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.split("; ")[:3] == ["default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'"]


def test_a_sheet_replaces_a_sheet_but_nothing_else(odd: Shell, tmp_path: Path) -> None:
    mine = tmp_path / "notes.html"
    mine.write_text("mine")
    assert "no contact sheet" in odd("search", "name:paris", "--sheet", mine, code=2).err
    assert mine.read_text() == "mine"
    assert ".html" in odd("search", "name:paris", "--sheet", tmp_path / "x.jpg", code=2).err
    assert "Cannot write" in odd("search", "name:paris", "--sheet", tmp_path / "none" / "x.html", code=2).err
    for query in ("name:paris", "name:dom"):
        odd("search", query, "--sheet", tmp_path / "x.html")
    assert "Kölner" in (tmp_path / "x.html").read_text("utf-8")
    odd("search", "name:nothing_like_it", "--sheet", tmp_path / "x.html")
    assert "Kölner" in (tmp_path / "x.html").read_text("utf-8")
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_a_photo_that_has_gone_is_no_link(odd: Shell, tmp_path: Path, photos: Path) -> None:
    (photos / "2023" / "trip" / "paris.jpg").unlink()
    odd.scan(photos / "2023" / "trip")
    odd("search", "name:paris", "--sheet", tmp_path / "x.html")
    page = Page((tmp_path / "x.html").read_text())
    assert page.of("a") == []
    assert "missing" in page.text
    assert len(page.of("img")) == 1


def test_the_query_is_the_title_and_text_only(odd: Shell, tmp_path: Path) -> None:
    odd("search", "-name:<b>", "--sheet", tmp_path / "x.html")
    page = Page((tmp_path / "x.html").read_text())
    assert page.of("b") == []
    assert "<b>" in page.text


def test_open_shows_a_private_file_in_the_browser(odd: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) is None)
    odd("search", "name:paris", "--open")
    (page,) = tmp_path.glob("photoindex-*.html")
    assert opened == [page.as_uri()]
    assert "paris.jpg" in page.read_text()
    assert odd("search", "name:paris", "--open", "--ids").text.strip()  # both are done
    before = sorted(tmp_path.glob("photoindex-*.html"))
    odd("search", "name:nothing_like_it", "--open")
    assert sorted(tmp_path.glob("photoindex-*.html")) == before
    assert len(opened) == 2


def test_no_browser_is_an_error_that_says_where_the_sheet_is(odd: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    error = odd("search", "name:paris", "--open", code=2).err
    page = re.search(r"Open (\S+\.html) yourself", error)
    assert page
    Path(page[1]).unlink()
    assert "--sheet" in error


def test_count_has_no_sheet(odd: Shell, tmp_path: Path) -> None:
    odd("search", "has:date", "--count", "--sheet", tmp_path / "x.html", code=2)
    assert not (tmp_path / "x.html").exists()


def test_reasons_stay_out_of_json_that_did_not_ask_for_them(odd: Shell, tmp_path: Path) -> None:
    (hit,) = odd("search", "paris", "--mode", "keyword", "--format", "json", "--sheet", tmp_path / "x.html").json
    assert "reasons" not in hit
