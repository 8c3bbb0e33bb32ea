"""What people and scripts get: the formats, and a table that keeps its lines whole."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from conftest import Shell, draw, shell
from photoindex.records import DateCandidate, Metadata
from photoindex.render import photo_facts
from photoindex.render.hits import PhotoCell, shorten
from terminal import on_terminal, plain

ODD = b"bad\xff\x1b[31mred\nline.jpg"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, _drawn: Path) -> Iterator[Shell]:
    """A library of the drawn pictures and one with an odd name."""
    folder = tmp_path_factory.mktemp("odd")
    shutil.copytree(_drawn, folder / "photos")
    with open(os.fsencode(folder / "photos") + b"/" + ODD, "wb") as file:
        draw(20).save(file, "JPEG")
    with pytest.MonkeyPatch.context() as patch:
        run = shell(folder / "home", patch)
        run.scan(folder / "photos", code=1)
        yield run


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_of_the_table_is_broken_and_nothing_reaches_the_terminal_raw(filled: Shell, columns: int) -> None:
    written = on_terminal(filled, "search", "jpg", "--mode", "keyword", columns=columns)
    assert "\x1b[31m" not in written
    lines = plain(written).splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert [line for line in lines if re.match(r" *\d+ +100% ", line)] == lines[2:]  # a line for each photo
    assert any(r"bad\xff\x1b[31mred\nline.jpg" in line for line in lines)
    assert ("Kamera K-1" in written) is (columns == 120)


def test_a_date_that_only_the_file_system_gives_is_marked(filled: Shell) -> None:
    rows = filled("search", "name:beach").text.splitlines()
    assert all("~2" in row for row in rows[1:])
    assert "~" not in filled("search", "name:paris").text
    hits = filled("search", "name:beach OR name:paris", "--format", "json").json
    sources = {Path(hit["path"]).name: hit["taken_source"] for hit in hits}
    assert sources["paris.jpg"] == "exif_original"
    assert sources["beach.webp"] == "file_time"


@pytest.mark.parametrize("output", ["csv", "paths", "ndjson"])
def test_an_odd_name_is_escaped_on_a_terminal_in_every_format(filled: Shell, output: str) -> None:
    written = on_terminal(filled, "search", "name:bad*", "--format", output)
    assert "\x1b" not in written
    assert len(written.splitlines()) == (2 if output == "csv" else 1)


def test_every_format_has_the_same_photos(filled: Shell) -> None:
    def asked(*options: str) -> bytes:
        return filled("search", "format:jpeg", "--limit", "0", *options).out

    hits = json.loads(asked("--format", "json"))
    assert [json.loads(line) for line in asked("--format", "ndjson").splitlines()] == hits
    paths = [os.fsencode(hit["path"]) for hit in hits]
    assert asked("-0") == b"".join(path + b"\0" for path in paths)
    assert asked("--format", "paths") == b"".join(path + b"\n" for path in paths)
    assert ODD in asked("-0")
    rows = list(csv.DictReader(io.StringIO(asked("--format", "csv").decode(), newline="")))
    assert set(rows[0]) == set(hits[0])
    assert [row["photo"] for row in rows] == [hit["photo"] for hit in hits]
    assert asked("--ids").decode().split() == [hit["photo"] for hit in hits]
    assert asked("--ids", "-0").decode() == "".join(hit["photo"] + "\0" for hit in hits)
    assert asked("--count") == f"{len(hits)}\n".encode()


def test_count_looks_beyond_the_limit(filled: Shell) -> None:
    everything = len(filled("search", "has:date", "--limit", "0", "--format", "json").json)
    assert filled("search", "has:date", "--limit", "1", "--count").text == f"{everything}\n"
    assert filled("search", "name:nothing_like_it", "--count").text == "0\n"


def test_failures_can_be_counted(filled: Shell) -> None:
    found = filled("failures", "--format", "json").json
    assert filled("failures", "--count").text == f"{len(found)}\n" == "1\n"
    assert filled("failures", "--ids").text == f"{found[0]['photo']}\n"


@pytest.mark.parametrize("options", [["--count", "--ids"], ["--count", "--format", "json"], ["--count", "-0"]])
def test_two_forms_at_once_are_refused(filled: Shell, options: list[str]) -> None:
    assert "choose one" in filled("search", "jpg", *options, code=2).err


def test_models_are_listed_as_rows(run: Shell) -> None:
    objects = run("models", "list", "--format", "json").json
    assert [json.loads(line) for line in run("models", "list", "--format", "ndjson").out.splitlines()] == objects
    rows = list(csv.DictReader(io.StringIO(run("models", "list", "--format", "csv").text)))
    assert [row["name"] for row in rows] == [model["name"] for model in objects]
    assert list(rows[0]) == list(objects[0])


@pytest.mark.parametrize("command", [["search", "format:jpeg"], ["models", "list"], ["failures"], ["status"]])
def test_a_table_that_is_piped_has_no_blanks_at_the_ends_of_its_lines(filled: Shell, command: list[str]) -> None:
    lines = filled(*command).text.splitlines()
    assert len(lines) > 1
    assert [line for line in lines if line != line.rstrip()] == []


def test_a_table_for_other_programs_is_aligned_whole_and_needs_no_rich() -> None:
    script = """
import sys
from photoindex.render.output import print_table
print_table(["n", "name", "why"], [["7", "東京.jpg", "one\\nother"], ["1,234", "\\x1b[31m", ""]], right=("n",))
print_table(["", ""], [["a", "x" * 5000], ["long", ""]])
print("rich" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "    n  name      why",
        "    7  東京.jpg  one",
        "                 other",
        "1,234  \\x1b[31m",
        "a     " + "x" * 5000,
        "long",
        "False",
    ]


def test_shorten_leaves_out_the_middle() -> None:
    assert shorten("photos/2023/trip", 20) == "photos/2023/trip"
    assert shorten("/photos/2023/holidays/trip", 11) == "/phot…/trip"
    assert cell_len(shorten("写真" * 20, 15)) <= 15
    assert shorten("abc", 1) == "…"


def test_a_cell_shows_the_line_that_was_met_and_fits() -> None:
    out = io.StringIO()
    cell = PhotoCell(
        "receipt.jpg", "holidays/italy/rome/second week", "(missing)", "TOTAL 12.80 EUR and more", ("why so",)
    )
    Console(file=out, width=24, color_system=None).print(cell)
    lines = out.getvalue().splitlines()
    assert [line.strip() for line in lines[:1]] == ["receipt.jpg (missing)"]
    assert max(map(cell_len, lines)) <= 24
    assert lines[1].startswith("holidays/it")
    assert lines[1].rstrip().endswith("second week")
    assert lines[2].startswith("“TOTAL 12.8")
    assert lines[3].strip() == "why so"


def test_show_writes_exposure_and_dates_as_photographers_do() -> None:
    taken = datetime(2023, 5, 1, 14, 30)
    said = Metadata(
        **{"format": "JPEG", "width": 4000, "height": 3000, "taken_at": taken, "offset_minutes": -210},
        **{"taken_source": "exif_original", "exposure_s": 0.004, "f_number": 2.8, "iso": 200, "focal_mm": 35.0},
        **{"camera_make": "NIKON CORPORATION", "camera_model": "NIKON D90", "rating": -1},
        dates=(DateCandidate("exif_original", taken, -210), DateCandidate("file_time", taken)),
    )
    facts = photo_facts.metadata_facts(said)
    assert dict(facts) == {
        "format": "JPEG",
        "picture": "4,000 x 3,000 pixels (12.0 megapixels)",
        "taken": "2023-05-01 14:30:00 -03:30  (from EXIF original)",
        "camera": "NIKON D90",
        "exposure": "1/250 s, f/2.8, ISO 200, 35 mm",
        "rating": "rejected",
        "date found": "2023-05-01 14:30:00  (from the time of the file)",
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(1 / 8000, "1/8000 s"), (0.3, "0.3 s"), (1.6, "1.6 s"), (30.0, "30 s"), (0.0, "0 s")]
)
def test_shutter(seconds: float, text: str) -> None:
    assert photo_facts.shutter(seconds) == text


def test_show_prints_raw_values_as_json(filled: Shell) -> None:
    paris = filled("search", "name:paris", "--ids").text.strip()
    found = filled("show", paris, "--format", "json").json
    assert found["metadata"]["taken_at"] == "2023-07-14T09:00:00"
    assert "2023-07-14 09:00:00  (from EXIF original)" in filled("show", paris).text
