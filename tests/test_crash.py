"""What an unexpected error leaves behind: file and step for the user, and a report without anything private."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from conftest import QUICK, Shell
from photoindex.cli import native
from photoindex.cli.crash import DEBUG
from photoindex.events import during, tell
from photoindex.pure.redact import Redactor


@pytest.fixture
def crashing(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose scans crash."""
    import photoindex.scan.run

    def crash(*_: object) -> None:
        with during("saving", ["/home/eudora/Private Photos/divorce papers.jpg"]):
            raise KeyError(f"/home/eudora/Private Photos/x y.png, {os.path.expanduser('~')}/secret.txt")

    monkeypatch.setattr(photoindex.scan.run, "tell_walk", crash)
    return run


def report_of(run: Shell) -> str:
    (report,) = (run.home / "crashes").iterdir()
    return report.read_text()


def test_a_crash_is_told_in_full_and_reported_without_names(crashing: Shell, photos: Path) -> None:
    ran = crashing("scan", photos, *QUICK, "--exclude", "secretive", code=2)
    assert "This is a bug in photoindex: KeyError" in ran.err
    assert "during saving, with /home/eudora/Private Photos/divorce papers.jpg" in ran.err
    assert "Traceback" not in ran.err
    (report,) = (crashing.home / "crashes").iterdir()
    assert str(report) in ran.err
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    for private in ("eudora", "Private", "divorce", "x y.png", "secret", str(photos), "secretive"):
        assert private not in text
    assert "doing: saving" in text
    assert "command: photoindex scan <private-" in text
    assert "--steps" in text
    assert "photoindex/scan/run.py" in text
    assert "in crash" in text
    assert '"event": "run_started"' in text
    assert "duckdb 2." in text


def test_with_debug_the_report_names_everything_and_the_terminal_shows_the_traceback(
    crashing: Shell, photos: Path
) -> None:
    ran = crashing("--debug", "scan", photos, *QUICK, code=2)
    assert "Traceback" in ran.err
    assert "look through it before you send it" in ran.err
    text = report_of(crashing)
    assert "file: /home/eudora/Private Photos/divorce papers.jpg" in text
    assert str(photos) in text


def test_a_command_that_cannot_be_loaded_is_reported_too(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "photoindex.cli.collections", None)  # an import of it fails
    DEBUG.set(False)  # an earlier command of this process may have asked for it
    ran = run("collections", "list", "secretive", code=2)
    assert "This is a bug in photoindex: ModuleNotFoundError" in ran.err
    assert "command: photoindex collections <private-" in report_of(run)


def test_where_no_report_can_be_written_the_traceback_is_shown(crashing: Shell, photos: Path) -> None:
    crashing.home.mkdir()
    (crashing.home / "crashes").write_text("a file")
    ran = crashing("scan", photos, *QUICK, code=2)
    assert "Traceback" in ran.err
    assert "No report could be written" in ran.err


def test_only_the_last_reports_are_kept(crashing: Shell, photos: Path) -> None:
    folder = crashing.home / "crashes"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"crash-20200101-{number:06}-1.txt").touch()
    (folder / "mine.txt").touch()
    crashing("scan", photos, *QUICK, code=2)
    kept = sorted(path.name for path in folder.iterdir())
    assert len(kept) == 21
    assert kept[0] == "crash-20200101-000011-1.txt"
    assert kept[-1] == "mine.txt"


def test_errors_that_are_expected_leave_no_report(run: Shell, tmp_path: Path) -> None:
    run("scan", tmp_path / "nowhere", code=15)
    assert not (run.home / "crashes").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Errno 13] Permission denied: '/home/me/My Photos/a b.jpg'", "[Errno 13] Permission denied: '<1.jpg>'"),
        ('File "/opt/venv/site-packages/duckdb/x.py", line 3', 'File "<site-packages>/duckdb/x.py", line 3'),
        ("cannot open /data/pictures/IMG_1.HEIC: gone", "cannot open <1.heic>: gone"),
        ("C:\\Users\\me\\a.png failed", "<1.png> failed"),
        ("3/4 of https://example.org/x and a/b/c at 1/s", "3/4 of https://example.org/x and a/b/c at 1/s"),
        ("'/home/me'", "'~'"),
        ("reading /dev/shm and /proc/self/maps", "reading /dev/shm and /proc/self/maps"),
        ("KeyError: 'width'", "KeyError: 'width'"),
        ("no photo beach -anna", "no photo <1>"),
    ],
)
def test_what_is_private_is_replaced(text: str, expected: str) -> None:
    redactor = Redactor("/home/me", ["/opt/venv/site-packages", "/opt"], ["beach -anna"])
    import re

    assert re.sub(r"private-[0-9a-f]{8}", "1", redactor.text(text)) == expected


def test_words_of_arguments_are_replaced_where_they_stand_alone() -> None:
    redactor = Redactor("/home/me", ["/opt/venv"], ["tag:anna Beach"])
    told = redactor.text("KeyError: 'anna', ANNA at beach; susanna and savannah in /opt/venv/anna/beach.py")
    assert "'anna'" not in told
    assert "ANNA" not in told
    assert "at beach" not in told
    assert "susanna and savannah in <venv>/anna/beach.py" in told


@pytest.mark.parametrize(
    "text",
    [
        "cannot open /home/anna/My Photos/x.jpg now",
        "cannot open /media/My Disk/Our Summer/x.jpg",
        "{'/media/My Disk/Our Summer/x.jpg', '/media/My Disk'}",
        '"/media/My Disk/Mum\'s Summer/x.jpg"',
        r'"path": "/media/M\u00fc Disk/Our Summer/x.jpg"',
    ],
)
def test_paths_with_blanks_below_known_folders_are_replaced_whole(text: str) -> None:
    told = Redactor("/home/anna", [], [], ["/media/My Disk", "/media/Mü Disk"]).text(text)
    for private in ("anna", "Photos", "Disk", "Summer", "x.jpg"):
        assert private not in told


def test_programs_below_the_home_folder_stay_readable() -> None:
    redactor = Redactor("/home/me", ["/home/me/venv"], ["/home/me"], ["/home/me"])
    assert redactor.text('File "/home/me/venv/duckdb/x.py", line 3') == 'File "<venv>/duckdb/x.py", line 3'
    assert redactor.text("/home/melanie/a b") != redactor.text("/home/me/a b")


def test_private_words_are_found_in_json_too() -> None:
    redactor = Redactor("/home/me", [], ["Müller", 'say "hi"'])
    told = redactor.text(json.dumps({"a": "Müller", "b": 'say "hi"'}))
    assert json.loads(told) == {"a": redactor.name("Müller"), "b": redactor.name('say "hi"')}


def test_nothing_of_a_query_or_of_what_follows_two_dashes_is_in_the_report(
    run: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from photoindex.store.library import Library

    def crash(*_: object) -> None:
        tell("asked", words="Müller-Lüdenscheidt")
        raise KeyError("eudora")

    monkeypatch.setattr(Library, "open", crash)
    for query in (["tag:eudora Müller-Lüdenscheidt"], ["--", "-eudora", "Müller-Lüdenscheidt"]):
        run("search", *query, code=2)
        (report,) = (run.home / "crashes").iterdir()
        text = report.read_text()
        assert "search" in text
        for private in ("eudora", "Müller", "ller-L"):
            assert private not in text
        report.unlink()


def test_two_mentions_of_one_file_have_one_name() -> None:
    redactor = Redactor("/home/me", [])
    first, second = redactor.text("'/p/a.jpg' and /p/a.jpg").split(" and ")
    assert first.strip("'") == second
    assert redactor.name("/p/b.jpg") != second


# --- native code ------------------------------------------------------------------------------------------------------

SEGFAULT = """
import os, signal
import photoindex.scan.run as run
def crash(*_):
    os.kill(os.getpid(), {signal})
run.tell_walk = crash
"""


@pytest.fixture
def bare(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.delenv("PYTHONFAULTHANDLER", raising=False)
    return run


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes in other ways")
def test_a_crash_of_native_code_is_reported_by_the_next_command(bare: Shell, photos: Path) -> None:
    process = bare.start("scan", photos, *QUICK, script=SEGFAULT.format(signal="signal.SIGSEGV"))
    process.communicate()
    assert process.returncode == -signal.SIGSEGV
    ran = bare("runs")
    assert (
        "An earlier `photoindex scan` was ended by a crash of native code: Fatal Python error: Segmentation" in ran.err
    )
    (report,) = (bare.home / "crashes").iterdir()
    assert str(report) in ran.err
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    for told in ("command: photoindex scan\n", "duckdb 2.", "photoindex/scan/run.py", "in crash", "python: 3."):
        assert told in text
    for private in (str(photos), os.path.expanduser("~/")):
        assert private not in text
    assert bare("runs").err == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes in other ways")
def test_a_scan_that_ends_well_or_is_killed_is_no_crash(bare: Shell, photos: Path) -> None:
    process = bare.start("scan", photos, *QUICK, "--limit", "0")
    process.communicate()
    assert process.returncode == 0
    assert not (bare.home / "crashes").exists()
    process = bare.start("scan", photos, *QUICK, script=SEGFAULT.format(signal="signal.SIGKILL"))
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert "crash" not in bare("runs").err
    assert list((bare.home / "crashes").iterdir()) == []


def test_the_file_of_a_process_that_runs_is_left_alone(bare: Shell, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    folder = bare.home / "crashes"
    folder.mkdir(parents=True)
    running = folder / "running-1-1.txt"
    running.write_text("photoindex crash report\n\nthreads:\nFatal Python error: half of one")
    with running.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        bare("scan", tmp_path / "nowhere", code=15)
        assert [*folder.iterdir()] == [running]
    assert "half of one" in bare("scan", tmp_path / "nowhere", code=15).err
    assert running not in [*folder.iterdir()]


def test_what_is_no_file_of_a_crash_hides_none(bare: Shell, tmp_path: Path) -> None:
    folder = bare.home / "crashes"
    (folder / "running-1-1.txt").mkdir(parents=True)
    (folder / "running-2-2.txt").write_text("command: photoindex scan\n\nthreads:\nFatal Python error: of the second")
    assert "of the second" in bare("runs", code=None).err
    assert (folder / "running-1-1.txt").is_dir()
    assert not (folder / "running-2-2.txt").exists()


@pytest.mark.parametrize("fails", ["_lock", "write"])
def test_a_file_for_crashes_has_its_name_when_it_is_locked_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    named = []
    lock, write = native._lock, os.write
    monkeypatch.setattr(native, "_lock", lambda handle: (named.extend(tmp_path.glob("running-*.txt")), lock(handle)))
    monkeypatch.setattr(os, "write", lambda handle, text: (named.extend(tmp_path.glob("*.txt")), write(handle, text)))
    path, handle = native._new_file(tmp_path, b"its heading")
    os.close(handle)
    assert named == []
    assert path.read_bytes() == b"its heading"
    path.unlink()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks are available")

    monkeypatch.setattr(*((native, "_lock") if fails == "_lock" else (os, "write")), refuse)
    opened = len(os.listdir("/dev/fd"))
    with pytest.raises(OSError, match="no locks"):
        native._new_file(tmp_path, b"its heading")
    assert (len(os.listdir("/dev/fd")), [*tmp_path.iterdir()]) == (opened, [])
