"""`photoindex dupes`, its sub-commands, and what it lists."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.dupes_apply import apply, undo
from photoindex.cli.dupes_decisions import decide, decisions
from photoindex.cli.dupes_group import ListCommand, ListsByDefault
from photoindex.cli.dupes_options import Choice, ThresholdOption, folders, with_choice
from photoindex.cli.dupes_plan import plan
from photoindex.cli.dupes_review import review
from photoindex.cli.dupes_showing import Showing
from photoindex.cli.options import FormatOption, IdsOption, LibraryOption, NullOption, one_shape, open_library
from photoindex.cli.showing import OpenOption, SheetOption
from photoindex.errors import UsageError
from photoindex.render.output import Format
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.dupes import DupeOptions
    from photoindex.store.library import Library

LimitOption = Annotated[
    int | None,
    typer.Option(min=0, help="At most so many groups; 0 for all.", show_default="all in a list, 1,000 on a page"),
]
AgainstOption = Annotated[
    list[str] | None,
    typer.Option("--against", metavar="FOLDER", help="List what of the given folders lies in this scanned one."),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(cls=ListsByDefault)
    group.command("list", cls=ListCommand)(dupes)
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
    limit: LimitOption = None,
    browser: OpenOption = False,
    sheet: SheetOption = None,
    against: AgainstOption = None,
    missing: Annotated[bool, typer.Option("--missing", help="With --against: list what does not.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when there are any.")] = False,
    decided: Annotated[bool, typer.Option("--decided", help="Also groups that you have decided about.")] = False,
) -> None:
    """List duplicate photos by tier, which of each group to keep, and why. Deletes nothing.

    `dupes --open` shows them side by side in the browser, `dupes review` asks about one group after the other.
    `dupes --against ~/Photos /media/card` tells what of a card is in the library already; the card is only read.
    `dupes plan` writes down what could go, to read and edit; `dupes apply` moves that into quarantine, `undo` brings
    it back. `dupes decide` settles a group for good; `dupes decisions` lists, exports, imports and revokes that.
    """
    from photoindex.dupes import CONFIDENT_THRESHOLD
    from photoindex.dupes import dupes as find

    one_shape(output, null, ids, count=False)
    showing = Showing(output, null, ids, limit, browser, sheet)
    options = choice.options(threshold=threshold, decided=decided)
    opened, _ = open_library(library)
    if against:
        found = _against(opened, given, against, options, showing, missing=missing, exit_code=exit_code)
        raise typer.Exit(found)
    if given or missing:
        raise UsageError(_without_against(given or ()))
    if threshold > CONFIDENT_THRESHOLD:
        note(f"Above {CONFIDENT_THRESHOLD} bits most pairs are unrelated; each is compared all the same.")
    groups = find(opened, options)
    showing.show(opened, groups)
    raise typer.Exit(1 if exit_code and groups else 0)


def _without_against(given: Sequence[str]) -> str:
    """What is wrong with words after `dupes` that no folder was asked for: perhaps a command was meant."""
    commands = ("review", "plan", "apply", "decide", "decisions")
    near = difflib.get_close_matches(given[0], commands, 1) if given else []
    meant = f"There is no command `dupes {given[0]}`; did you mean `dupes {near[0]}`? " if near else ""
    return f"{meant}Folders and --missing go with --against FOLDER; to limit the list to a folder use --in FOLDER."


def _against(
    library: Library,
    given: Sequence[str] | None,
    within: list[str],
    options: DupeOptions,
    showing: Showing,
    *,
    missing: bool,
    exit_code: bool,
) -> int:
    from photoindex.dupes import against
    from photoindex.render.dupes import print_arrivals

    if showing.ids and missing:
        raise UsageError("--ids prints photos of the library, and --missing files that it lacks: leave one out.")
    if showing.sheet is not None or showing.browser or showing.limit is not None:
        raise UsageError("--sheet, --open and --limit show groups; --against lists files. Leave them out.")
    if not given:
        raise UsageError("--against needs the folders to look in: photoindex dupes --against ~/Photos /media/card")
    if options.folders:
        raise UsageError("--in does not go with --against, whose own FOLDER says which part of the library counts.")
    arrivals = against(library, folders([*given]), folders(within), options)
    found, unreadable = print_arrivals(arrivals, showing.output, showing.null, missing, ids=showing.ids)
    return 1 if unreadable or (exit_code and found) else 0
