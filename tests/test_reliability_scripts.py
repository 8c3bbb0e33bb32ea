"""A few rounds of scripts/kill_runs.py and scripts/soak.py, which are run for hours by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def last_lines(script: str, *arguments: str, cwd: Path) -> str:
    command = [sys.executable, str(SCRIPTS / script), *arguments, "--folder", str(cwd / "work")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_a_change_of_models_killed_at_random_moments_ends_like_one_that_was_not(tmp_path: Path) -> None:
    told = last_lines("kill_runs.py", "--kills", "2", "--in-a-row", "2", "--only", "use", cwd=tmp_path)
    assert "Rows of the ledger that were saved and made again: 0." in told
    assert told.endswith("Wrong: 0\n")


@pytest.mark.slow
def test_a_library_under_load_keeps_its_counts_and_takes_no_more_memory_and_files(tmp_path: Path) -> None:
    told = last_lines("soak.py", "--files", "200", "--repeats", "8", cwd=tmp_path)
    assert "half deleted" in told
    assert told.endswith("Wrong: 0\n")


@pytest.mark.slow
def test_a_long_run_that_is_ended_early_tells_what_it_has_done(tmp_path: Path) -> None:
    told = last_lines("soak.py", "--files", "2000", "--seconds", "1", cwd=tmp_path)
    assert "Ended early in: first, after" in told
    assert told.endswith("Wrong: 0\n")
