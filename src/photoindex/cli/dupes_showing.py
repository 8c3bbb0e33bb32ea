"""Groups of duplicates on stdout, on a page, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from photoindex.cli.browser import show_in_browser
from photoindex.render.output import Format
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.records import Group
    from photoindex.store.library import Library


@dataclass(frozen=True, slots=True)
class Showing:
    """In which form groups are shown: printed, as a page, or both where a format for programs was asked for."""

    output: Format
    null: bool
    ids: bool
    limit: int | None
    browser: bool
    sheet: str | None

    def __post_init__(self) -> None:
        if self.sheet is not None:
            self._path()

    def _path(self) -> Path:
        from photoindex.web.page import sheet_path, temporary_path

        return temporary_path() if self.sheet is None else sheet_path(self.sheet)

    def show(self, library: Library, groups: Sequence[Group]) -> None:
        from photoindex.render.dupes import note_summary, print_groups

        page = self.browser or self.sheet is not None
        if page and groups:
            _make_page(self._path(), library, groups, self.limit, self.browser)
        if not page or self.output is not Format.table or self.null or self.ids:
            print_groups(groups, self.output, self.null, self.limit or 0, ids=self.ids)
        note_summary(groups)


def _make_page(path: Path, library: Library, groups: Sequence[Group], limit: int | None, browser: bool) -> None:
    """Write groups to a page, tell what it leaves out, and show it in the browser where that is wanted."""
    from photoindex.web.dupes_page import MOST_GROUPS, write_dupes_page

    page = write_dupes_page(path, "Duplicates", groups, library.thumbnail_path, MOST_GROUPS if limit is None else limit)
    for line in page.limits():
        note(line)
    note(f"The groups side by side are in {path}")
    if browser:
        show_in_browser(path)
