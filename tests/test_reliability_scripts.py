"""A few rounds of scripts/kill_runs.py and scripts/soak.py, which are run for hours by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kill_runs import Place, make_old
from workplace import workplace

SCRIPTS = Path(__file__).parents[1] / "scripts"


def test_a_second_run_in_one_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work" / "states").mkdir(parents=True)
    (tmp_path / "work" / "kept").touch()
    with workplace(tmp_path / "work", "states") as folder:
        assert sorted(path.name for path in folder.iterdir() if path.name != "run.lock") == ["kept"]
        with pytest.raises(SystemExit, match="Another run works in"), workplace(tmp_path / "work", "kept"):
            pass
        assert (folder / "kept").exists()
    with workplace(None) as folder:
        assert folder.is_dir()
    assert not folder.exists()


def test_a_program_too_old_to_make_the_library_to_migrate_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "old" / "photoindex").mkdir(parents=True)
    (tmp_path / "old" / "photoindex" / "__init__.py").touch()
    main = "import sys\nsys.exit(print('models.toml: [models.x] options: unknown', file=sys.stderr) or 21)"
    (tmp_path / "old" / "photoindex" / "__main__.py").write_text(main)
    (tmp_path / "states" / "new").mkdir(parents=True)
    with pytest.raises(SystemExit) as ended:
        make_old(Place(tmp_path / "work"), tmp_path / "states", ("scan",), tmp_path / "old")
    assert "cannot make a library to migrate (exit code 21)" in str(ended.value)
    assert "[models.x] options: unknown" in str(ended.value)


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
