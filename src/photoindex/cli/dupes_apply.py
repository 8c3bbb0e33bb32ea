"""`photoindex dupes apply` and `photoindex undo`: what moves files, and what brings them back."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.options import FormatOption, LibraryOption, NullOption, open_library
from photoindex.errors import PhotoindexError, UsageError
from photoindex.render.output import Format, RowFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.dupes import ApplyOptions, Done
    from photoindex.pure.plans import Plan
    from photoindex.store.library import Library

# What is said of one file and of several.
_WENT = {
    "quarantine": ("went into quarantine", "went into quarantine"),
    "trash": ("went to the trash", "went to the trash"),
    "hardlink": ("became a hard link", "became hard links"),
    "reflink": ("became a clone", "became clones"),
    "symlink": ("became a symbolic link", "became symbolic links"),
    "delete": ("was deleted", "were deleted"),
}


def apply(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="What `dupes plan` wrote and you read, JSON or csv.")],
    library: LibraryOption = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="WHERE", help="quarantine, trash, hardlink, reflink, symlink or delete: see `undo`."
        ),
    ] = "quarantine",
    along: Annotated[
        str, typer.Option("--along", metavar="KINDS", help="What travels with a picture; none for nothing.")
    ] = "sidecars,raw,video",
    yes: Annotated[bool, typer.Option("--yes", help="Needed by --to delete.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and compare everything, and change nothing.")
    ] = False,
    output: FormatOption = Format.table,
    null: NullOption = False,
) -> None:
    """Let go what a plan lets go: into the library's quarantine, or where --to says. `photoindex undo` takes it back.

    Every file, and the one that stays for it, is read again first; what is not as the plan says is left alone. Links
    and --to delete take only files of the same bytes as what stays, from which `undo` makes them again.
    """
    from photoindex.dupes import ApplyOptions, apply_plan
    from photoindex.dupes.targets import check_options
    from photoindex.render.plans import print_done, read_plan

    sound = read_plan(plan)
    options = ApplyOptions(to, dry_run, tuple(kind for kind in along.split(",") if kind not in ("", "none")))
    check_options(options, sound)
    if to == "delete" and not dry_run:
        _ask(sound, yes)
    with _writing(library) as opened, _run(apply_plan(opened, sound, options)) as (number, done):
        went, along_with, left = print_done(done, output, null, to)
    _sum_up(options, number, (went, along_with, left))
    raise typer.Exit(1 if left else 0)


def undo(
    number: Annotated[str | None, typer.Argument(metavar="[ID]", help="Which run.", show_default="the last")] = None,
    library: LibraryOption = None,
    listed: Annotated[bool, typer.Option("--list", help="Only list the runs, the oldest first.")] = False,
    output: Annotated[RowFormat, typer.Option("--format", help="With --list: how they are printed.")] = RowFormat.table,
) -> None:
    """Take back what `photoindex dupes apply` did: names, bytes, times and permissions. Overwrites nothing."""
    from photoindex.dupes import applied_runs
    from photoindex.dupes import undo as bring_back
    from photoindex.render.plans import print_done, print_runs

    if listed:
        runs = applied_runs(open_library(library)[0])
        print_runs(runs, output)
        if not runs:
            note("`dupes apply` has not run yet.")
        return
    with _writing(library) as opened, _run(bring_back(opened, number)) as (_, done):
        back, _, left = print_done(done)
    note(f"{_files(back)} {'is' if back == 1 else 'are'} back" + (f", {left:,} left." if left else "."))
    raise typer.Exit(1 if left else 0)


def _writing(name: str | None) -> contextlib.AbstractContextManager[Library]:
    from photoindex.store.library import Library

    _, settings = open_library(name)
    return Library.writing(settings.library)


def _ask(plan: Plan, yes: bool) -> None:
    """Raises UsageError where deleting is not confirmed."""
    files = sum(len(group.go) for group in plan.groups)
    told = f"--to delete frees the space of {_files(files)} at once. `undo` makes them again from what stays, "
    if not yes:
        raise UsageError(f"{told}as long as that is there. Say --yes if that is what you want; --to trash is safer.")
    if sys.stdin.isatty():
        note(f"{told}but not once that is gone or changed.")
        if typer.prompt(f"Type {files} to delete {_files(files)}", err=True) != str(files):
            raise UsageError("Nothing was deleted.")


@contextlib.contextmanager
def _run(items: Iterator[Done | str]) -> Iterator[tuple[str, Iterator[Done | str]]]:
    """A run's id and what follows. However it ends, the catalog is told, and the user how to go on."""
    assert isinstance(items, Generator)
    number = str(next(items))
    try:
        with contextlib.closing(items):
            yield number, items
    except BaseException as error:
        if number:
            _tell_of_journal(error, number)
        raise


def _tell_of_journal(error: BaseException, number: str) -> None:
    told = f"What was done to files by then is in the journal of this run: `photoindex undo {number}` takes it back."
    if isinstance(error, KeyboardInterrupt | PhotoindexError):
        note(told)
    else:
        error.add_note(told)  # else the report of the crash would say that photos are untouched


def _sum_up(options: ApplyOptions, number: str, counts: tuple[int, int, int]) -> None:
    """`counts`: files that went, files that went along, files left alone."""
    went, along, left = counts
    done = "would go" if options.dry_run else _WENT[options.to][went != 1]
    also = f" with {along:,} that belong to {'it' if went == 1 else 'them'}" if along else ""
    note(f"{_files(went)} {done}{also}, {left:,} left alone." + (_afterwards(options, number) if went else ""))


def _afterwards(options: ApplyOptions, number: str) -> str:
    from photoindex.dupes.trash import can_bring_back

    if options.dry_run:
        return ""
    if options.to == "trash" and not can_bring_back():
        return " On this system only the trash itself can put them back."
    return f" `photoindex undo {number}` takes it back."


def _files(count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'}"
