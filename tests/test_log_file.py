"""--log-file and -v: what happens in a scan, told as it happens."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from conftest import QUICK, Shell
from photoindex.errors import LogNotWritable
from photoindex.events import LOG, doing_of, during, tell
from photoindex.logfile import LogFile

FIELDS = ["time", "level", "event", "run", "pid"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def named(path: Path, event: str) -> list[dict[str, Any]]:
    return [line for line in lines(path) if line["event"] == event]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "scan.jsonl"


@pytest.fixture
def listener(log: Path) -> Any:
    """Events of this test go to the log."""
    handler = LogFile(log, largest=400, kept=2)
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    yield handler
    LOG.removeHandler(handler)
    LOG.setLevel(logging.NOTSET)
    handler.close()


def test_a_scan_tells_of_every_file_step_and_batch(run: Shell, photos: Path, log: Path) -> None:
    report = run.scan(photos, "--log-file", log, code=1)
    told = lines(log)
    assert all([*line][:5] == FIELDS and line["pid"] == os.getpid() for line in told)
    times = [datetime.fromisoformat(line["time"]) for line in told]
    assert times == sorted(times)
    assert times[0].utcoffset() == timedelta(0)
    began, ended = named(log, "run_started")[0], named(log, "run_ended")[0]
    assert (began["run"], began["roots"], ended["run"]) == (report["run_id"], [str(photos)], report["run_id"])
    assert (ended["outcome"], ended["analysed"], ended["failed"]) == ("finished", 12, 1)
    assert ended["duration_s"] > 0
    assert {line["path"] for line in named(log, "file_found")} == {str(p) for p in photos.rglob("*.*")}
    assert len(named(log, "step_done")) == 40
    assert all(line["duration_s"] >= 0 and line["run"] == report["run_id"] for line in named(log, "step_done"))
    (broken,) = named(log, "step_failed")
    assert (broken["level"], broken["step"], broken["path"]) == ("warning", "decode", str(photos / "broken.jpg"))
    assert sum(line["photos"] + line["unreadable"] for line in named(log, "batch_committed")) == 12
    order = [line["event"] for line in told]
    assert order[:3] == ["command_started", "lock_acquired", "run_started"]
    assert order[-3:] == ["run_ended", "lock_released", "command_ended"]


def test_a_log_is_continued_and_names_of_any_bytes_are_in_it(
    run: Shell, tmp_path: Path, photos: Path, log: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    odd = os.fsencode(folder) + b"/caf\xe9\n\x1b[31m.jpg"
    shutil.copyfile(photos / "large.jpg", odd)
    said = run("scan", folder, *QUICK, "--log-file", log, "-vv").err
    run("scan", folder, *QUICK, "--log-file", log)
    assert [os.fsencode(line["path"]) for line in named(log, "file_found")] == [odd]
    assert [line["run"] for line in named(log, "run_started")] == [1, 2]
    assert "\x1b" not in said
    assert "file found: path " in said


def test_more_is_said_only_when_asked(run: Shell, photos: Path) -> None:
    nothing = run("scan", photos, *QUICK, "--limit", "0").err
    assert "run started" not in nothing
    some = run("scan", photos, *QUICK, "--limit", "0", "-v").err
    assert "run started: run 2, command scan" in some
    assert "file found" not in some
    more = run("scan", photos, *QUICK, "-vv", code=1).err
    assert more.count("step done: step hash, path ") == 10
    assert LOG.level == logging.NOTSET


def test_a_log_that_cannot_be_written_is_an_error_before_any_work(run: Shell, photos: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    shutil.copyfile(photos / "large.jpg", photo)
    before = photo.read_bytes()
    for place, why in [
        (tmp_path / "nowhere" / "log", "No such file"),
        (tmp_path, "it is no file"),
        (photo, "is no log of photoindex"),
        (photos / "scan.jsonl", "is scanned and never written to"),
        (photos / ".." / photos.name / "scan.jsonl", "is scanned and never written to"),
    ]:
        ran = run("scan", photos, *QUICK, "--log-file", place, code=30)
        assert why in ran.err
    assert photo.read_bytes() == before
    assert not run.folder.exists()
    assert not (photos / "scan.jsonl").exists()


def test_an_error_is_in_the_log(run: Shell, photos: Path, log: Path) -> None:
    run("scan", photos / "nowhere", "--log-file", log, code=15)
    (error,) = named(log, "error")
    assert (error["level"], error["error"], error["exit_code"]) == ("error", "RootNotFound", 15)
    assert named(log, "command_ended")


def test_what_libraries_warn_of_is_in_the_log_and_not_on_the_terminal(
    run: Shell, photos: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import photoindex.scan.run

    real = photoindex.scan.run.tell_walk

    def noisy(compared: Any) -> None:
        logging.getLogger("somelibrary.part").warning("three\nlines\nof it")
        real(compared)

    monkeypatch.setattr(photoindex.scan.run, "tell_walk", noisy)
    ran = run("scan", photos, *QUICK, "--limit", "0", "--log-file", log)
    assert "three" not in ran.err
    (said,) = [line for line in named(log, "library_message") if line["library"].startswith("somelibrary")]
    assert (said["library"], said["message"], said["level"]) == ("somelibrary.part", "three lines of it", "warning")


def test_a_large_log_is_set_aside_and_only_so_many_are_kept(listener: LogFile, log: Path) -> None:
    for number in range(20):
        tell("something", number=number)
    kept = sorted(log.parent.glob("scan.jsonl*"))
    assert [path.name for path in kept] == ["scan.jsonl", "scan.jsonl.1", "scan.jsonl.2"]
    assert all(path.stat().st_size < 600 for path in kept)
    numbers = [line["number"] for path in reversed(kept) for line in lines(path)]
    assert numbers == [*range(numbers[0], 20)]


def test_a_log_that_was_moved_away_is_begun_anew(listener: LogFile, log: Path) -> None:
    tell("first")
    log.rename(log.with_name("old"))
    tell("second")
    assert [line["event"] for line in lines(log)] == ["second"]


def test_a_full_disk_costs_lines_of_the_log_and_nothing_else(
    listener: LogFile, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def half(file: int, data: bytes) -> int:
        return real(file, data[:10])

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    tell("before")
    monkeypatch.setattr(os, "write", half)
    tell("torn")
    monkeypatch.setattr(os, "write", full)
    tell("lost")
    assert (listener.lost, listener.reason) == (2, "No space left on device")
    monkeypatch.setattr(os, "write", real)
    tell("after")
    text = log.read_text().splitlines()
    assert len(text[1]) == 10
    told = [json.loads(line) for line in (text[0], *text[2:])]
    assert [line["event"] for line in told] == ["before", "log_gap", "after"]
    assert told[1]["lost"] == 2


def test_a_scan_goes_on_when_its_log_cannot_be_written_any_more(
    run: Shell, photos: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: LogFile, line: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LogFile, "_write", full)
    ran = run("scan", photos, *QUICK, "--limit", "0", "--log-file", log, "--format", "json")
    assert ran.json["found"] == 12
    assert "lacks the last" in ran.err
    assert "No space left on device" in ran.err


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogNotWritable):
        LogFile(tmp_path / "pipe")


def test_an_error_knows_what_was_being_done_with_which_files() -> None:
    def work() -> None:
        with during("the batch", ["outer.jpg"]), during("the step hash", (f"{n}.jpg" for n in range(99))):
            raise KeyError("x")

    with pytest.raises(KeyError) as raised:
        work()
    innermost = ("the step hash", tuple(f"{n}.jpg" for n in range(16)))
    assert doing_of(raised.value) == innermost
    later = RuntimeError()
    later.__cause__ = raised.value
    assert doing_of(later) == innermost
    assert doing_of(ValueError()) is None


def test_a_malformed_message_of_a_library_is_logged_as_written_and_never_raises(log: Path) -> None:
    handler = LogFile(log)
    careless = logging.getLogger("a_careless_library")
    careless.propagate = False  # pytest's own handler raises
    careless.setLevel(logging.WARNING)
    careless.addHandler(handler)
    try:
        careless.warning("%d photos of %s", "many")
    finally:
        careless.removeHandler(handler)
        handler.close()
    (said,) = named(log, "library_message")
    assert said["message"] == "%d photos of %s"
