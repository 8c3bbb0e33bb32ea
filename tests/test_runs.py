"""The history of scans."""

from __future__ import annotations

import csv
import json
import signal
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from conftest import QUICK, Shell
from photoindex.scan.history import KILLED
from photoindex.store.library import Library
from photoindex.store.migrations import MIGRATIONS
from terminal import on_terminal

KILL_AT_THE_END = """
import os, signal, photoindex.scan.run
photoindex.scan.run._settle = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_each_scan_is_listed_with_its_counts_and_rate(run: Shell, photos: Path) -> None:
    first = run.scan(photos, code=1)
    (photos / "broken.jpg").unlink()
    run.scan(photos)
    newer, older = run("runs", "--format", "json").json
    assert (older["run"], older["outcome"], older["command"], older["roots"]) == (1, "done", "scan", [str(photos)])
    assert (older["found"], older["analysed"], older["failed"], older["unchanged"]) == (12, 12, 1, 0)
    assert older["wall_s"] == pytest.approx(first["wall_s"])
    assert older["photos_per_s"] == pytest.approx(12 / first["wall_s"])
    assert (newer["run"], newer["analysed"], newer["unchanged"], newer["missing"]) == (2, 0, 11, 1)
    assert newer["photos_per_s"] is None
    assert older["versions"]["python"] == sys.version.split()[0]
    assert {"duckdb", "torch", "pillow"} <= older["versions"].keys()
    table = run("runs").text.splitlines()
    assert table[0].split() == [
        "run",
        "began",
        "(UTC)",
        "took",
        "ended",
        "found",
        "analysed",
        "failed",
        "photos/s",
        "folders",
    ]
    assert [line.split()[0] for line in table[1:]] == ["2", "1"]


def test_the_formats_and_the_limit(run: Shell, photos: Path) -> None:
    for _ in range(3):
        run.scan(photos, "--limit", "0")
    assert [json.loads(line)["run"] for line in run("runs", "-n", "2", "--format", "ndjson").text.splitlines()] == [
        3,
        2,
    ]
    rows = [*csv.DictReader(run("runs", "--limit", "0", "--format", "csv").text.splitlines())]
    assert [row["run"] for row in rows] == ["3", "2", "1"]
    assert json.loads(rows[0]["roots"]) == [str(photos)]


def test_one_scan_is_shown_with_its_steps_and_what_failed(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    shown = run("runs", "show", "1", "--format", "json").json
    assert shown["steps"]["hash"]["done"] == 10
    assert shown["steps"]["hash"]["ms_each"] == pytest.approx(shown["steps"]["hash"]["seconds"] * 100)
    assert shown["steps"]["hash"]["seconds"] > 0
    (failure,) = shown["failures"]
    assert (failure["path"], failure["step"]) == (str(photos / "broken.jpg"), "decode")
    text = run("runs", "show", "1").text
    assert "done after" in text
    assert "broken.jpg" in text
    assert "The last is 1" in run("runs", "show", "2", code=24).err


def test_a_library_without_scans_has_none(run: Shell) -> None:
    assert "No library" in run("runs", code=10).err
    with Library.writing(run.folder):
        pass
    ran = run("runs")
    assert (ran.text, ran.err) == ("", "photoindex: No scan yet.\n")
    assert run("runs", "--format", "json").json == []
    assert "never scanned" in run("runs", "show", "1", code=24).err


@pytest.mark.slow
def test_a_killed_scan_shows_as_such_at_once_and_the_next_one_says_so(run: Shell, photos: Path) -> None:
    scan = run.start("scan", str(photos), *QUICK, script=KILL_AT_THE_END)
    scan.communicate(timeout=300)
    assert scan.returncode == -signal.SIGKILL
    (killed,) = run("runs", "--format", "json").json
    assert (killed["outcome"], killed["analysed"], killed["failed"], killed["found"]) == ("killed", 11, 1, None)
    assert killed["steps"]["hash"]["done"] == 10
    assert killed["ended_at"] >= killed["started_at"]
    report = run.scan(photos)
    assert KILLED in report["notes"]
    last, before = run("runs", "--format", "json").json
    assert (last["outcome"], before["outcome"]) == ("done", "killed")
    assert {key: before[key] for key in before if key != "wall_s"} == {
        key: killed[key] for key in killed if key != "wall_s"
    }
    assert run.rows("SELECT outcome FROM runs ORDER BY run_id") == [("killed",), ("finished",)]
    assert KILLED not in run.scan(photos, "--limit", "0")["notes"]


def test_a_scan_that_runs_is_said_to_run(run: Shell, photos: Path) -> None:
    with Library.writing(run.folder) as library:
        library.runs.start("0", [str(photos)], "fast", {"command": "scan", "versions": {}})
        (running,) = library.runs.latest()
        assert (running.outcome, running.ended_at, running.analysed) == ("running", None, 0)
    assert run("runs").text.splitlines()[1].split()[5] == "running"


def test_a_failed_scan_says_why(run: Shell, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import photoindex.scan.run

    def fail(*_: object) -> None:
        raise ValueError("of no use")

    monkeypatch.setattr(photoindex.scan.run, "tell_walk", fail)
    run("scan", photos, *QUICK, code=2)
    (failed,) = run("runs", "--format", "json").json
    assert (failed["outcome"], failed["error"], failed["found"]) == ("failed", "ValueError: of no use", 12)
    assert "of no use" in run("runs", "show", "1").text


def test_runs_of_a_library_of_before_are_kept(tmp_path: Path) -> None:
    before = 8  # the last schema that noted no more than counts
    (tmp_path / "old").mkdir()
    with duckdb.connect(tmp_path / "old" / "catalog.duckdb") as con:
        con.execute("CREATE TABLE schema_migrations (version INTEGER, applied_at TIMESTAMP)")
        for number, migration in enumerate(MIGRATIONS[:before], 1):
            migration(con)
            con.execute("INSERT INTO schema_migrations VALUES (?, now()::TIMESTAMP)", [number])
        times = "TIMESTAMP '2026-01-02 03:04:05', TIMESTAMP '2026-01-02 03:04:15'"
        for ended in ("'finished', 9, 5, 1", "NULL, NULL, NULL, NULL"):
            about = "'0.0.9', ['/p'::BLOB], 'fast'"
            con.execute(f"INSERT INTO runs VALUES (nextval('run_ids'), {times}, {about}, {ended})")
    with Library.writing(tmp_path / "old") as library:
        killed, done = library.runs.latest()
        assert (done.outcome, done.wall_s, done.photos_per_s, done.found) == ("done", 10.0, 0.5, 9)
        assert (done.started_at, done.roots, done.steps, done.moved) == (
            datetime(2026, 1, 2, 3, 4, 5),
            ("/p",),
            {},
            None,
        )
        assert (killed.outcome, killed.ended_at, killed.wall_s) == ("killed", None, None)
        assert library.runs.start("0.1", ["/p"], "fast", {}) == (3, 1)


def test_of_a_scan_that_was_killed_before_it_saved_anything_no_time_is_told(run: Shell, photos: Path) -> None:
    with Library.writing(run.folder) as library:
        run_id, _ = library.runs.start("0", [str(photos)], "fast", {"command": "scan", "versions": {}, "pid": -1})
        with library.catalog.file.write() as con:
            con.execute("UPDATE runs SET details = NULL WHERE run_id = ?", [run_id])  # a process that is no more
        for _ in range(2):  # before and after the next scan has noted it
            before = library.runs.get(run_id)
            assert (before.outcome, before.ended_at, before.wall_s, before.analysed) == ("killed", None, None, 0)
            library.runs.start("0", [str(photos)], "fast", {})
    assert run("runs").text.splitlines()[-1].split()[3:5] == ["-", "killed"]
    assert "killed before it had saved anything" in run("runs", "show", str(run_id)).text


def test_a_killed_scan_is_told_of_once(run: Shell, photos: Path) -> None:
    with Library.writing(run.folder) as library:
        library.runs.start("0", [str(photos)], "fast", {})
    ran = run("scan", photos, *QUICK, code=1)
    assert (ran.text + ran.err).count(KILLED) == 1


@pytest.mark.parametrize(("columns", "lacking"), [(80, {"photos/s", "folders"}), (400, set())])
def test_on_a_terminal_no_date_of_a_scan_is_broken(run: Shell, photos: Path, columns: int, lacking: set[str]) -> None:
    with Library.writing(run.folder) as library:
        library.runs.start("0", [str(photos)], "fast", {"command": "scan", "versions": {}})
        began = f"{library.runs.get(1).started_at:%Y-%m-%d %H:%M}"
    told = on_terminal(run, "runs", columns=columns)
    assert began in told
    assert {name for name in ("took", "ended", "photos/s", "folders") if name not in told} == lacking
    assert ("runs show RUN" in told) == bool(lacking)
