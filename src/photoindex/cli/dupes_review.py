"""`photoindex dupes review`: one group after the other, settled by a key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.browser import show_in_browser
from photoindex.cli.dupes_options import Choice, ThresholdOption, with_choice
from photoindex.cli.options import LibraryOption, open_library
from photoindex.errors import LibraryBusy, UsageError
from photoindex.render.text import note, print_line, print_part

if TYPE_CHECKING:
    from photoindex.dupes.deciding import Settled
    from photoindex.records import Group
    from photoindex.render.preview import Picture

_ENTER, _RUBOUT, _ESCAPE = "\r\n", "\x7f\x08", "\x1b"
_INSTEAD = "`photoindex dupes decide` settles a group by its id, `photoindex dupes --sheet FILE.html` shows them."


@with_choice
def review(
    library: LibraryOption = None,
    *,
    choice: Choice,
    threshold: ThresholdOption = 31,
    decided: Annotated[bool, typer.Option("--decided", help="Also groups that you have decided about.")] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show thumbnails, on terminals that can.")
    ] = True,
) -> None:
    """Go through the groups and settle each by a key: which to keep, all, or that they are no duplicates.

    Each answer is a lasting decision, as `dupes decide` makes it, and is saved at once: quit when you like. No photo is
    touched; `dupes plan --decided` plans what your answers let go. Asks on a terminal only.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"`dupes review` asks on a terminal, and this is none. {_INSTEAD}")
    from photoindex.dupes import dupes

    options = choice.options(threshold=threshold, decided=decided)
    opened, settings = open_library(library)
    groups = [group for group in dupes(opened, options) if len(group.members) > 1]  # a live pair is settled as it is
    if not groups:
        note("No duplicates that are not decided. --decided shows those that are.")
        return
    asking = _Review(groups, settings.library, opened.thumbnail_path, _picture() if pictures else None)
    raise typer.Exit(asking.run())


def _picture() -> Picture | None:
    from photoindex.render.preview import picture_class

    try:
        return picture_class()
    except UsageError:
        note("This terminal shows no pictures; o shows a group in the browser.")
        return None


class _Review:
    """Where one is in the list of groups, and every answer so far."""

    def __init__(
        self, groups: Sequence[Group], folder: Path, thumbnail: Callable[[str], Path], picture: Picture | None
    ) -> None:
        self._groups, self._folder, self._thumbnail, self._picture = groups, folder, thumbnail, picture
        self._keys = _keys()
        self._answers: list[Settled | None] = []  # of the groups so far, None where one was skipped

    def run(self) -> int:
        """Ask until the list or the patience ends; the exit code. Whatever ends it, what was answered is saved."""
        try:
            while self._asked() if len(self._answers) < len(self._groups) else self._reconsidered():
                pass
        except KeyboardInterrupt:
            return 130
        finally:
            self._sum_up()
        return 0

    def _sum_up(self) -> None:
        made, left = sum(answer is not None for answer in self._answers), len(self._groups) - len(self._answers)
        print_line("")
        skipped = f", {len(self._answers) - made:,} skipped" if made < len(self._answers) else ""
        note(f"{made:,} {'group' if made == 1 else 'groups'} decided{skipped}, {left:,} left.")

    def _asked(self) -> bool:
        """Show the next group and take answers until one moves on; False where the user quits."""
        from photoindex.render.review import print_review, question

        group = self._groups[len(self._answers)]
        print_review(len(self._answers) + 1, len(self._groups), group, self._picture, self._thumbnail)
        while True:
            print_part(question(group))
            key = next((key for key in self._keys if key not in _ENTER), "q")  # Enter may end a number that had ended
            if key == "q":
                return False
            if self._answered(group, key):
                return True

    def _reconsidered(self) -> bool:
        """After the last group: whether its answer is taken back."""
        print_part("\nThat was the last group.  u undo  q quit: ")
        return next(self._keys, "q") == "u" and self._undone()

    def _answered(self, group: Group, key: str) -> bool:
        """Do what a key says; False where the same group has to be asked about again."""
        if key == "s":
            _tell("skipped")
            self._answers.append(None)
            return True
        if key == "u":
            return self._undone()
        if key == "o":
            self._open(group)
        elif key == "a":
            return self._settled(group, "keep-all", None, "all are kept")
        elif key == "n":
            return self._settled(group, "not-duplicates", None, "no duplicates")
        elif key.isdecimal():
            return self._kept(group, key)
        else:
            _tell("Press one of these keys.")
        return False

    def _kept(self, group: Group, first: str) -> bool:
        from photoindex.pure.group_words import by_content
        from photoindex.pure.keep import choose_name
        from photoindex.render.review import MOST_CHOICES

        contents = by_content(group)[:MOST_CHOICES]
        number = self._number(first, len(contents))
        if not 1 <= number <= len(contents):
            _tell(f"There is no {number} here." if number >= 0 else "")
            return False
        photos = [group.members[at].photo for at in contents[number - 1]]
        where = f": {choose_name(photos)[0]}" if len(photos) > 1 else ""
        return self._settled(group, "keep-this", photos[0].photo, f"{number} is kept{where}")

    def _number(self, first: str, most: int) -> int:
        """The whole number that begins with a digit; Enter ends one that could go on. -1 where it was given up."""
        typed = first
        print_part(first)
        while typed and int(typed) * 10 <= most and int(typed):
            key = next(self._keys, _ESCAPE)
            if key in _ENTER:
                break
            if key in _RUBOUT:
                typed = typed[:-1]
                print_part("\b \b")
            elif key.isdecimal():
                typed += key
                print_part(key)
            elif key == _ESCAPE:
                return -1
        print_part(" ")
        return int(typed or -1)

    def _settled(self, group: Group, kind: str, keeper: str | None, told: str) -> bool:
        from photoindex.dupes.deciding import decide_group
        from photoindex.store.library import Library

        try:
            with Library.writing(self._folder) as writing:
                answer = decide_group(writing, kind, group, keeper)
        except (LibraryBusy, UsageError) as error:
            print_line("")
            note(str(error))
            return False
        _tell(told)
        self._answers.append(answer)
        return True

    def _undone(self) -> bool:
        """Back to the group before this one, whose answer is taken back."""
        from photoindex.dupes.deciding import take_back
        from photoindex.store.library import Library

        if not self._answers:
            _tell("There is nothing to undo.")
            return False
        if (answer := self._answers[-1]) is not None:
            try:
                with Library.writing(self._folder) as writing:
                    take_back(writing, answer)
            except LibraryBusy as error:
                print_line("")
                note(str(error))
                return False
        self._answers.pop()
        _tell("back to the group before")
        return True

    def _open(self, group: Group) -> None:
        from photoindex.web.dupes_page import write_dupes_page
        from photoindex.web.page import temporary_path

        path = temporary_path()
        write_dupes_page(path, "Duplicates", [group], self._thumbnail)
        _tell(str(path))
        try:
            show_in_browser(path)
        except UsageError as error:
            note(str(error))


def _tell(answer: str) -> None:
    """On a line of its own, so that it fits beside any question."""
    print_line("")
    print_line(f"  {answer}")


def _keys() -> Iterator[str]:
    """What is typed, key by key; a key that sends several characters (an arrow) is its first. Ends at Ctrl-D."""
    while True:
        try:
            typed = typer.getchar()
        except EOFError:
            return
        if typed.startswith(_ESCAPE):
            yield _ESCAPE
            continue
        for key in typed:
            if key == "\x03":
                raise KeyboardInterrupt
            yield key.lower()
