"""Which duplicates, and what of them to keep: the options that `dupes`, `dupes plan` and `dupes review` share."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from photoindex.errors import UsageError
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.dupes import DupeOptions

_TIERS = "identical, same-pixels, re-encoded, edited, raw+jpeg, live, burst, similar"
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
ThresholdOption = Annotated[
    int, typer.Option(min=0, max=64, help="PDQ bits (of 256) up to which pictures are compared.")
]


@dataclass(frozen=True, slots=True)
class Choice:
    """The options as they were given. `with_choice` puts them into a command."""

    tier: Annotated[
        list[str] | None,
        typer.Option(
            "--tier",
            metavar="TIER",
            help=f"Only these tiers: {_TIERS}, all. Repeat it.",
            show_default="all but similar",
        ),
    ] = None
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="TIER", help="Leave out a tier. Repeat it.", show_default=False),
    ] = None
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="RULES",
            help="What decides which file to keep, in order.",
            show_default="original, resolution, tones, compression, earliest, metadata, sharpness, format, name, path",
        ),
    ] = None
    prefer: Annotated[
        list[str] | None,
        typer.Option("--prefer", metavar="FOLDER", help="Keep what lies here. Repeat it.", show_default=False),
    ] = None
    protect: Annotated[
        list[str] | None,
        typer.Option(
            "--protect", metavar="FOLDER", help="Never let go of what lies here. Repeat it.", show_default=False
        ),
    ] = None
    inside: Annotated[
        list[str] | None,
        typer.Option("--in", metavar="FOLDER", help="Only groups with a file in this folder.", show_default=False),
    ] = None
    min_size: Annotated[
        str | None, typer.Option("--min-size", metavar="BYTES", help="Leave out smaller files: 500k, 2M.")
    ] = None

    def options(self, tiers: Sequence[str] | None = None, **more: Any) -> DupeOptions:
        """What the search for duplicates is asked for. `tiers` count where none were given. Raises UsageError."""
        from photoindex.dupes import DupeOptions
        from photoindex.pure.keep import DEFAULT_RULES, Wishes, parse_rules
        from photoindex.pure.tiers import DEFAULT

        return DupeOptions(
            tiers=_tiers(self.tier or tiers or DEFAULT, self.without),
            wishes=Wishes(parse_rules(self.keep or DEFAULT_RULES), folders(self.prefer), folders(self.protect)),
            folders=folders(self.inside),
            min_size=parse_size(self.min_size),
            progress=_tell,
            **more,
        )


def with_choice(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the fields of Choice as options where it has the parameter `choice`."""
    hints = get_type_hints(Choice, include_extras=True)
    names = [field.name for field in fields(Choice)]
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(field.name, kind, default=None, annotation=hints[field.name]) for field in fields(Choice)
    ]
    signature = inspect.signature(command, eval_str=True)
    parameters = [
        one for given in signature.parameters.values() for one in (options if given.name == "choice" else [given])
    ]

    @functools.wraps(command)
    def run(*positional: Any, **named: Any) -> None:
        command(*positional, choice=Choice(**{name: named.pop(name) for name in names}), **named)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def folders(paths: list[str] | None) -> tuple[str, ...]:
    return tuple(os.path.abspath(os.path.expanduser(path)) for path in paths or ())


def parse_size(text: str | None) -> int:
    """Bytes as people write them: 500000, 500k, 2M, 1.5G (decimal units)."""
    if text is None:
        return 0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]?)B?", text.strip())
    if not match:
        raise UsageError(f"--min-size: {text!r} is no size. Write 500000, 500k, 2M or 1.5G.")
    return int(float(match[1]) * _UNITS[match[2].replace("K", "k")])


def _tiers(chosen: Sequence[str], without: list[str] | None) -> tuple[str, ...]:
    from photoindex.pure.tiers import TIERS

    for name in without or ():
        if name not in TIERS:
            raise UsageError(f"--without: no tier is called {name!r}. There are: {', '.join(TIERS)}.")
    return tuple(name for name in (TIERS if "all" in chosen else chosen) if name not in (without or ()))


def _tell(done: int, total: int) -> None:
    note(f"Compared {done:,} of {total:,} pairs of pictures; they are remembered.")
