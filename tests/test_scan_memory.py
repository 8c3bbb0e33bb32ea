"""What a scan and all its workers really take, against what they were allowed."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from conftest import Shell, draw
from photoindex.pure.sizes import parse_size

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux counts shared memory once"),
]
End = Callable[[subprocess.Popen[bytes]], subprocess.Popen[bytes]]


def family(pid: int) -> list[int]:
    """A process and all that come from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(stat.read_text().rsplit(")", 1)[1].split()[1]), []).append(int(stat.parent.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def proportional_set_size(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


@pytest.fixture
def demanding(tmp_path: Path) -> Path:
    """Pictures of the kinds that take most: pages of text, many pixels, a progressive JPEG."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(4):
        page = Image.new("RGB", (2_000, 2_600), "white")
        pen = ImageDraw.Draw(page)
        for row in range(70):
            pen.text((60, 30 + row * 36), f"line {n}.{row} of a page that is full of words", "black", _font())
        page.save(folder / f"page {n}.png")
    draw(1, (5_000, 4_600)).save(folder / "many pixels.png", compress_level=1)
    draw(2, (5_000, 4_600)).save(folder / "progressive.jpg", progressive=True, subsampling=0)
    for n in range(3, 9):
        draw(n, (4_000, 3_000)).save(folder / f"{n}.jpg")
    return folder


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(28)


@pytest.mark.parametrize("allowed", ["2G", "3G"])
def test_a_scan_stays_within_its_memory(tiny_clip: Shell, demanding: Path, ended: End, allowed: str) -> None:
    arguments = ("scan", demanding, "--profile", "tiny", "--max-memory", allowed, "--workers", "2")
    process = ended(tiny_clip.start(*arguments))
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(proportional_set_size, family(process.pid))))
        time.sleep(0.1)
    assert process.returncode == 0, process.communicate()[1].decode()
    assert parse_size("500M") < peak < parse_size(allowed)
    assert tiny_clip.rows("SELECT count(*) FROM ledger WHERE step = 'ocr' AND status = 'done'") == [(12,)]
