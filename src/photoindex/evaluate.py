"""How good search is on the user's own library: questions with the photos that answer them, scored by mode and type.

A file of questions is a CSV with the columns `query` and `relevant_files` (paths below the file's folder, or absolute,
parted by ;), and if wanted `id`, `type` and `also_acceptable` (photos that count neither way). A question without
relevant files is about nothing in the library: the right answer to it is that there is no good match.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from photoindex.errors import PhotoindexError, PhotoNotFound, UsageError
from photoindex.models.registry import Registry
from photoindex.pure.metrics import ndcg, recall, reciprocal_rank, without
from photoindex.search import Mode, SearchOptions, find
from photoindex.store.library import Library

MODES: tuple[Mode, ...] = ("keyword", "semantic", "hybrid")
GAIN_AT = 10
ALL_TYPES = "all"
_DEPTH = 100
_COLUMNS = ("id", "type", "query", "relevant_files", "also_acceptable", "n_relevant", "notes")


@dataclass(frozen=True, slots=True)
class Question:
    """A query with the files that answer it and those that count neither way, as absolute paths."""

    id: str
    type: str
    query: str
    relevant: tuple[str, ...] = ()
    acceptable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """One question in one mode. `recall`, `ndcg`, `rank` are None for a question about nothing, where `empty` says
    whether the answer was that there is no good match; `shown`: how many photos were."""

    id: str
    type: str
    query: str
    mode: Mode
    shown: int
    recall: float | None = None
    ndcg: float | None = None
    rank: float | None = None
    empty: bool | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Means over the questions of a type in a mode: recall at k, nDCG at 10, mean reciprocal rank, over `queries`
    with an answer; `empty_right`: the share of the `empty` ones without that were answered "no good match"."""

    mode: str
    type: str
    queries: int
    recall: float | None
    ndcg: float | None
    mrr: float | None
    empty: int
    empty_right: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`unknown`: files that the questions name and the library does not have: nothing can find them."""

    k: int
    scores: tuple[Score, ...]
    rows: tuple[Scored, ...]
    unknown: tuple[str, ...] = ()


def read_questions(path: Path, root: Path | None = None) -> list[Question]:
    """The questions of a file; paths in it are below `root`, or the file's own folder. Raises UsageError."""
    base = root or path.parent
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"Cannot read {path}: {why}.") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"query", "relevant_files"}.difference(rows.fieldnames or ())
    if missing:
        raise UsageError(f"{path} has no column {sorted(missing)[0]!r}; the first line names the columns of the rest.")
    return [_question(number, row, base) for number, row in enumerate(rows, 1) if (row["query"] or "").strip()]


def add_question(path: Path, question: Question) -> None:
    """Append a question to a file, which is made where it is new; paths are written relative to its folder."""
    new = not path.exists() or path.stat().st_size == 0
    base = os.path.abspath(path.parent)
    names = [";".join(_written(file, base) for file in files) for files in (question.relevant, question.acceptable)]
    row = (question.id, question.type, question.query, *names, len(question.relevant), "")
    ended = new or path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8", newline="", errors="strict") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if new:
            writer.writerow(_COLUMNS)
        elif not ended:
            stream.write("\n")
        writer.writerow(row)


def evaluate(
    library: Library,
    questions: Sequence[Question],
    registry: Registry,
    models_dir: Path,
    *,
    modes: Iterable[Mode] = MODES,
    k: int = 5,
    options: SearchOptions | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Ask every question in every mode and score the answers. `options` are those of the searches."""
    modes = tuple(modes)
    shas = _shas(library, {file for q in questions for file in (*q.relevant, *q.acceptable)})
    rows: list[Scored] = []
    for question in questions:
        for mode in modes:
            asked = replace(options or SearchOptions(), mode=mode, limit=_DEPTH)
            rows.append(_ask(library, question, registry, models_dir, asked, shas, k))
            progress(len(rows), len(questions) * len(modes))
    unknown = sorted({file for q in questions for file in q.relevant if file not in shas})
    return Evaluation(k, tuple(summarised(rows)), tuple(rows), tuple(unknown))


def summarised(rows: Sequence[Scored]) -> list[Score]:
    """Scores by mode: of all questions, then of each type in the order in which they come."""
    types = dict.fromkeys(row.type for row in rows)
    wanted = [(mode, kind) for mode in dict.fromkeys(row.mode for row in rows) for kind in (ALL_TYPES, *types)]
    return [
        _score(mode, kind, [r for r in rows if r.mode == mode and kind in (r.type, ALL_TYPES)]) for mode, kind in wanted
    ]


def _ask(
    library: Library,
    question: Question,
    registry: Registry,
    models_dir: Path,
    options: SearchOptions,
    shas: Mapping[str, str],
    k: int,
) -> Scored:
    row = Scored(question.id, question.type, question.query, options.mode, 0)
    try:
        found = find(library, question.query, registry, models_dir, options)
        ranking = [hit.photo.photo for hit in found.hits]
    except PhotoindexError as error:
        row, ranking = replace(row, problem=str(error)), []
    if not question.relevant:
        return replace(row, shown=len(ranking), empty=not ranking and not row.problem)
    # A file that the library does not have stands for itself: it counts, and nothing can find it.
    relevant = {shas.get(file, file) for file in question.relevant}
    ranking = without(ranking, {shas.get(file, file) for file in question.acceptable} - relevant)
    return replace(
        row,
        shown=len(ranking),
        recall=recall(ranking, relevant, k),
        ndcg=ndcg(ranking, relevant, GAIN_AT),
        rank=reciprocal_rank(ranking, relevant),
    )


def _score(mode: str, kind: str, rows: Sequence[Scored]) -> Score:
    answered = [row for row in rows if row.recall is not None]
    empty = [row for row in rows if row.empty is not None]

    def mean(values: Iterable[float | bool | None]) -> float | None:
        numbers = [float(value) for value in values if value is not None]
        return sum(numbers) / len(numbers) if numbers else None

    return Score(
        mode,
        kind,
        len(answered),
        mean(row.recall for row in answered),
        mean(row.ndcg for row in answered),
        mean(row.rank for row in answered),
        len(empty),
        mean(row.empty for row in empty),
    )


def _shas(library: Library, files: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each file that the library knows."""
    found = {}
    for file in files:
        try:
            found[file] = library.queries.find(file)[1]
        except PhotoNotFound:
            continue
    return found


def _question(number: int, row: Mapping[str, str], base: Path) -> Question:
    def files(column: str) -> tuple[str, ...]:
        names = (name.strip() for name in (row.get(column) or "").split(";"))
        return tuple(os.path.abspath(base / name) for name in names if name)

    return Question(
        row.get("id") or str(number),
        row.get("type") or "query",
        row["query"].strip(),
        files("relevant_files"),
        files("also_acceptable"),
    )


def _written(file: str, base: str) -> str:
    """A path as the file of questions has it. Raises UsageError for one that it cannot hold."""
    if ";" in file or not file.isprintable():
        raise UsageError(f"{file!r} cannot stand in a file of questions: its name holds ; or no plain text.")
    inside = os.path.commonpath([base, file]) == base
    return os.path.relpath(file, base) if inside else file
