"""`photoindex dupes` lists by default, and its help names what else there is."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

_BY_DEFAULT = "photoindex.dupes.by_default"


class ListsByDefault(TyperGroup):
    """`photoindex dupes` lists; only its sub-commands have to be named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            ctx.meta[_BY_DEFAULT] = True
            args = ["list", *args]
        return super().parse_args(ctx, args)


class ListCommand(TyperCommand):
    """The command that lists. Reached by default, its help is that of the group: with the other commands."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        if not ctx.meta.get(_BY_DEFAULT):
            super().format_usage(ctx, formatter)
            return
        formatter.write_usage(ctx.parent.command_path, " ".join(self.collect_usage_pieces(ctx)))
        formatter.write_usage(ctx.parent.command_path, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        if ctx.meta.get(_BY_DEFAULT):
            ctx.parent.command.format_commands(ctx.parent, formatter)
