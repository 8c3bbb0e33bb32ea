"""What `photoindex dupes review` shows of a group: its pictures in a row, and a numbered entry for each content."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photoindex.pure import group_words as words
from photoindex.pure.keep import choose_name
from photoindex.pure.tiers import DUPLICATES
from photoindex.records import Group, Member
from photoindex.render.hits import folder_of, shorten, taken_cell
from photoindex.render.preview import Picture
from photoindex.render.text import console, short_path, size, visible

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import Console

MOST_CHOICES = 24  # of one group; a longer burst is better looked at in the browser
_MOST_ROWS = 2
_TILE = (400, 300)  # pixels of a tile; the terminal scales it
_TILE_COLUMNS = 26
_LISTED = 5


def print_review(number: int, of: int, group: Group, picture: Picture | None, thumbnail: Callable[[str], Path]) -> None:
    """A group as its pictures, where `picture` draws them, and what tells its contents apart."""
    from rich.text import Text

    target = console()
    heading = f"{number:,} of {of:,}  {group.tier}: {words.counted(group)}"
    target.print()
    target.rule(Text(f"{heading}  [{group.id[:8]}]", style="bold"), align="left")
    contents = words.by_content(group)
    shown = contents[:MOST_CHOICES]
    if picture is not None:
        _print_pictures(target, [group.members[at[0]] for at in shown], picture, thumbnail)
    for place, members in enumerate(shown, 1):
        _print_content(target, place, group, members)
    if len(contents) > len(shown):
        target.print(f"and {len(contents) - len(shown):,} more; o shows them")
    if told := words.decided(group):
        target.print(Text(visible(told), style="italic"))
    target.print(Text(visible(_advice(group))))


def _advice(group: Group) -> str:
    contents = words.by_content(group)
    if len(contents) == 1 and len(contents[0]) > 1:
        stays, reason = choose_name([member.photo for member in group.members])
        return f"1 keeps {stays} and lets go of the same bytes elsewhere: {reason}."
    if group.suggestion:
        return f"The best may be 1: {group.reason}."
    if group.tier in DUPLICATES:
        return f"By the rules 1 stays: {group.reason}."
    return f"1: {group.reason}."


def question(group: Group) -> str:
    """What can be answered, in one line of 80 columns."""
    contents = min(len(words.by_content(group)), MOST_CHOICES)
    rest = "s skip  u undo  o open  q quit: "
    if contents == 1:
        return f"1 keep one  a keep all  {rest}"
    if contents < 10:
        return f"1-{contents} keep it  a keep all  n no duplicates  {rest}"
    return f"1-{contents} + Enter keep it  a all  n no duplicates  {rest}"  # a second digit may follow


def _print_content(target: Console, place: int, group: Group, members: Sequence[int]) -> None:
    """Two lines and what differs: 80 columns are enough for each, longer names lose their middle."""
    from rich.text import Text

    member, width = group.members[members[0]], target.width
    photo = member.photo
    head = Text(f"{place:2}  ", style="bold", no_wrap=True)
    name = shorten(visible(os.path.basename(photo.path)), max(20, width // 2))
    head.append(name)
    room = width - head.cell_len - 2
    head.append(f"  {shorten(folder_of(photo.path), room)}" if room > 10 else "", style="not bold dim")
    target.print(head)
    pixels = f"{photo.width}x{photo.height}" if photo.width and photo.height else ""
    facts = (size(photo.bytes), pixels, photo.format or "", taken_cell(photo), visible(photo.camera or ""))
    target.print(Text(f"    {shorten('  '.join(fact for fact in facts if fact), width - 4)}"))
    for line in _more(group, members, member):
        for part in Text(visible(line)).wrap(target, width - 4):
            part.rstrip()
            target.print(Text("    ").append_text(part))


def _more(group: Group, members: Sequence[int], member: Member) -> list[str]:
    found = [*member.differs, words.evidence(group, members[0])]
    tier = [words.role(member)] if members[0] else []
    why = "; ".join([*tier, *(text for text in found if text)])
    copies = [group.members[at] for at in members[1:]]
    lines = [why] if why else []
    lines += ["protected"] if member.protected and not members[0] else []
    lines += _away(member)
    lines += [f"video {short_path(member.video)}"] if member.video else []
    lines += [f"the same bytes: {_path(copy)}" for copy in copies[:_LISTED]]
    lines += [f"and {len(copies) - _LISTED:,} more of the same bytes"] if len(copies) > _LISTED else []
    stays = choose_name([group.members[at].photo for at in members])[0]
    return lines + ([f"of these {stays} stays"] if copies and stays != member.photo.path else [])


def _path(copy: Member) -> str:
    marks = [*(["protected"] if copy.protected else []), *_away(copy)]
    return copy.photo.path + (f" ({'; '.join(marks)})" if marks else "")


def _away(member: Member) -> list[str]:
    """Why a file cannot be looked at just now."""
    if member.photo.offline:
        return ["offline: its folder cannot be reached just now"]
    return [] if os.path.lexists(member.photo.path) else ["not there any more"]


def _print_pictures(
    target: Console, members: Sequence[Member], picture: Picture, thumbnail: Callable[[str], Path]
) -> None:
    """As many in a row as the terminal is wide; one picture a row, as no terminal can set two beside each other."""
    a_row = max(1, min(len(members), target.width // _TILE_COLUMNS))
    wide = min(target.width, a_row * _TILE_COLUMNS * 3 // 2)
    for row in range(0, min(len(members), a_row * _MOST_ROWS), a_row):
        tiles = [(row + k + 1, thumbnail(m.photo.photo)) for k, m in enumerate(members[row : row + a_row])]
        target.print(picture(row_of_pictures(tiles, a_row), width=wide, height="auto"))


def row_of_pictures(tiles: Sequence[tuple[int, Path]], wide: int) -> Image.Image:
    """Thumbnails (with their numbers) side by side, each in a tile of 400 x 300 pixels; `wide`: room for how many."""
    from PIL import Image, ImageDraw, ImageFont

    whole = Image.new("RGB", (_TILE[0] * wide, _TILE[1]), (24, 24, 24))
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(40)
    for place, (number, path) in enumerate(tiles):
        left = place * _TILE[0]
        image = _opened(path)
        if image is None:
            pen.text((left + 60, 130), "no thumbnail", (200, 200, 200), font)
        else:
            image.thumbnail((_TILE[0] - 8, _TILE[1] - 8))
            whole.paste(image, (left + (_TILE[0] - image.width) // 2, (_TILE[1] - image.height) // 2))
        box = pen.textbbox((left + 14, 8), str(number), font)
        pen.rectangle((box[0] - 8, box[1] - 6, box[2] + 8, box[3] + 6), (0, 0, 0))
        pen.text((left + 14, 8), str(number), (255, 255, 255), font)
    return whole


def _opened(path: Path) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError:
        return None
