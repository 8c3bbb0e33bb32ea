"""In which form search, similar and random show what they found: printed, with pictures, or as a page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.options import one_shape
from photoindex.errors import UsageError
from photoindex.render.output import Format
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.records import Found, Hit
    from photoindex.store.library import Library

PreviewOption = Annotated[bool, typer.Option("--preview", help="Show thumbnails, on terminals that can.")]
OpenOption = Annotated[bool, typer.Option("--open", help="Show a contact sheet in the browser.")]
SheetOption = Annotated[
    str | None,
    typer.Option("--sheet", metavar="FILE.html", help="Write a contact sheet: one page, thumbnails in it."),
]


@dataclass(frozen=True, slots=True)
class Showing:
    """What the user asked for. Raises UsageError where that contradicts itself."""

    output: Format
    null: bool
    ids: bool
    count: bool = False
    explain: bool = False
    preview: bool = False
    sheet: str | None = None
    browser: bool = False

    def __post_init__(self) -> None:
        one_shape(self.output, self.null, self.ids, self.count)
        if self.preview and not self.table:
            raise UsageError("--preview shows the table with pictures; leave out --format, -0, --ids and --count.")
        if self.count and self.page:
            raise UsageError("--count shows no photos; leave it out, or --sheet and --open.")

    @property
    def table(self) -> bool:
        return self.output is Format.table and not (self.null or self.ids or self.count)

    @property
    def page(self) -> bool:
        return self.browser or self.sheet is not None

    @property
    def reasons(self) -> bool:
        """Whether reasons are needed: the table on a terminal and the sheet show the line of text that was met."""
        return self.explain or self.page or (self.table and sys.stdout.isatty())

    def show(self, library: Library, title: str, find: Callable[[], Found]) -> Found:
        """Search, and show the answer. What cannot be shown as asked is said before the search."""
        picture = None
        if self.preview:
            from photoindex.render.preview import picture_class, print_previews

            picture = picture_class()
        path = _checked(self.sheet) if self.sheet is not None else None
        found = find()
        if self.page and found.hits:
            _make_page(path, library, title, found.hits, self.browser)
        if picture:
            print_previews(found.hits, picture, library.thumbnail_path, self.explain)
        elif not (self.table and self.page):
            self._print(found.hits)
        return found

    def _print(self, hits: Sequence[Hit]) -> None:
        from photoindex.render.results import print_count, print_hits, print_ids

        if self.count:
            print_count(len(hits))
        elif self.ids:
            print_ids((hit.photo.photo for hit in hits), self.null)
        else:
            shown = hits if self.table or self.explain else [replace(hit, reasons=()) for hit in hits]
            print_hits(shown, self.output, self.null, self.explain)


def _checked(name: str) -> Path:
    from photoindex.web.sheet import sheet_path

    return sheet_path(name)


def _make_page(path: Path | None, library: Library, title: str, hits: Sequence[Hit], browser: bool) -> None:
    from photoindex.web.sheet import temporary_path, write_sheet

    path = path or temporary_path()
    write_sheet(path, title, hits, library.thumbnail_path)
    note(f"The contact sheet of {len(hits):,} photo{'' if len(hits) == 1 else 's'} is {path}")
    if browser:
        import webbrowser

        if not webbrowser.open(path.absolute().as_uri()):
            raise UsageError(
                f"No browser could be started. Open {path} yourself; --sheet FILE.html writes it elsewhere."
            )
