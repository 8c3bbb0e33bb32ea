"""Photos by chance, and out of the library: tables and folders, where nothing is moved, overwritten or put among the
scanned photos."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from conftest import QUICK, Shell, draw
from photoindex import exporting
from photoindex.errors import UsageError
from photoindex.exporting import export_folder, new_file


def paths(run: Shell, *arguments: str) -> list[str]:
    return [hit["path"] for hit in run("random", *arguments, "--format", "json").json]


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below a folder, with what would tell that it was touched."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_nlink, path.read_bytes()) for path in found}


@pytest.fixture
def untouched(pictures: Path) -> Iterator[None]:
    before = tree(pictures)
    yield
    assert tree(pictures) == before


# --- random ----------------------------------------------------------------------------------------------------------


def test_a_seed_draws_the_same_photos_again_and_others_draw_others(scanned: Shell) -> None:
    drawn = [tuple(paths(scanned, "-n", "3", "--seed", str(seed))) for seed in range(12)]
    assert drawn[0] == tuple(paths(scanned, "-n", "3", "--seed", "0"))
    assert all(len(set(some)) == 3 for some in drawn)
    assert len(set(drawn)) > 6
    assert len({path for some in drawn for path in some}) > 8
    assert len(paths(scanned)) == 1


def test_only_photos_of_the_query_are_drawn_and_none_that_is_missing(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    (photos / "beach.webp").unlink()
    run.scan(photos)
    assert {Path(path).name for path in paths(run, "beach", "-n", "9")} == {"beach small.gif"}
    assert {Path(path).name for path in paths(run, "-beach", "camera:kamera", "-n", "9")} == {
        *("img_0.jpg", "img_1.jpg", "img_2.jpg", "img_3.jpg", "paris.jpg")
    }
    assert "Nothing found." in run("random", "name:beach.webp").err
    assert run("random", "name:paris", "-0").out == os.fsencode(photos / "2023" / "trip" / "paris.jpg") + b"\0"
    assert "with --limit" in run("random", "a + b", code=2).err


def test_what_is_drawn_can_be_named_and_shown_as_a_page(scanned: Shell, tmp_path: Path) -> None:
    (photo,) = scanned("random", "name:paris", "--format", "json").json
    assert scanned("random", "name:paris", "--ids").text == photo["photo"] + "\n"
    scanned("random", "format:jpeg -name:broken", "-n", "2", "--sheet", tmp_path / "drawn.html")
    assert (tmp_path / "drawn.html").read_text().count("<img") == 2


# --- tables ----------------------------------------------------------------------------------------------------------


def test_tables_hold_the_same_in_every_format(scanned: Shell, pictures: Path, tmp_path: Path) -> None:
    query = ("camera:kamera", "-name:img_0")
    rows = scanned("export", *query, "--to", "json").json
    assert [Path(row["path"]).name for row in rows] == ["paris.jpg", "img_3.jpg", "img_2.jpg", "img_1.jpg"]
    assert {**rows[0], "photo": "", "added_at": ""} == {
        **dict.fromkeys(rows[0]),
        **{"photo": "", "path": str(pictures / "2023/trip/paris.jpg"), "missing": False, "format": "JPEG"},
        **{"bytes": (pictures / "2023/trip/paris.jpg").stat().st_size, "width": 320, "height": 240, "orientation": 1},
        **{"taken_at": "2023-07-14T09:00:00", "camera": "Kamera K-1", "camera_make": "Kamera", "camera_model": "K-1"},
        **{"latitude": pytest.approx(48.8584, abs=1e-4), "longitude": pytest.approx(2.2945, abs=1e-4)},
        **{name: rows[0][name] for name in ("city", "metropolis", "region")},
        **{"country": "France", "country_code": "FR", "keywords": [], "added_at": ""},
    }
    out = tmp_path / "out.csv"
    assert f"4 photos written to {out}" in scanned("export", *query, "--to", "csv", "-o", out).err
    table = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["path"] for row in table] == [row["path"] for row in rows]
    assert list(table[0]) == list(rows[0])
    scanned("export", *query, "--to", "json", "--output", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == rows
    scanned("export", *query, "--to", "parquet", "--output", tmp_path / "out.parquet")
    columns = parquet.read_table(tmp_path / "out.parquet")
    assert columns["path"].to_pylist() == [row["path"] for row in rows]
    assert columns["path_bytes"].to_pylist() == [os.fsencode(row["path"]) for row in rows]
    assert columns["taken_at"].to_pylist()[0].isoformat() == "2023-07-14T09:00:00"
    limited = scanned("export", "beach", "--to", "csv", "--limit", "1").text
    assert len(list(csv.reader(io.StringIO(limited)))) == 2


def test_a_name_that_is_no_utf8_survives(run: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    odd = folder / os.fsdecode(b"caf\xe9.png")
    draw(3).save(odd)
    run("scan", folder, *QUICK)
    assert [row["path"] for row in run("export", "--to", "json").json] == [str(odd)]
    run("export", "--to", "parquet", "-o", tmp_path / "x.parquet")
    run("export", "--to", "csv", "-o", tmp_path / "x.csv")
    assert parquet.read_table(tmp_path / "x.parquet")["path_bytes"].to_pylist() == [os.fsencode(odd)]
    run("export", "--to", "folder", "-o", tmp_path / "copies")
    assert os.listdir(os.fsencode(tmp_path / "copies")) == [b"caf\xe9.png"]


def test_a_file_that_exists_is_not_written_and_a_broken_one_is_taken_away(scanned: Shell, tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")
    assert "nothing is overwritten" in scanned("export", "--to", "csv", "-o", there, code=2).err
    assert there.read_text() == "mine"
    assert "Cannot write" in scanned("export", "--to", "json", "-o", tmp_path / "no" / "x.json", code=2).err
    with pytest.raises(ZeroDivisionError), new_file(scanned.open(), tmp_path / "half", False) as file:
        file.write(bytes(1 // 0))
    assert not (tmp_path / "half").exists()


# --- folders ---------------------------------------------------------------------------------------------------------


def done(run: Shell, *arguments: str | os.PathLike[str], code: int = 0) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run("export", "--to", "folder", "--format", "json", *arguments, code=code).json
    return rows


@pytest.mark.usefixtures("untouched")
def test_files_are_copied_once_with_their_times(scanned: Shell, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    ran = scanned("export", "beach", "--to", "folder", "-o", out)
    assert "2 copied" in ran.err
    copies = {path.name: path for path in out.iterdir()}
    assert set(copies) == {"beach.webp", "beach small.gif"}
    for name, copy in copies.items():
        assert copy.read_bytes() == (pictures / name).read_bytes()
        assert copy.stat().st_mtime_ns == (pictures / name).stat().st_mtime_ns
        assert not copy.is_symlink()
    assert {row["action"] for row in done(scanned, "beach", "-o", out)} == {"there"}
    assert len(list(out.iterdir())) == 2


def test_names_that_are_taken_get_a_number_and_nothing_is_overwritten(run: Shell, tmp_path: Path) -> None:
    for number, folder in enumerate(("a", "b", "c")):
        (tmp_path / "in" / folder).mkdir(parents=True)
        draw(number).save(tmp_path / "in" / folder / "x.tar.png")
    run("scan", tmp_path / "in", *QUICK)
    out = tmp_path / "out"
    out.mkdir()
    (out / "x.tar.png").write_text("mine")
    planned = done(run, "-o", out, "--dry-run")
    assert {row["action"] for row in planned} == {"copy"}
    rows = done(run, "-o", out)
    assert [row["to"] for row in planned] == [row["to"] for row in rows]
    assert {path.name for path in out.iterdir()} == {"x.tar.png", *(f"x.tar ({n}).png" for n in (2, 3, 4))}
    assert (out / "x.tar.png").read_text() == "mine"
    assert {Path(row["path"]).read_bytes() for row in rows} == {Path(row["to"]).read_bytes() for row in rows}
    assert {row["action"] for row in done(run, "-o", out)} == {"there"}


@pytest.mark.parametrize("kind", ["hard", "sym"])
def test_links(run: Shell, photos: Path, tmp_path: Path, kind: str) -> None:
    run.scan(photos, code=1)
    out = tmp_path / "out"
    assert done(run, "name:paris", "-o", out, "--link", kind, "--dry-run")[0]["action"] == "link"
    assert not out.exists()
    assert done(run, "name:paris", "-o", out, "--link", kind)[0]["action"] == "linked"
    source, made = photos / "2023" / "trip" / "paris.jpg", out / "paris.jpg"
    assert made.samefile(source)
    assert made.is_symlink() == (kind == "sym")
    assert done(run, "name:paris", "-o", out, "--link", kind)[0]["action"] == "there"


def test_what_is_gone_or_changed_since_the_scan_is_told_and_the_rest_copied(
    run: Shell, photos: Path, tmp_path: Path
) -> None:
    run.scan(photos, code=1)
    (photos / "plain.bmp").write_bytes((photos / "plain.bmp").read_bytes()[:-1] + b"x")
    (photos / "beach.webp").unlink()
    out = tmp_path / "out"
    rows = done(run, "name:plain OR name:beach", "-o", out, code=1)
    problems = {Path(row["path"]).name: row["problem"] for row in rows}
    assert "not what it was at the last scan" in problems["plain.bmp"]
    assert problems["beach.webp"] == "No such file or directory"
    assert [path.name for path in out.iterdir()] == ["beach small.gif"]
    run.scan(photos)
    assert "was not there" in done(run, "name:beach.webp", "-o", out, code=1)[0]["problem"]
    assert "not there" in done(run, "name:beach.webp", "-o", out, "--link", "sym", code=1)[0]["problem"]


def test_nothing_is_written_below_a_scanned_folder_unless_asked(run: Shell, photos: Path, tmp_path: Path) -> None:
    run.scan(photos, code=1)
    (tmp_path / "alias").symlink_to(photos)
    before = tree(photos)
    for target in (photos / "out", tmp_path / "alias" / "out", photos):
        assert "--inside-root" in run("export", "beach", "--to", "folder", "-o", target, code=2).err
    assert "--inside-root" in run("export", "--to", "csv", "-o", photos / "x.csv", code=2).err
    assert tree(photos) == before
    assert done(run, "beach", "-o", photos / "out", "--inside-root")[0]["action"] == "copied"


def test_a_name_taken_at_the_last_moment_is_left_alone(
    scanned: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pour = exporting._pour

    def meanwhile(source: Any, target: Any) -> str:
        (tmp_path / "out" / "paris.jpg").write_text("theirs")
        return pour(source, target)

    monkeypatch.setattr(exporting, "_pour", meanwhile)
    row = next(iter(done(scanned, "name:paris", "-o", tmp_path / "out")))
    assert row["to"] == str(tmp_path / "out" / "paris (2).jpg")
    assert (tmp_path / "out" / "paris.jpg").read_text() == "theirs"
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--to", "folder"), "--output PATH"),
        (("--to", "parquet"), "--output PATH"),
        (("--to", "csv", "--link", "hard"), "go with --to folder"),
        (("a + b", "--to", "csv"), "with --limit"),
        (("in:nowhere", "--to", "csv"), "no collections"),
    ],
)
def test_wrong_use(scanned: Shell, arguments: tuple[str, ...], says: str) -> None:
    assert says in scanned("export", *arguments, code=2).err


def test_a_file_is_no_folder(scanned: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        export_folder(scanned.open(), [], tmp_path / "file")
    with pytest.raises(UsageError, match="Cannot make"):
        export_folder(scanned.open(), [], tmp_path / "file" / "below")
