"""Where what a plan lets go can go to, and for which duplicates that is right."""

from __future__ import annotations

from dataclasses import dataclass

from photoindex.dupes.companions import KINDS
from photoindex.dupes.journal import DELETE, HARDLINK, MOVE, REFLINK, SYMLINK, TRASH
from photoindex.errors import UsageError
from photoindex.pure.plans import Plan
from photoindex.pure.tiers import IDENTICAL

QUARANTINE = "quarantine"
# Each with what becomes of a picture. What travels with it is moved to the trash with `trash`, else to the quarantine.
TARGETS = {
    QUARANTINE: MOVE,
    "trash": TRASH,
    "hardlink": HARDLINK,
    "reflink": REFLINK,
    "symlink": SYMLINK,
    "delete": DELETE,
}
_KEEP_THE_BYTES = (MOVE, TRASH)


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """`to`: one of TARGETS; `dry_run`: read and compare everything, and change nothing; `along`: what travels with a
    picture, of "sidecars", "raw" and "video"."""

    to: str = QUARANTINE
    dry_run: bool = False
    along: tuple[str, ...] = KINDS


def check_options(options: ApplyOptions, plan: Plan) -> None:
    """Raises UsageError, which names what could be done instead."""
    if options.to not in TARGETS:
        raise UsageError(f"Nothing can go to {options.to!r}. There are: {', '.join(TARGETS)}.")
    wrong = [kind for kind in options.along if kind not in KINDS]
    if wrong:
        raise UsageError(f"Nothing called {wrong[0]!r} travels with a picture. There are: {', '.join(KINDS)}, none.")
    if TARGETS[options.to] in _KEEP_THE_BYTES:
        return
    others = [file for group in plan.groups for file in group.go if file.tier != IDENTICAL]
    if others:
        raise UsageError(
            f"--to {options.to} is only for files of the same bytes as what stays, so that nothing is lost. This plan "
            f"lets {len(others):,} other {'file' if len(others) == 1 else 'files'} go, as {others[0].path} "
            f"({others[0].tier}). Take --to quarantine or trash, or plan with --tier identical. Nothing was touched."
        )
