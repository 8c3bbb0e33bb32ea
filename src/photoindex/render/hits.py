"""The table of hits on a terminal: the file's name first, its folder dimmed, and no line broken in two."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from photoindex.records import Hit, PhotoRow, Reason
from photoindex.render.text import console, short_path, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.text import Text

CAMERA_FROM = 100  # columns of a terminal from which on there is room for the camera
_CAMERA_MOST = 24
_FOLDER_LEAST = 12  # columns below which a folder gets a line of its own
FILE_TIME = "file_time"


def taken_cell(photo: PhotoRow) -> str:
    """When it was taken; ~ where only the time of the file says so."""
    if photo.taken_at is None:
        return ""
    return f"{'~' if photo.taken_source == FILE_TIME else ''}{photo.taken_at:%Y-%m-%d %H:%M}"


def match_cell(hit: Hit) -> str:
    return "" if hit.match is None else f"{hit.match:.0%}"


def remarks(hit: Hit) -> str:
    gone = ["offline"] if hit.photo.offline else ["missing"] if hit.photo.missing else []
    found = [*gone, *([] if hit.kept else ["no good match"])]
    return f"({', '.join(found)})" if found else ""


def why_line(reason: Reason) -> str:
    words = f" ({', '.join(reason.words)} in {', '.join(reason.where)})" if reason.words else ""
    spelled = f", as {', '.join(reason.spelled)}" if reason.spelled else ""
    line = f": “{reason.line}”" if reason.line else ""
    verdict = "" if reason.kept else "cut: "
    return visible(f"{reason.source} #{reason.rank} {reason.score:.3f}{words}{spelled}{line}; {verdict}{reason.why}")


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` columns, its middle left out where it is longer."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    head = (width - 1) // 2
    tail = max(0, width - 1 - head)
    return set_cell_size(text, head).rstrip() + "…" + set_cell_size(text[::-1], tail)[::-1].lstrip() if tail else "…"


@dataclass(frozen=True, slots=True)
class PhotoCell:
    """A photo in as many columns as there are: name and folder in a line, then the line of text that was met, then
    `below`. All texts are fit for a terminal."""

    name: str
    folder: str
    remark: str = ""
    line: str = ""
    below: tuple[str, ...] = ()

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement(min(20, options.max_width), options.max_width)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield from self._head(options.max_width)
        if self.line:
            yield Text(f"“{shorten(self.line, options.max_width - 2)}”", style="italic")
        for text in self.below:
            yield Text(text, style="dim", overflow="fold")

    def _head(self, width: int) -> list[Text]:
        from rich.cells import cell_len
        from rich.text import Text

        remark = f" {self.remark}" if self.remark else ""
        first = Text(shorten(self.name, max(8, width - cell_len(remark))), style="bold", no_wrap=True)
        first.append(remark, style="not bold italic")
        room = width - first.cell_len - 2
        if not self.folder:
            return [first]
        if room < min(_FOLDER_LEAST, cell_len(self.folder)):
            return [first, Text(shorten(self.folder, width), style="dim", no_wrap=True)]
        first.append(f"  {shorten(self.folder, room)}", style="not bold dim")
        return [first]


def photo_cell(hit: Hit, explain: bool) -> PhotoCell:
    line = next((reason.line for reason in hit.reasons if reason.line and reason.kept), None)
    return PhotoCell(
        visible(os.path.basename(hit.photo.path)),
        folder_of(hit.photo.path),
        remarks(hit),
        visible(line or ""),
        tuple(map(why_line, hit.reasons)) if explain else (),
    )


def folder_of(path: str) -> str:
    """The folder as people say it: from here, or else from their home; nothing for the folder one is in."""
    folder = os.path.dirname(path)
    if folder == os.getcwd():
        return ""
    home = os.path.expanduser("~").rstrip(os.sep)
    near = short_path(folder)
    return f"~{visible(folder[len(home) :])}" if home and near == visible(folder) and _below(folder, home) else near


def _below(folder: str, home: str) -> bool:
    return folder == home or folder.startswith(home + os.sep)


def print_on_terminal(hits: Sequence[Hit], explain: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    target = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    matched = any(hit.match is not None for hit in hits)
    with_camera = target.width >= CAMERA_FROM
    table.add_column("#", justify="right", no_wrap=True)
    if matched:
        table.add_column("match", justify="right", no_wrap=True)
    table.add_column("photo", ratio=1)
    table.add_column("taken", justify="right", no_wrap=True)
    if with_camera:
        table.add_column("camera", no_wrap=True)
    for hit in hits:
        camera = [Text(shorten(visible(hit.photo.camera or ""), _CAMERA_MOST))] if with_camera else []
        match = [match_cell(hit)] if matched else []
        table.add_row(str(hit.rank), *match, photo_cell(hit, explain), taken_cell(hit.photo), *camera)
    target.print(table)
