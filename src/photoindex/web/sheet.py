"""A contact sheet: photos of a result as one HTML file with their thumbnails in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from photoindex.records import Hit
from photoindex.web.page import STYLE, link, picture, sheet_path, temporary_path, text, write_page

__all__ = ["sheet_path", "temporary_path", "write_sheet"]

_STYLE = (
    STYLE
    + """
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
)


def write_sheet(path: Path, title: str, hits: Sequence[Hit], thumbnail: Callable[[str], Path]) -> None:
    """Write the sheet, whole or not at all. `thumbnail` says where the JPEG of a SHA-256 lies. Raises UsageError."""
    write_page(path, title, _STYLE, _body(title, hits, thumbnail))


def _body(title: str, hits: Sequence[Hit], thumbnail: Callable[[str], Path]) -> Iterator[str]:
    count = f"{len(hits):,} photo{'' if len(hits) == 1 else 's'}"
    yield f"<header><h1>{text(title)}</h1><p>{count}</p></header>\n<main><ol>\n"
    for hit in hits:
        yield _item(hit, thumbnail(hit.photo.photo))
    yield "</ol></main>\n"


def _item(hit: Hit, thumbnail: Path) -> str:
    path = Path(hit.photo.path)
    shown = f'<span class="frame">{_picture(thumbnail)}</span>\n<bdi>{text(path.name)}</bdi>'
    # A file that has gone would lead to an error page of the browser.
    start = f'<a class="photo" href="{link(hit.photo.path)}">' if not hit.photo.missing else '<span class="photo">'
    end = "</span>" if hit.photo.missing else "</a>"
    facts = "".join(f"<p>{fact}</p>\n" for fact in _facts(hit) if fact)
    return f"<li>\n{start}{shown}{end}\n{facts}</li>\n"


def _picture(thumbnail: Path) -> str:
    """The JPEG as a part of the page; the text of the link names the photo, so the picture needs no other name."""
    try:
        return picture(thumbnail.read_bytes())
    except OSError:
        return "no thumbnail"


def _facts(hit: Hit) -> Iterator[str]:
    photo = hit.photo
    taken = ""
    if photo.taken_at:
        about = "about " if photo.taken_source == "file_time" else ""
        taken = f'{about}<time datetime="{photo.taken_at.isoformat()}">{photo.taken_at:%Y-%m-%d %H:%M}</time>'
    match = "" if hit.match is None else f"{hit.match:.0%}"
    state = [*(["missing"] if photo.missing else []), *([] if hit.kept else ["no good match"])]
    yield " · ".join(part for part in (taken, text(photo.camera or ""), match, *state) if part)
    line = next((reason.line for reason in hit.reasons if reason.line and reason.kept), None)
    yield f"<q>{text(line)}</q>" if line else ""
    yield f"<bdi>{text(str(Path(photo.path).parent))}</bdi>"
