"""Plans as JSON or csv on stdout, and read again from files that people edited."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from photoindex.dupes import AppliedRun, Done
from photoindex.errors import PlanInvalid, UsageError
from photoindex.pure.plans import COLUMNS, WRITTEN_COLUMNS, Plan, parse_plan, parse_rows, plan_object, plan_rows
from photoindex.render.output import (
    Format,
    PlanFormat,
    RowFormat,
    plain,
    print_csv,
    print_json,
    print_paths,
    print_rows,
    print_table,
)
from photoindex.render.text import note, size

_SOME = 3


def print_plan(plan: Plan, output: PlanFormat) -> None:
    if output is PlanFormat.csv:
        print_csv(list(plan_rows(plan)), WRITTEN_COLUMNS)
    else:
        print_json(plan_object(plan))


def note_plan(plan: Plan) -> None:
    """A summary on stderr."""
    files = sum(len(group.go) for group in plan.groups)
    if not files:
        note("Nothing is planned to go.")
        return
    by_tier: dict[str, int] = {}
    for group in plan.groups:
        for file in group.go:
            by_tier[file.tier] = by_tier.get(file.tier, 0) + 1
    tiers = ", ".join(f"{count:,} {tier}" for tier, count in by_tier.items())
    told = f"{files:,} {'file' if files == 1 else 'files'} of {len(plan.groups):,}"
    note(f"{told} {'group' if len(plan.groups) == 1 else 'groups'} may go ({tiers}): {size(plan.frees)}.")
    if along := [path for group in plan.groups for file in group.go for path in file.along]:
        some = ", ".join([*map(os.path.basename, along[:_SOME]), *(["..."] if len(along) > _SOME else [])])
        travel = "1 sidecar travels" if len(along) == 1 else f"{len(along):,} sidecars travel"
        note(f"{travel} along ({some}), unless it is applied with --along none.")


def print_done(
    done: Iterable[Done | str], output: Format = Format.table, null: bool = False, to: str = ""
) -> tuple[int, int, int]:
    """What became of each file on stdout, as soon as it is done (JSON when all are); as a table or paths only of those
    that went (or came back), and what went along. Each that did not is told with the reason on stderr; what is so of a
    whole disk or folder is told once, at the end.

    `to`: where they go. Returns how many did, how many went along with them, and how many did not.
    """
    went, along, left = 0, 0, 0
    of_disks = Counter[tuple[str, str]]()

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal went, along, left
        for item in done:
            if isinstance(item, str):
                continue
            went, along, left = went + (not item.problem), along + len(item.along), left + bool(item.problem)
            if told := item.problem or item.note:
                if item.disk or item.away:
                    of_disks[item.disk, told] += 1
                else:
                    note(f"{item.path}: {told}")
            yield {
                "path": item.path,
                "to": None if item.problem else to,
                "bytes": item.bytes,
                "along": item.along,
                "problem": item.problem,
                "note": item.note or None,
            }

    try:
        _print_rows(rows(), output, null)
    finally:
        for (disk, told), count in of_disks.items():
            where = f" on the disk at {disk}" if disk else ""
            note(f"{count:,} {'file' if count == 1 else 'files'}{where}: {told}")
    return went, along, left


def _print_rows(rows: Iterable[dict[str, Any]], output: Format, null: bool) -> None:
    match Format.paths if null else output:
        case Format.json:
            _print_array(rows)
        case Format.ndjson:
            for row in rows:
                print(json.dumps(plain(row)), flush=True)
        case Format.csv:
            print_csv(rows, ("path", "to", "bytes", "along", "problem", "note"))
        case _:
            for row in rows:
                print_paths([] if row["problem"] else [row["path"], *row["along"]], null)


def _print_array(rows: Iterable[dict[str, Any]]) -> None:
    """However it ends: what was done to files by then is told."""
    told = []
    try:
        for row in rows:
            told.append(row)
    finally:
        print_json(told)


def print_runs(runs: Sequence[AppliedRun], output: RowFormat) -> None:
    columns = ("id", "at", "to", "files", "state", "planned", "done")

    def table() -> None:
        rows = [(r.id, r.at[:16].replace("T", " "), r.to, f"{r.done:,} of {r.planned:,}", r.state) for r in runs]
        print_table(("id", "at", "to", "done", "state"), rows, ["done"])

    print_rows([{name: getattr(run, name) for name in columns} for run in runs], output, columns, table)


def read_plan(path: str) -> Plan:
    """A plan from a file. Raises UsageError where it cannot be read, PlanInvalid where it is not sound."""
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise PlanInvalid(f"{path} is no UTF-8 text: {error}") from None
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        try:
            return parse_plan(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise PlanInvalid(f"{path} is no JSON: {error}") from None
    rows = csv.DictReader(text.removeprefix("\ufeff").splitlines(), strict=True)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise PlanInvalid(f"{path} is neither JSON nor csv with the columns {', '.join(COLUMNS)}")
    try:
        return parse_rows(rows)
    except csv.Error as error:
        raise PlanInvalid(f"{path} is no csv: {error}") from None
