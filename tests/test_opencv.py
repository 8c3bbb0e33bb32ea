"""One OpenCV, without a display; and what a user is told where that is not so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from photoindex.errors import DependencyBroken
from photoindex.steps.opencv_guard import REPAIR, installed_opencvs, require_one_opencv

GUARD = "from photoindex.steps.opencv_guard import require_one_opencv as check; check()"


def run_guard(*folders: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The guard in a fresh process that looks into `folders` first."""
    paths = os.pathsep.join(str(folder) for folder in folders)
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(
        [sys.executable, "-c", GUARD], env={**kept, "PYTHONPATH": paths, **environment}, capture_output=True, text=True
    )


def test_exactly_one_opencv_is_installed_and_it_is_the_headless_one() -> None:
    assert installed_opencvs() == ["opencv-python-headless"]
    require_one_opencv()


def test_opencv_loads_without_a_display() -> None:
    done = run_guard()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_second_opencv_is_refused_with_the_commands_that_repair_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "opencv_contrib_python-4.10.0.84.dist-info"
    second.mkdir()
    (second / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-contrib-python\nVersion: 4.10.0.84\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DependencyBroken) as told:
        require_one_opencv.__wrapped__()
    assert "opencv-python-headless, opencv-contrib-python" in str(told.value)
    assert REPAIR in str(told.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file')", "libGL.so.1"),
        ("", "has no attribute 'resize'"),
    ],
    ids=["a library is missing", "torn by an uninstallation"],
)
def test_an_opencv_that_does_not_work_is_named_with_its_repair(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text(content)
    done = run_guard(tmp_path)
    assert done.returncode == 1
    assert "DependencyBroken: OpenCV does not load" in done.stderr
    assert reason in done.stderr
    assert "pip install --force-reinstall --no-deps opencv-python-headless" in done.stderr
