"""`photoindex dupes` and `photoindex dupes plan`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from photoindex.cli.browser import show_in_browser
from photoindex.cli.dupes_apply import apply, undo
from photoindex.cli.dupes_decisions import decide, decisions
from photoindex.cli.dupes_options import Choice, ThresholdOption, folders, with_choice
from photoindex.cli.dupes_review import review
from photoindex.cli.options import FormatOption, IdsOption, LibraryOption, NullOption, one_shape, open_library
from photoindex.cli.showing import OpenOption, SheetOption
from photoindex.errors import UsageError
from photoindex.render.output import Format, PlanFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from photoindex.dupes import DupeOptions
    from photoindex.records import Group
    from photoindex.store.library import Library


class _ListsByDefault(TyperGroup):
    """`photoindex dupes` lists; only its sub-commands have to be named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if not args or args[0] not in self.commands:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    group = typer.Typer(cls=_ListsByDefault)
    group.command("list")(dupes)
    group.command("review")(review)
    group.command("plan")(plan)
    group.command("apply")(apply)
    group.command("decide")(decide)
    group.add_typer(decisions, name="decisions")
    app.add_typer(group, name="dupes", help="List duplicate photos by tier, which of each group to keep, and why.")
    app.command("undo")(undo)


@with_choice
def dupes(
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FOLDER]...", help="With --against: where to look.", show_default=False),
    ] = None,
    library: LibraryOption = None,
    *,
    choice: Choice,
    threshold: ThresholdOption = 31,
    output: FormatOption = Format.table,
    null: NullOption = False,
    ids: IdsOption = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="At most so many groups; 0 for all.",
            show_default="all in a list, 1,000 on a page",
        ),
    ] = None,
    browser: OpenOption = False,
    sheet: SheetOption = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="FOLDER", help="List what of the given folders lies in this scanned one already."
        ),
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="With --against: list what does not.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when there are any.")] = False,
    decided: Annotated[bool, typer.Option("--decided", help="Also groups that you have decided about.")] = False,
) -> None:
    """List duplicate photos by tier, which of each group to keep, and why. Deletes nothing.

    `dupes --open` shows them side by side in the browser, `dupes review` asks about one group after the other.
    `dupes --against ~/Photos /media/card` tells what of a card is in the library already; the card is only read.
    `dupes plan` writes down what could go, to read and edit; `dupes apply` moves that into quarantine. `dupes decide`
    settles a group for good; `dupes decisions` lists, exports, imports and revokes that.
    """
    from photoindex.dupes import CONFIDENT_THRESHOLD
    from photoindex.dupes import dupes as find

    one_shape(output, null, ids, count=False)
    options = choice.options(threshold=threshold, decided=decided)
    opened, _ = open_library(library)
    if against:
        if ids and missing:
            raise UsageError("--ids prints photos of the library, and --missing files that it lacks: leave one out.")
        if sheet is not None or browser or limit is not None:
            raise UsageError("--sheet, --open and --limit show groups; --against lists files. Leave them out.")
        raise typer.Exit(_against(opened, given, against, options, output, null, ids, missing, exit_code))
    if given or missing:
        raise UsageError(_without_against(given or ()))
    if threshold > CONFIDENT_THRESHOLD:
        note(f"Above {CONFIDENT_THRESHOLD} bits most pairs are unrelated; each is compared all the same.")
    showing = _Showing(output, null, ids, limit, browser, sheet)
    groups = find(opened, options)
    showing.show(opened, groups)
    raise typer.Exit(1 if exit_code and groups else 0)


def _without_against(given: Sequence[str]) -> str:
    """What is wrong with words after `dupes` that no folder was asked for: perhaps a command was meant."""
    commands = ("review", "plan", "apply", "decide", "decisions")
    near = difflib.get_close_matches(given[0], commands, 1) if given else []
    meant = f"There is no command `dupes {given[0]}`; did you mean `dupes {near[0]}`? " if near else ""
    return f"{meant}Folders and --missing go with --against FOLDER; to limit the list to a folder use --in FOLDER."


@dataclass(frozen=True, slots=True)
class _Showing:
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
            make_page(self._path(), library, groups, self.limit, self.browser)
        if not page or self.output is not Format.table or self.null or self.ids:
            print_groups(groups, self.output, self.null, self.limit or 0, ids=self.ids)
        note_summary(groups)


def make_page(path: Path, library: Library, groups: Sequence[Group], limit: int | None, browser: bool) -> None:
    """Write groups to a page, tell what it leaves out, and show it in the browser where that is wanted."""
    from photoindex.web.dupes_page import MOST_GROUPS, write_dupes_page

    page = write_dupes_page(path, "Duplicates", groups, library.thumbnail_path, MOST_GROUPS if limit is None else limit)
    for line in page.limits():
        note(line)
    note(f"The groups side by side are in {path}")
    if browser:
        show_in_browser(path)


@with_choice
def plan(
    library: LibraryOption = None,
    *,
    choice: Choice,
    decided: Annotated[
        bool, typer.Option("--decided", help="Only groups of which you decided what to keep, of every tier.")
    ] = False,
    output: Annotated[PlanFormat, typer.Option("--format", help="How the plan is written.")] = PlanFormat.json,
    check: Annotated[
        str | None, typer.Option("--check", metavar="FILE", help="Only check a plan that you edited (JSON or csv).")
    ] = None,
) -> None:
    """Write down which duplicates could go and which stay: `photoindex dupes plan > plan.json`. Touches no photo.

    Without --tier only files of the same bytes or the same pixels are planned. What lies below --protect stays.
    """
    from photoindex.dupes import make_plan
    from photoindex.pure.tiers import DUPLICATES, IDENTICAL, SAME_PIXELS
    from photoindex.render.plans import note_plan, print_plan, read_plan

    if check is not None:
        note_plan(read_plan(check))
        return
    options = choice.options(DUPLICATES if decided else (IDENTICAL, SAME_PIXELS), decided=decided)
    opened, _ = open_library(library)
    made = make_plan(opened, options)
    print_plan(made.plan, output)
    for line in made.notes:
        note(line)
    note_plan(made.plan)


def _against(
    library: Library,
    given: list[str] | None,
    within: list[str],
    options: DupeOptions,
    output: Format,
    null: bool,
    ids: bool,
    missing: bool,
    exit_code: bool,
) -> int:
    from photoindex.dupes import against
    from photoindex.render.dupes import print_arrivals

    if not given:
        raise UsageError("--against needs the folders to look in: photoindex dupes --against ~/Photos /media/card")
    if options.folders:
        raise UsageError("--in does not go with --against, whose own FOLDER says which part of the library counts.")
    arrivals = against(library, folders(given), folders(within), options)
    found, unreadable = print_arrivals(arrivals, output, null, missing, ids=ids)
    return 1 if unreadable or (exit_code and found) else 0
