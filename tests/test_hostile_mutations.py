"""Damaged copies of good pictures, in every format that can be written here, through the real decode workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pillow_heif
import pillow_jxl  # noqa: F401 lets Pillow write JPEG XL
import pytest

from conftest import draw

SCRIPT = Path(__file__).parents[1] / "scripts" / "mutate_files.py"


@pytest.mark.slow
def test_no_damage_ends_a_scan_or_goes_unnoticed(tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    (tmp_path / "good").mkdir()
    for n, suffix in enumerate(("jpg", "png", "webp", "gif", "bmp", "tif", "heic", "avif", "jxl", "jp2")):
        draw(n).save(tmp_path / "good" / f"{n}.{suffix}")
    options = ("--count", "300", "--part", "300", "--time-limit", "30", "--seed", str(os.getpid()))
    command = [sys.executable, SCRIPT, tmp_path / "good", *options]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\nseed {os.getpid()}"
    assert "all 300 files" in ran.stdout
