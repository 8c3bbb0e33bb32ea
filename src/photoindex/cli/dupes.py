"""`photoindex dupes`."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from photoindex.cli.dupes_apply import apply, undo
from photoindex.cli.dupes_decisions import decide, decisions
from photoindex.cli.options import FormatOption, LibraryOption, NullOption, open_library
from photoindex.errors import UsageError
from photoindex.render.output import Format, PlanFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.dupes import DupeOptions
    from photoindex.store.library import Library

_TIERS = "identical, same-pixels, re-encoded, edited, raw+jpeg, live, burst, similar"
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
TierOption = Annotated[
    list[str] | None,
    typer.Option("--tier", help=f"Only these tiers: {_TIERS}, all. Repeat it.", show_default="all but similar"),
]
WithoutOption = Annotated[
    list[str] | None, typer.Option("--without", help="Leave out a tier. Repeat it.", show_default=False)
]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep",
        metavar="RULES",
        help="What decides which file to keep, in order.",
        show_default="original,resolution,compression,earliest,metadata,sharpness,name,path",
    ),
]
PreferOption = Annotated[
    list[str] | None,
    typer.Option("--prefer", metavar="FOLDER", help="Keep what lies here. Repeat it.", show_default=False),
]
ProtectOption = Annotated[
    list[str] | None,
    typer.Option("--protect", metavar="FOLDER", help="Never let go of what lies here. Repeat it.", show_default=False),
]
InOption = Annotated[
    list[str] | None,
    typer.Option("--in", metavar="FOLDER", help="Only groups with a file in this folder.", show_default=False),
]


class _ListsByDefault(TyperGroup):
    """`photoindex dupes` lists; only its sub-commands have to be named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if not args or args[0] not in self.commands:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    group = typer.Typer(cls=_ListsByDefault)
    group.command("list")(dupes)
    group.command("plan")(plan)
    group.command("apply")(apply)
    group.command("decide")(decide)
    group.add_typer(decisions, name="decisions")
    app.add_typer(group, name="dupes", help="List duplicate photos by tier, which of each group to keep, and why.")
    app.command("undo")(undo)


def dupes(
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FOLDER]...", help="With --against: where to look.", show_default=False),
    ] = None,
    library: LibraryOption = None,
    tier: TierOption = None,
    without: WithoutOption = None,
    keep: KeepOption = None,
    prefer: PreferOption = None,
    protect: ProtectOption = None,
    inside: InOption = None,
    min_size: Annotated[
        str | None, typer.Option("--min-size", metavar="BYTES", help="Leave out smaller files: 500k, 2M.")
    ] = None,
    threshold: Annotated[
        int, typer.Option(min=0, max=64, help="PDQ bits (of 256) up to which pictures are compared.")
    ] = 31,
    output: FormatOption = Format.table,
    null: NullOption = False,
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

    `dupes --against ~/Photos /media/card` tells what of a card is in the library already; the card is only read.
    `dupes plan` writes down what could go, to read and edit; `dupes apply` moves that into quarantine. `dupes decide`
    settles a group for good; `dupes decisions` lists, exports, imports and revokes that.
    """
    from photoindex.dupes import CONFIDENT_THRESHOLD
    from photoindex.dupes import dupes as find
    from photoindex.render.dupes import print_groups

    options = _options(tier, without, keep, prefer, protect, inside, min_size, threshold)
    opened, _ = open_library(library)
    if against:
        raise typer.Exit(_against(opened, folders, against, options, output, null, missing, exit_code))
    if folders or missing:
        raise UsageError(
            "Folders and --missing go with --against FOLDER; to limit the list to a folder use --in FOLDER."
        )
    if threshold > CONFIDENT_THRESHOLD:
        note(f"Above {CONFIDENT_THRESHOLD} bits most pairs are unrelated; each is compared all the same.")
    groups = find(opened, replace(options, decided=decided))
    print_groups(groups, output, null)
    raise typer.Exit(1 if exit_code and groups else 0)


def plan(
    library: LibraryOption = None,
    tier: TierOption = None,
    without: WithoutOption = None,
    keep: KeepOption = None,
    prefer: PreferOption = None,
    protect: ProtectOption = None,
    inside: InOption = None,
    min_size: Annotated[
        str | None, typer.Option("--min-size", metavar="BYTES", help="Leave out smaller files: 500k, 2M.")
    ] = None,
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
    tiers = tier or ([*DUPLICATES] if decided else [IDENTICAL, SAME_PIXELS])
    options = _options(tiers, without, keep, prefer, protect, inside, min_size, 31)
    opened, _ = open_library(library)
    made = make_plan(opened, replace(options, decided=decided))
    print_plan(made.plan, output)
    for line in made.notes:
        note(line)
    note_plan(made.plan)


def _against(
    library: Library,
    folders: list[str] | None,
    within: list[str],
    options: DupeOptions,
    output: Format,
    null: bool,
    missing: bool,
    exit_code: bool,
) -> int:
    from photoindex.dupes import against
    from photoindex.render.dupes import print_arrivals

    if not folders:
        raise UsageError("--against needs the folders to look in: photoindex dupes --against ~/Photos /media/card")
    if options.folders:
        raise UsageError("--in does not go with --against, whose own FOLDER says which part of the library counts.")
    arrivals = against(library, _folders(folders), _folders(within), options)
    found, unreadable = print_arrivals(arrivals, output, null, missing)
    return 1 if unreadable or (exit_code and found) else 0


def _options(
    tier: list[str] | None,
    without: list[str] | None,
    keep: str | None,
    prefer: list[str] | None,
    protect: list[str] | None,
    inside: list[str] | None,
    min_size: str | None,
    threshold: int,
) -> DupeOptions:
    from photoindex.dupes import DupeOptions
    from photoindex.pure.keep import DEFAULT_RULES, Wishes, parse_rules

    return DupeOptions(
        threshold=threshold,
        tiers=_tiers(tier, without),
        wishes=Wishes(parse_rules(keep or DEFAULT_RULES), _folders(prefer), _folders(protect)),
        folders=_folders(inside),
        min_size=parse_size(min_size),
        progress=lambda done, total: note(f"Compared {done:,} of {total:,} pairs of pictures; they are remembered."),
    )


def _tiers(chosen: list[str] | None, without: list[str] | None) -> tuple[str, ...]:
    from photoindex.pure.tiers import DEFAULT, TIERS

    wanted = TIERS if chosen and "all" in chosen else tuple(chosen or DEFAULT)
    for name in without or ():
        if name not in TIERS:
            raise UsageError(f"--without: no tier is called {name!r}. There are: {', '.join(TIERS)}.")
    return tuple(name for name in wanted if name not in (without or ()))


def _folders(paths: list[str] | None) -> tuple[str, ...]:
    return tuple(os.path.abspath(os.path.expanduser(path)) for path in paths or ())


def parse_size(text: str | None) -> int:
    """Bytes as people write them: 500000, 500k, 2M, 1.5G (decimal units)."""
    if text is None:
        return 0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]?)B?", text.strip())
    if not match:
        raise UsageError(f"--min-size: {text!r} is no size. Write 500000, 500k, 2M or 1.5G.")
    return int(float(match[1]) * _UNITS[match[2].replace("K", "k")])
