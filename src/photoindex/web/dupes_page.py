"""Groups of duplicates side by side, as one HTML file with their thumbnails in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath

from photoindex.pure import group_words as words
from photoindex.pure.sizes import show_bytes
from photoindex.records import Group, Member, PhotoRow
from photoindex.web.page import STYLE, link, picture, text, write_page

MOST_GROUPS = 1000
_MOST_PICTURES = 24  # of one group; the others of a long burst are named below them
_FEW = 3  # of one group that are shown as large as their thumbnails are
_LISTED = 5  # copies of the same bytes that are listed without being asked
# Up to so many pictures they are shown as they are stored, up to so many more in this size, beyond that in the last.
_STORED, _SIDES = 300, ((4_000, 240), (None, 160))
_QUALITY = 80
_STYLE = (
    STYLE
    + """
h2 { font-size: 1.1rem; margin: 2.5rem 0 .25rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0; overflow-wrap: anywhere; }
:root { --line: #d8d8d6; --keep: #146c2e; --keep-ink: #fff; }
@media (prefers-color-scheme: dark) { :root { --line: #3a3a3a; --keep: #7ddb96; --keep-ink: #10250f; } }
header p, .soft, figcaption { color: var(--soft); }
nav ul, .files, .files ul { list-style: none; margin: 0; padding: 0; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: .75rem; }
a { color: var(--focus); }
a:focus-visible, summary:focus-visible { outline: 3px solid var(--focus); outline-offset: 3px; }
article { margin-top: 1.75rem; content-visibility: auto; contain-intrinsic-size: auto 32rem; }
.files { display: grid; gap: 1.25rem; margin-top: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); }
.few { grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 26rem)); }
.files > li { min-width: 0; }
figure { margin: 0; }
figcaption { font-size: .85rem; }
.frame { display: flex; align-items: center; justify-content: center; aspect-ratio: 4 / 3; padding: .4rem;
  margin-bottom: .4rem; background: var(--tile); color: var(--soft); border: 2px solid transparent; }
.keep .frame { border-color: var(--keep); }
.frame img { max-width: 100%; max-height: 100%; min-height: 0; object-fit: scale-down; }
.name { color: var(--ink); font-weight: 600; }
.role { display: inline-block; margin-right: .35rem; padding: 0 .4rem; border-radius: .2rem; font-weight: 600;
  color: var(--ink); background: var(--tile); }
.keep .role { color: var(--keep-ink); background: var(--keep); }
.differs li { color: var(--ink); }
.differs li::before { content: "≠ "; content: "≠ " / "differs: "; }
summary { cursor: pointer; }
time { white-space: nowrap; }
code { font: .85em ui-monospace, monospace; white-space: nowrap; }
@media print { body { padding: 0; } article { break-inside: avoid; content-visibility: visible; } }
"""
)


@dataclass(frozen=True, slots=True)
class DupesPage:
    """What a page of duplicates shows: how many of how many groups, and the longest side of its pictures in pixels,
    None where they are as the library stores them."""

    groups: int
    of: int
    side: int | None

    def limits(self) -> list[str]:
        """What is not there, or not in full, in words."""
        found = []
        if self.groups < self.of:
            found.append(f"Only the first {self.groups:,} of {self.of:,} groups are on this page; --limit 0 shows all.")
        if self.side is not None:
            found.append(f"The pictures are {self.side} pixels wide or high, so that the page does not grow too large.")
        return found


def write_dupes_page(
    path: Path,
    title: str,
    groups: Sequence[Group],
    thumbnail: Callable[[str], Path],
    most: int = MOST_GROUPS,
    shell: str = "photoindex",
) -> DupesPage:
    """Write a page of the first `most` groups (0: of all), whole or not at all, and tell what it shows.

    Pictures shrink where there are many: 1,000 groups of two make a page of some 20 MB. `thumbnail` says where the
    JPEG of a SHA-256 lies; `shell`: the command that the page names for deciding. Raises UsageError.
    """
    shown = groups[: most or None]
    page = DupesPage(len(shown), len(groups), _side(sum(min(len(words.by_content(g)), _MOST_PICTURES) for g in shown)))
    write_page(path, title, _STYLE, _body(title, groups, page, _Pictures(thumbnail, page.side), shell))
    return page


def _side(pictures: int) -> int | None:
    if pictures <= _STORED:
        return None
    return next(side for most, side in _SIDES if most is None or pictures <= most)


@dataclass(frozen=True, slots=True)
class _Pictures:
    thumbnail: Callable[[str], Path]
    side: int | None

    def of(self, photo: PhotoRow) -> str:
        """Its thumbnail as HTML. The name stands below it as text, so that the alternative text need not repeat it."""
        try:
            return picture(self._jpeg(self.thumbnail(photo.photo)), f"Thumbnail of {PurePath(photo.path).name}")
        except OSError:
            return "<span>no thumbnail</span>"

    def _jpeg(self, path: Path) -> bytes:
        if self.side is None:
            return path.read_bytes()
        from PIL import Image

        with Image.open(path) as image:
            image.draft("RGB", (self.side, self.side))
            image.thumbnail((self.side, self.side))
            out = io.BytesIO()
            image.convert("RGB").save(out, "JPEG", quality=_QUALITY)
            return out.getvalue()


def _body(title: str, groups: Sequence[Group], page: DupesPage, pictures: _Pictures, shell: str) -> Iterator[str]:
    shown = groups[: page.groups]
    yield f"<header>\n<h1>{text(title)}</h1>\n<p>{text(words.summary(groups))}</p>\n"
    yield "".join(f"<p><strong>{text(limit)}</strong></p>\n" for limit in page.limits())
    ask, decide = f"<code>{text(shell)} dupes review</code>", f"<code>{text(shell)} dupes decide keep-all ID</code>"
    yield f"<p>This page changes nothing. {ask} asks about one group after the other; {decide} settles one.</p>\n"
    tiers = "".join(
        f'<li><a href="#{_anchor(tier)}">{text(tier)}</a> {count:,}</li>'
        for tier, count in words.by_tier(shown).items()
    )
    yield f'<nav aria-label="Tiers"><ul>{tiers}</ul></nav>\n</header>\n<main>\n'
    numbered = enumerate(shown, 1)
    for tier, some in groupby(numbered, key=lambda one: one[1].tier):
        anchor = _anchor(tier)
        yield f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{text(tier)}</h2>\n'
        yield f'<p class="soft">{text(words.TIER_WORDS[tier])}</p>\n'
        for number, group in some:
            yield from _group(number, group, pictures)
        yield "</section>\n"
    yield "</main>\n"


def _anchor(tier: str) -> str:
    return "tier-" + tier.replace("+", "-")


def _group(number: int, group: Group, pictures: _Pictures) -> Iterator[str]:
    yield f"<article>\n<h3>{number:,}. {text(words.counted(group))}</h3>\n<p>{text(_sentence(words.why(group)))}</p>\n"
    if told := words.decided(group):
        yield f"<p><strong>{text(told)}</strong></p>\n"
    yield f'<p class="soft">id <code>{text(group.id[:8])}</code></p>\n'
    contents = words.by_content(group)
    yield f'<ul class="files{" few" if len(contents) <= _FEW else ""}">\n'
    for members in contents[:_MOST_PICTURES]:
        yield _content(group, members, pictures)
    yield "</ul>\n"
    if rest := [group.members[at] for members in contents[_MOST_PICTURES:] for at in members]:
        yield _folded(f"{len(rest):,} more without their pictures", rest)
    yield "</article>\n"


def _content(group: Group, members: Sequence[int], pictures: _Pictures) -> str:
    """The files of one content: the first with its picture, the others by name."""
    at = members[0]
    member, copies = group.members[at], [group.members[k] for k in members[1:]]
    photo = member.photo
    path = PurePath(photo.path)
    return (
        f"<li{' class=keep' if at == 0 else ''}>\n<figure>\n"
        f'<a class="frame" href="{link(photo.path)}">{pictures.of(photo)}</a>\n<figcaption>\n'
        f'<p class="name"><span class="role">{text(words.role(member))}</span><bdi>{text(path.name)}</bdi></p>\n'
        f"<p>{_facts(photo)}</p>\n"
        f"{_differs(member)}"
        f"{_line(words.evidence(group, at))}"
        f"{_line('video ' + member.video if member.video else '')}"
        f"<p><bdi>{text(str(path.parent))}</bdi></p>\n"
        f"{_copies(copies)}</figcaption>\n</figure>\n</li>\n"
    )


def _facts(photo: PhotoRow) -> str:
    taken = ""
    if photo.taken_at:
        about = "about " if photo.taken_source == "file_time" else ""
        shown = f"{photo.taken_at:%Y-%m-%d %H:%M}" + ("" if about else f"{photo.taken_at::%S}")
        taken = f'{about}<time datetime="{photo.taken_at.isoformat()}">{shown}</time>'
    pixels = f"{photo.width}x{photo.height}" if photo.width and photo.height else ""
    found = (show_bytes(photo.bytes), pixels, text(photo.format or ""), taken, text(photo.camera or ""))
    return " · ".join(fact for fact in found if fact)


def _differs(member: Member) -> str:
    found = "".join(f"<li>{text(what)}</li>" for what in member.differs)
    return f'<ul class="differs">{found}</ul>\n' if found else ""


def _copies(copies: Sequence[Member]) -> str:
    if not copies:
        return ""
    told = f"the same bytes: {len(copies):,} more {'file' if len(copies) == 1 else 'files'}"
    if len(copies) > _LISTED:
        return _folded(told, copies)
    return f"<p>{told}</p>\n<ul>{''.join(map(_file, copies))}</ul>\n"


def _folded(told: str, members: Sequence[Member]) -> str:
    return f"<details><summary>{text(told)}</summary>\n<ul>{''.join(map(_file, members))}</ul></details>\n"


def _file(member: Member) -> str:
    path = member.photo.path
    return f'<li><a href="{link(path)}"><bdi>{text(path)}</bdi></a> {text(words.role(member))}</li>\n'


def _line(told: str) -> str:
    return f"<p>{text(told)}</p>\n" if told else ""


def _sentence(told: str) -> str:
    return f"{told[:1].upper()}{told[1:]}."
