"""What `--help` says of a command: whole sentences, and names of values as the README has them."""

from __future__ import annotations

import re
from typing import Any

# What Typer puts after an option, and what people are told instead; alternatives stay as they are.
_TYPE = re.compile(r"<(?:list\[)?(?P<name>[^<>\]]*)\]?>")
_NAMES = {"str": "TEXT", "path": "PATH", "int": "N", "int range": "N", "float": "N", "float range": "N"}


def plain_help(command: Any) -> None:
    """Make a command of Typer's, and those below it, say in lists the whole of what they do (its own lists cut off
    what does not fit into a line), and name values without the types of Python."""
    command.short_help = _first_sentence(command.help or "")
    for param in command.params:
        if param.param_type_name == "argument":
            _plain_argument(param)
        else:
            _plain_option(param)
    for below in getattr(command, "commands", {}).values():
        plain_help(below)


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]


def _plain_argument(argument: Any) -> None:
    """Its metavar is the bare name; brackets and dots say in the usual way that it may be left out or repeated."""
    argument.metavar = (argument.metavar or argument.name.upper()).strip("[].")
    usage = argument.metavar if argument.required else f"[{argument.metavar}]"
    usage += "..." if argument.nargs != 1 else ""
    record = argument.get_help_record
    argument.get_usage_pieces = lambda _: [usage]
    argument.get_help_record = lambda ctx: (
        record(ctx) and (argument.metavar, record(ctx)[1].replace("  [required]", ""))
    )


def _plain_option(option: Any) -> None:
    record = option.get_help_record

    def plain(ctx: Any) -> tuple[str, str] | None:
        made = record(ctx)
        return made and (_TYPE.sub(lambda found: _NAMES.get(found["name"], found["name"]), made[0]), made[1])

    option.get_help_record = plain
