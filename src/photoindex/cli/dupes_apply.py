"""`photoindex dupes apply` and `photoindex undo`: what moves files, and what brings them back."""

from __future__ import annotations

from typing import Annotated

import typer

from photoindex.cli.options import LibraryOption, open_library
from photoindex.render.text import note


def apply(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="What `dupes plan` wrote and you read, JSON or csv.")],
    library: LibraryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and compare everything, and move nothing.")] = False,
) -> None:
    """Move what a plan lets go into the library's quarantine; `photoindex undo` brings it back.

    Every file, and the one that stays for it, is read again first; what is not as the plan says is left alone.
    """
    from photoindex.dupes.apply import apply_plan
    from photoindex.render.plans import print_done, read_plan
    from photoindex.store.library import Library

    sound = read_plan(plan)
    _, settings = open_library(library)
    with Library.writing(settings.library):
        went, left, number = print_done(apply_plan(sound, settings.library, dry_run))
    files = f"{went:,} {'file' if went == 1 else 'files'} {'would go' if dry_run else 'went into quarantine'}"
    note(f"{files}, {left:,} left alone." + ("" if dry_run else f" `photoindex undo {number}` brings them back."))
    raise typer.Exit(1 if left else 0)


def undo(
    number: Annotated[str | None, typer.Argument(metavar="[ID]", help="Which run.", show_default="the last")] = None,
    library: LibraryOption = None,
) -> None:
    """Bring back what `photoindex dupes apply` moved: names, bytes, times and permissions. Overwrites nothing."""
    from photoindex.dupes.apply import undo as bring_back
    from photoindex.render.plans import print_done
    from photoindex.store.library import Library

    _, settings = open_library(library)
    with Library.writing(settings.library):
        back, left, _ = print_done(bring_back(settings.library, number))
    note(f"{back:,} {'file is' if back == 1 else 'files are'} back" + (f", {left:,} left." if left else "."))
    raise typer.Exit(1 if left else 0)
