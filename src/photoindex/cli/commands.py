"""Which commands there are and in which file: only the one that is asked for is loaded and made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup

from photoindex.cli.plain_help import plain_help

# In the order of --help: the command, and the file of this folder that adds it.
FILES = {
    **{"scan": "scan", "search": "search", "similar": "search", "random": "random", "undo": "dupes"},
    **{"status": "library", "show": "library", "failures": "library", "export": "export", "sql": "sql"},
    **{"doctor": "doctor", "bench": "bench", "demo": "demo", "backup": "backup", "restore": "backup"},
    **{"check": "check", "compact": "check", "forget": "forget", "dupes": "dupes", "models": "models"},
    **{"runs": "runs", "eval": "eval", "categories": "categories", "collections": "collections", "tags": "tags"},
}


class Commands(TyperGroup):
    """All commands, each made when it is first asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = cast("Any", _Commands())  # nothing is ever added to it

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as its base has it
        return list(FILES)


class _Commands(Mapping[str, Any]):
    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made.update(commands_in(FILES[name]))
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in FILES

    def __iter__(self) -> Iterator[str]:
        return iter(FILES)

    def __len__(self) -> int:
        return len(FILES)


def commands_in(file: str) -> dict[str, Any]:
    """The commands that a file of this folder adds, by name: its `app` as a group of its name, or what it registers."""
    module, app = import_module(f"photoindex.cli.{file}"), typer.Typer(rich_markup_mode=None)
    if hasattr(module, "register"):
        module.register(app)
    else:
        app.add_typer(module.app, name=file)
    made = dict(typer.main.get_group(app).commands)
    for command in made.values():
        plain_help(command)
    return made
