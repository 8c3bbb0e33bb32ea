"""A decoder may crash, hang, eat memory or start processes: that costs its file and nothing else."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from conftest import Shell, draw
from hostile_decoders import MARK, HostileBatches
from photoindex.scan.worker import Batches

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems contain less")

LIMIT_S = 15  # of which a sound file needs a hundredth
EXPECTED = {
    "segv": ("decoder_died", "SIGSEGV"),
    "hang_with_the_lock": ("time_limit", f"--time-limit {4 * LIMIT_S}"),
    "eat": ("over_memory", "--max-memory"),
    "eat_and_crash": ("decoder_died", "SIGSEGV"),
    "panic": ("damaged", "index out of bounds"),
    "leave_at_once": ("decoder_died", "exit code 7"),
    "leave": ("damaged", "SystemExit"),
    "fork": ("decoder_forked", "(1)"),
    "fork_in_c": ("decoder_forked", "(1)"),
    "fork_and_go_on_twice": None,
    "start_a_daemon": ("decoder_forked", "(1)"),
    "start_and_crash": ("decoder_died", "SIGSEGV"),
    "shout": None,
}


def folder_of(tmp_path: Path, names: list[str]) -> Path:
    """For each name a file that its decoder turns on, between sound ones."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n, name in enumerate(names):
        draw(2 * n).save(folder / f"{n:02} {name}.jpg")
        with open(folder / f"{n:02} {name}.jpg", "ab") as file:
            file.write(MARK + name.encode())
        draw(2 * n + 1).save(folder / f"{n:02} sound.jpg")
    return folder


@pytest.fixture
def hostile(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr("photoindex.scan.loader.Batches", HostileBatches)
    return run


def test_what_a_decoder_does_costs_its_file_alone(hostile: Shell, tmp_path: Path) -> None:
    check_that_only_guilty_files_fail(hostile, tmp_path, ["segv", "panic", "shout", "fork_and_go_on_twice", "leave"])


@pytest.mark.slow
def test_whatever_a_decoder_does_costs_its_file_alone(hostile: Shell, tmp_path: Path) -> None:
    check_that_only_guilty_files_fail(hostile, tmp_path, [*EXPECTED])
    _all_gone(tmp_path / "photos.pids")


def check_that_only_guilty_files_fail(hostile: Shell, tmp_path: Path, names: list[str]) -> None:
    folder = folder_of(tmp_path, names)
    report = hostile.scan(folder, "--time-limit", f"{LIMIT_S}", "--max-memory", "2G", "--batch-size", "3", code=1)
    bad = {name: EXPECTED[name] for name in names if EXPECTED[name]}
    assert report["analysed"] == 2 * len(names)
    failures = {row["path"].rpartition(" ")[2][:-4]: row for row in hostile("failures", "--format", "json").json}
    assert {name: row["code"] for name, row in failures.items()} == {name: bad[name][0] for name in bad}
    for name, (_, words) in bad.items():
        assert words in failures[name]["message"], failures[name]["message"]
    done = hostile.rows("SELECT count(*) FROM ledger WHERE step = 'hash' AND status = 'done'")
    assert done == [(2 * len(names) - len(bad),)]
    assert hostile.scan(folder)["due"] == 0


def test_a_photo_whose_decoder_was_killed_from_outside_is_not_blamed_and_tried_again(
    hostile: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, ["be_killed"])
    assert hostile.scan(folder, code=1)["failed"] == 1
    (row,) = hostile("failures", "--format", "json").json
    assert row["code"] == "killed"
    assert "tried again at the next scan" in row["message"]
    assert "damaged" not in row["message"]
    monkeypatch.setattr("photoindex.scan.loader.Batches", Batches)  # now there is memory enough
    report = hostile.scan(folder)
    assert (report["due"], report["failed"]) == (1, 0)
    assert hostile("failures", "--format", "json").json == []


def _all_gone(pids: Path) -> None:
    """Whatever a decoder started is ended, soon after the scan at the latest."""
    left = [int(line) for line in pids.read_text().split()] if pids.exists() else []
    deadline = time.monotonic() + 60
    while (left := [pid for pid in left if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
