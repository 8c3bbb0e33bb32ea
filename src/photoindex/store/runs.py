"""The history of scans: each notes that it begins and how it ended; one that never did was killed."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from photoindex.errors import RunNotFound
from photoindex.records import Run, RunFailure, RunOutcome, RunStep
from photoindex.store.arrow import decode_path, encode_path, insert
from photoindex.store.catalog import now, touch_root
from photoindex.store.connection import CatalogFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMNS = "run_id, outcome, started_at, ended_at, found, analysed, failed, roots, profile, program"
# What a scan that never noted its end had saved: rows that a later scan wrote anew count as that one's.
_SAVED = """
SELECT step, status, count(*), sum(ms) / 1000, arg_max(model, done_at), arg_max(runtime, done_at)
FROM ledger WHERE run_id = ? GROUP BY 1, 2 ORDER BY 1, 2
"""
_PHOTOS = """
SELECT count(DISTINCT photo_id), count(DISTINCT photo_id) FILTER (status = 'failed'), max(done_at)
FROM ledger WHERE run_id = ?
"""
_FAILURES = """
SELECT f.path, l.step, l.code, l.message FROM ledger l JOIN files f USING (photo_id)
WHERE l.run_id = ? AND l.status = 'failed' AND f.missing_since IS NULL ORDER BY 1, 2
"""
_OUTCOMES = {"finished": "done"}


class Runs:
    """Every scan of one library."""

    def __init__(self, file: CatalogFile) -> None:
        self._file = file

    def start(self, program: str, roots: Sequence[str], profile: str, details: Mapping[str, Any]) -> tuple[int, int]:
        """Note that a scan begins. Returns its number, and how many before it turn out to have been killed.

        `details`: JSON values, of them `command` and `versions`. Needs the library's only writer.
        """
        about = json.dumps({**details, "pid": os.getpid(), "host": platform.node()})
        with self._file.write() as con:
            killed = [row[0] for row in con.execute("SELECT run_id FROM runs WHERE outcome IS NULL").fetchall()]
            for number in killed:
                _note_killed(con, number)
            run_id = int(con.execute("SELECT nextval('run_ids')").fetchall()[0][0])
            row = (run_id, now(), program, [encode_path(root) for root in roots], profile, about)
            insert(con, "runs", ["run_id", "started_at", "program", "roots", "profile", "details"], [row])
            for root in roots:
                touch_root(con, root)
        return run_id, len(killed)

    def end(self, run_id: int, outcome: str, report: Mapping[str, Any], error: str | None = None) -> None:
        """Note how a scan ended: finished, interrupted or failed. `report`: JSON values, the fields of ScanReport."""
        counts = [report.get(name) for name in ("found", "analysed", "failed")]
        with self._file.write() as con:
            con.execute(
                "UPDATE runs SET ended_at = ?, outcome = ?, found = ?, analysed = ?, failed = ?, report = ?, error = ?"
                " WHERE run_id = ?",
                [now(), outcome, *counts, json.dumps(report), error, run_id],
            )

    def latest(self, limit: int = 20) -> list[Run]:
        """The last scans, newest first; all of them where `limit` is 0."""
        sql = f"SELECT {_COLUMNS}, details, report, error FROM runs ORDER BY run_id DESC LIMIT ?"  # noqa: S608
        with self._file.read() as con:
            rows = con.execute(sql, [limit or None]).fetchall()
            return [_run(con, row) for row in rows]

    def get(self, run_id: int) -> Run:
        """One scan. Raises RunNotFound."""
        sql = f"SELECT {_COLUMNS}, details, report, error FROM runs WHERE run_id = ?"  # noqa: S608
        with self._file.read() as con:
            rows = con.execute(sql, [run_id]).fetchall()
            if not rows:
                last = con.execute("SELECT max(run_id) FROM runs").fetchall()[0][0]
                raise RunNotFound(run_id, f"The last is {last}" if last else "This library was never scanned")
            return _run(con, rows[0])

    def failures(self, run_id: int) -> list[RunFailure]:
        """What failed in this scan and has not been done since, by path."""
        with self._file.read() as con:
            rows = con.execute(_FAILURES, [run_id]).fetchall()
        return [RunFailure(decode_path(path), step, code or "", message or "") for path, step, code, message in rows]


def _run(con: DuckDBPyConnection, row: Sequence[Any]) -> Run:
    run_id, outcome, started, ended, found, analysed, failed, roots, profile, program, details, report, error = row
    about: dict[str, Any] = json.loads(details or "{}")
    told: dict[str, Any] = json.loads(report or "{}")
    if outcome is None:
        outcome = "running" if _lives(about) else "killed"
        analysed, failed, saved = con.execute(_PHOTOS, [run_id]).fetchall()[0]
        ended = None if outcome == "running" else saved
        told = {"steps": _saved_steps(con, run_id)}
    if outcome == "killed" and ended == started:  # as noted by a photoindex that did not tell this from nothing saved
        ended = None
    wall = told.get("wall_s")
    if wall is None and (ended or outcome == "running"):
        wall = ((ended or now()) - started).total_seconds()
    return Run(
        run=run_id,
        outcome=cast("RunOutcome", _OUTCOMES.get(outcome, outcome)),
        command=about.get("command", "scan"),
        started_at=started,
        ended_at=ended,
        wall_s=wall,
        photos_per_s=analysed / wall if analysed and wall else None,
        found=found,
        unchanged=told.get("unchanged"),
        moved=told.get("moved"),
        missing=told.get("missing"),
        analysed=analysed,
        failed=failed,
        roots=tuple(decode_path(path) for path in roots or ()),
        profile=profile,
        program=program,
        versions=about.get("versions", {}),
        error=error,
        notes=tuple(told.get("notes", ())),
        steps={name: RunStep(**values) for name, values in told.get("steps", {}).items()},
        seconds=told.get("seconds", {}),
    )


def _saved_steps(con: DuckDBPyConnection, run_id: int) -> dict[str, dict[str, Any]]:
    """The fields of RunStep by step, from the ledger."""
    steps: dict[str, dict[str, Any]] = {}
    for step, status, count, seconds, model, runtime in con.execute(_SAVED, [run_id]).fetchall():
        found = steps.setdefault(step, {"seconds": 0.0})
        found[status] = count
        found["seconds"] += seconds or 0.0
        found.update({key: value for key, value in (("model", model), ("runtime", runtime)) if value})
    return steps


def _note_killed(con: DuckDBPyConnection, run_id: int) -> None:
    analysed, failed, saved = con.execute(_PHOTOS, [run_id]).fetchall()[0]
    con.execute(
        "UPDATE runs SET outcome = 'killed', ended_at = ?, analysed = ?, failed = ?, report = ? WHERE run_id = ?",
        [saved, analysed, failed, json.dumps({"steps": _saved_steps(con, run_id)}), run_id],
    )


def _lives(about: Mapping[str, Any]) -> bool:
    """Whether the process of a scan is still there, as far as this machine can tell."""
    pid = about.get("pid")
    if not isinstance(pid, int):
        return False
    return about.get("host") != platform.node() or process_lives(pid)


def process_lives(pid: int) -> bool:
    if sys.platform == "win32":  # there os.kill would end it
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
