"""A contact sheet: photos of a result as one HTML file with their thumbnails in it."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

from photoindex.errors import UsageError
from photoindex.records import Hit

_MARK = "<!doctype html><!-- contact sheet of photoindex -->"
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --soft: #5a5a5a; --tile: #f1f1f0; --focus: #0a58ca; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --paper: #161616; --soft: #a9a9a9; --tile: #232323; --focus: #8ab4f8; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem; font: 15px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
header p, li p { margin: 0; color: var(--soft); }
ol { list-style: none; margin: 1.5rem 0 0; padding: 0; display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); }
li { min-width: 0; }
li p { font-size: .8rem; overflow-wrap: anywhere; }
.photo { display: block; color: inherit; font-weight: 600; overflow-wrap: anywhere; text-decoration: none; }
a.photo:hover { text-decoration: underline; }
a.photo:focus-visible { outline: 3px solid var(--focus); outline-offset: 3px; }
.frame { position: relative; display: flex; align-items: center; justify-content: center; aspect-ratio: 1;
  margin-bottom: .4rem; padding: .5rem; background: var(--tile); color: var(--soft); font-weight: 400; }
.frame img { position: absolute; inset: .5rem; width: calc(100% - 1rem); height: calc(100% - 1rem);
  object-fit: scale-down; }
@media print { body { padding: 0; } li { break-inside: avoid; } }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"


def sheet_path(name: str) -> Path:
    """Where the user wants a sheet. Raises UsageError for a name that is none of a page, and for a file that is there
    and no contact sheet: it might be anything."""
    path = Path(name).expanduser()
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--sheet writes a page: give it a name like {path.stem or 'photos'}.html.")
    try:
        if path.exists() and path.open("rb").read(len(_MARK)) != _MARK.encode():
            raise UsageError(f"{name} is there already, and is no contact sheet. Choose another name.")
    except OSError as error:
        raise UsageError(f"Cannot write {name}: {error.strerror}.") from None
    return path


def temporary_path() -> Path:
    """A new file that only this user may read, in the system's folder for what need not last."""
    handle, name = tempfile.mkstemp(prefix="photoindex-", suffix=".html")
    os.close(handle)
    return Path(name)


def write_sheet(path: Path, title: str, hits: Sequence[Hit], thumbnail: Callable[[str], Path]) -> None:
    """Write the sheet, whole or not at all. `thumbnail` says where the JPEG of a SHA-256 lies. Raises UsageError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "x", encoding="utf-8", opener=_private) as file:
            file.writelines(_page(title, hits, thumbnail))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"Cannot write {path}: {error.strerror}.") from None


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _page(title: str, hits: Sequence[Hit], thumbnail: Callable[[str], Path]) -> Iterator[str]:
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    count = f"{len(hits):,} photo{'' if len(hits) == 1 else 's'}"
    yield f"""{_MARK}
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY.format(style))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{_text(title)}</h1><p>{count}</p></header>
<main><ol>
"""
    for hit in hits:
        yield _item(hit, thumbnail(hit.photo.photo))
    yield "</ol></main>\n</body>\n</html>\n"


def _item(hit: Hit, thumbnail: Path) -> str:
    path = Path(hit.photo.path)
    shown = f'<span class="frame">{_picture(thumbnail)}</span>\n<bdi>{_text(path.name)}</bdi>'
    # A file that has gone would lead to an error page of the browser.
    link = f'<a class="photo" href="{escape(path.as_uri())}">' if not hit.photo.missing else '<span class="photo">'
    end = "</span>" if hit.photo.missing else "</a>"
    facts = "".join(f"<p>{fact}</p>\n" for fact in _facts(hit) if fact)
    return f"<li>\n{link}{shown}{end}\n{facts}</li>\n"


def _picture(thumbnail: Path) -> str:
    """The JPEG as a part of the page; the text of the link names the photo, so the picture needs no other name."""
    try:
        data = base64.b64encode(thumbnail.read_bytes()).decode()
    except OSError:
        return "no thumbnail"
    return f'<img alt="" decoding="async" src="data:image/jpeg;base64,{data}">'


def _facts(hit: Hit) -> Iterator[str]:
    photo = hit.photo
    taken = ""
    if photo.taken_at:
        about = "about " if photo.taken_source == "file_time" else ""
        taken = f'{about}<time datetime="{photo.taken_at.isoformat()}">{photo.taken_at:%Y-%m-%d %H:%M}</time>'
    match = "" if hit.match is None else f"{hit.match:.0%}"
    state = [*(["missing"] if photo.missing else []), *([] if hit.kept else ["no good match"])]
    yield " · ".join(part for part in (taken, _text(photo.camera or ""), match, *state) if part)
    line = next((reason.line for reason in hit.reasons if reason.line and reason.kept), None)
    yield f"<q>{_text(line)}</q>" if line else ""
    yield f"<bdi>{_text(str(Path(photo.path).parent))}</bdi>"


def _text(text: str) -> str:
    """Anyone's text for HTML: escaped, control characters and direction marks as visible signs."""
    return escape("".join(map(_visible, text)))


def _visible(char: str) -> str:
    if char < " " or char == "\x7f":
        return chr(0x2421 if char == "\x7f" else 0x2400 + ord(char))
    if unicodedata.category(char) in {"Cc", "Cf", "Cs"}:
        return char.encode("unicode_escape").decode("ascii") if not "\udc80" <= char <= "\udcff" else "\ufffd"
    return char
