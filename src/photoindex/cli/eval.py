"""`photoindex eval`: how good search is, by questions with known answers."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from photoindex.cli.lean import short_command
from photoindex.cli.options import LibraryOption, ModelsOption, ObjectFormatOption, open_library, registry_of
from photoindex.errors import UsageError
from photoindex.render.output import ObjectFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.evaluate import Question
    from photoindex.models.registry import Registry
    from photoindex.records import Found
    from photoindex.store.library import Library


class _Group(TyperGroup):
    """`photoindex eval FILE` means `photoindex eval run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


class Mode(StrEnum):
    keyword = "keyword"
    semantic = "semantic"
    hybrid = "hybrid"


app = typer.Typer(
    cls=_Group,
    help="Measure how good search is on your library: `photoindex eval FILE`, with a file of queries and the photos"
    " that answer them. `photoindex eval record FILE` makes one while you search.",
    no_args_is_help=True,
)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with columns query, relevant_files, type, ...")],
    library: LibraryOption = None,
    models: ModelsOption = None,
    mode: Annotated[list[Mode] | None, typer.Option(help="Only in this mode; may be given again.")] = None,
    type_: Annotated[list[str] | None, typer.Option("--type", help="Only queries of this type.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Recall is counted among so many first photos.")] = 5,
    root: Annotated[Path | None, typer.Option(help="The folder that the paths in FILE are below.")] = None,
    compare: Annotated[Path | None, typer.Option(metavar="JSON", help="An earlier result (--format json).")] = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Ask every query of FILE and score the answers, by mode and type of query."""
    short_command()
    from photoindex.evaluate import MODES, evaluate, read_questions
    from photoindex.render.evaluating import print_evaluation, problems

    questions = _chosen(read_questions(file, root), type_)
    before = _read_before(compare)
    opened, settings = open_library(library, models)
    modes = [name for name in MODES if mode is None or name in mode]
    found = evaluate(
        opened, questions, registry_of(settings), settings.models_dir, modes=modes, k=k, progress=_progress
    )
    for line in problems(found.rows):
        note(line)
    if found.unknown:
        some = ", ".join(found.unknown[:3])
        note(f"{len(found.unknown)} expected files are not in this library, so nothing finds them: {some} ...")
    print_evaluation(found, before, output is ObjectFormat.json)


@app.command()
def record(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to add to; made where it is new.")],
    library: LibraryOption = None,
    models: ModelsOption = None,
    type_: Annotated[str, typer.Option("--type", help="What kind of queries these are.")] = "mine",
    limit: Annotated[int, typer.Option(min=1, help="So many photos are shown to choose from.")] = 20,
) -> None:
    """Search as you do, say which photos are right, and keep that as a question for later."""
    short_command()
    from photoindex.evaluate import Question, add_question, read_questions

    opened, settings = open_library(library, models)
    registry = registry_of(settings)
    known = read_questions(file) if file.exists() and file.stat().st_size else []
    note("Type a query; then the numbers of all photos that are right, `none` if nothing is. An empty line ends it.")
    while query := _typed("query: "):
        paths = _look(opened, query, registry, settings.models_dir, limit)
        right = _right(paths)
        if right is None:
            continue
        question = Question(f"q{len(known) + 1:03d}", type_, query, tuple(right))
        add_question(file, question)
        known.append(question)
        note(f"Kept in {file}: {len(right)} right photos." if right else f"Kept in {file}: no photo shows this.")


def _chosen(questions: list[Question], types: list[str] | None) -> list[Question]:
    chosen = [question for question in questions if not types or question.type in types]
    if not chosen:
        there = ", ".join(sorted({question.type for question in questions})) or "none"
        raise UsageError(f"There are no such queries in the file; its types are: {there}.")
    return chosen


def _read_before(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        before = json.loads(path.read_text("utf-8"))
        if isinstance(before, dict) and {"scores", "rows"} <= before.keys():
            return before
        reason = "it is no result of `photoindex eval --format json`"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise UsageError(f"--compare: cannot use {path}: {reason}.")


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{done} of {total} searches" if done < total else "\r\033[K", err=True, nl=False)


def _typed(prompt: str) -> str:
    """A line of what a person types; empty at the end of the input."""
    typer.echo(prompt, err=True, nl=False)
    return sys.stdin.readline().strip()


def _look(opened: Library, query: str, registry: Registry, models_dir: Path, limit: int) -> list[str]:
    """Show what the query finds, and what is nearest beyond that; the paths in that order."""
    from photoindex.errors import PhotoindexError
    from photoindex.render.output import Format
    from photoindex.render.results import print_hits
    from photoindex.search import SearchOptions, find

    try:
        options = SearchOptions(limit=limit, everything=True, warn=note)
        found: Found = find(opened, query, registry, models_dir, options)
    except PhotoindexError as error:
        note(str(error))
        return []
    print_hits(found.hits, Format.table, null=False, explain=False)
    return [hit.photo.path for hit in found.hits]


def _right(paths: list[str]) -> list[str] | None:
    """The photos a person names by number; None where the query is not to be kept."""
    while True:
        text = _typed("right (1 3-5, none, or empty to leave this query out): ").casefold()
        if text in ("", "none"):
            return [] if text else None
        try:
            numbers = [number for part in text.replace(",", " ").split() for number in _numbers(part)]
            if all(1 <= number <= len(paths) for number in numbers):
                return list(dict.fromkeys(paths[number - 1] for number in numbers))
        except ValueError:
            pass
        note(f"Write numbers from 1 to {len(paths)}, such as 1 3-5.")


def _numbers(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)
