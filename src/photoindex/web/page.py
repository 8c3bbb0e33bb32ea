"""What every page for a browser is made of: one file that runs no script, loads nothing, and trusts no text."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from photoindex.errors import UsageError

MARK = "<!doctype html><!-- contact sheet of photoindex -->"
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --soft: #5a5a5a; --tile: #f1f1f0; --focus: #0a58ca; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --paper: #161616; --soft: #a9a9a9; --tile: #232323; --focus: #8ab4f8; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem; font: 15px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"


def sheet_path(name: str) -> Path:
    """Where the user wants a page. Raises UsageError for a name that is none of a page, and for a file that is there
    and no contact sheet: it might be anything."""
    path = Path(os.path.expanduser(name))
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--sheet writes a page: give it a name like {path.stem or 'photos'}.html.")
    try:
        if path.exists() and path.open("rb").read(len(MARK)) != MARK.encode():
            raise UsageError(f"{name} is there already, and is no contact sheet. Choose another name.")
    except OSError as error:
        raise UsageError(f"Cannot write {name}: {error.strerror}.") from None
    return path


def temporary_path() -> Path:
    """A new file that only this user may read, in the system's folder for what need not last."""
    handle, name = tempfile.mkstemp(prefix="photoindex-", suffix=".html")
    os.close(handle)
    return Path(name)


def write_page(path: Path, title: str, style: str, body: Iterable[str]) -> None:
    """Write a page, whole or not at all, for this user only. `body` is HTML. Raises UsageError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "x", encoding="utf-8", opener=_private) as file:
            file.writelines(_page(title, style, body))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from None


def text(anyones: str) -> str:
    """Anyone's text for HTML: escaped, control characters and direction marks as visible signs."""
    return escape("".join(map(_visible, anyones)))


def link(path: str) -> str:
    """A file as the value of href."""
    return escape(Path(path).absolute().as_uri())


def picture(jpeg: bytes, alt: str = "") -> str:
    """A JPEG as a part of the page. `alt`: anyone's text; empty where text beside it names the picture."""
    data = base64.b64encode(jpeg).decode()
    return f'<img alt="{text(alt)}" decoding="async" src="data:image/jpeg;base64,{data}">'


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _page(title: str, style: str, body: Iterable[str]) -> Iterator[str]:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    yield f"""{MARK}
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY.format(digest))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{text(title)}</title>
<style>{style}</style>
</head>
<body>
"""
    yield from body
    yield "</body>\n</html>\n"


def _visible(char: str) -> str:
    if char < " " or char == "\x7f":
        return chr(0x2421 if char == "\x7f" else 0x2400 + ord(char))
    if unicodedata.category(char) in {"Cc", "Cf", "Cs"}:
        return char.encode("unicode_escape").decode("ascii") if not "\udc80" <= char <= "\udcff" else "\ufffd"
    return char
