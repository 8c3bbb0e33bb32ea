"""Of several files of the same bytes the sidecars of all count, whichever was read first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import Shell, draw
from photoindex.pure.keep import choose_name
from photoindex.records import PhotoRow
from photoindex.store.migrations import SCHEMA

SIDECARS_OF_COPIES = 10  # the migration


def write_xmp(path: Path, rating: int, title: str, at: int) -> None:
    """A sidecar that was changed `at` seconds after the others' time."""
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    path.write_text(
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}"><rdf:Description'
        f' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="{rating}">'
        f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """a.jpg and b.jpg, of the same bytes; another picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    draw(1).save(folder / "a.jpg")
    shutil.copyfile(folder / "a.jpg", folder / "b.jpg")
    draw(2).save(folder / "other.jpg")
    return folder


def said(run: Shell, photo: Path) -> tuple[Any, Any]:
    metadata = run("show", photo, "--format", "json").json["metadata"]
    return metadata["rating"], metadata["title"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_sidecar_of_any_copy_is_read_by_one_scan(run: Shell, copies: Path, workers: str) -> None:
    write_xmp(copies / "b.jpg.xmp", 4, "harbour", 0)
    run.scan(copies, "--workers", workers)
    assert said(run, copies / "a.jpg") == (4, "harbour")
    assert run.scan(copies)["due"] == 0
    assert run("search", "harbour", "--mode", "keyword", "--format", "json").json


def test_the_sidecar_that_was_changed_last_wins(run: Shell, copies: Path) -> None:
    run.scan(copies)
    write_xmp(copies / "a.jpg.xmp", 1, "first", 1)
    run.scan(copies)
    assert said(run, copies / "b.jpg") == (1, "first")
    (copies / "later").mkdir()
    shutil.copyfile(copies / "a.jpg", copies / "later" / "c.jpg")
    write_xmp(copies / "later" / "c.xmp", 3, "third", 3)
    assert run.scan(copies)["steps"]["metadata"] == {"done": 1}
    assert said(run, copies / "a.jpg") == (3, "third")
    write_xmp(copies / "b.jpg.xmp", 2, "second", 2)
    run.scan(copies)
    assert said(run, copies / "a.jpg") == (3, "third")
    write_xmp(copies / "a.jpg.xmp", 5, "fourth", 4)
    run.scan(copies)
    assert said(run, copies / "a.jpg") == (5, "fourth")
    (copies / "a.jpg.xmp").unlink()
    run.scan(copies)
    assert said(run, copies / "a.jpg") == (3, "third")
    assert run.scan(copies)["due"] == 0


@pytest.fixture
def disk(run: Shell, copies: Path, tmp_path: Path) -> Path:
    """Another folder that was scanned, with a copy of a.jpg that has a sidecar."""
    (tmp_path / "disk").mkdir()
    shutil.copyfile(copies / "a.jpg", tmp_path / "disk" / "c.jpg")
    write_xmp(tmp_path / "disk" / "c.jpg.xmp", 3, "on the disk", 9)
    run.scan(copies, tmp_path / "disk")
    return tmp_path / "disk"


def test_a_copy_in_another_folder_that_cannot_be_reached_does_not_hold_a_scan_up(
    run: Shell, copies: Path, disk: Path, tmp_path: Path
) -> None:
    assert said(run, copies / "a.jpg") == (3, "on the disk")
    write_xmp(copies / "a.jpg.xmp", 1, "here", 1)
    run.scan(copies)
    assert said(run, copies / "a.jpg") == (3, "on the disk")
    disk.rename(tmp_path / "away")
    write_xmp(copies / "a.jpg.xmp", 2, "still here", 10)
    run.scan(copies, "--rescan", "thumbnail")
    assert said(run, copies / "a.jpg") == (3, "on the disk")  # what is due may need the disk, and waits for it
    (tmp_path / "away").rename(disk)
    write_xmp(disk / "c.jpg.xmp", 5, "written elsewhere", 11)
    assert run.scan(copies, disk)["steps"]["metadata"] == {"done": 1}
    assert said(run, copies / "a.jpg") == (5, "written elsewhere")
    assert run.scan(copies)["due"] == 0


def test_what_a_sidecar_in_a_folder_that_is_away_says_is_read_once_it_is_back(
    run: Shell, copies: Path, disk: Path, tmp_path: Path
) -> None:
    disk.rename(tmp_path / "away")
    run.scan(copies, "--rescan", "metadata")
    (tmp_path / "away").rename(disk)
    run.scan(copies, disk)
    assert said(run, copies / "a.jpg") == (3, "on the disk")
    assert run("search", "disk", "--mode", "keyword", "--format", "json").json


def test_a_library_of_before_reads_the_sidecars_of_copies_once(run: Shell, copies: Path) -> None:
    write_xmp(copies / "b.jpg.xmp", 4, "harbour", 0)
    run.scan(copies)
    with duckdb.connect(run.folder / "catalog.duckdb") as con:
        con.execute("DELETE FROM schema_migrations WHERE version >= ?", [SIDECARS_OF_COPIES])
        con.execute("UPDATE metadata SET rating = NULL, title = NULL")
    report = run.scan(copies)
    assert (report["due"], report["steps"]["metadata"]) == (1, {"done": 1})
    assert said(run, copies / "a.jpg") == (4, "harbour")
    assert run.scan(copies)["due"] == 0
    assert SCHEMA >= SIDECARS_OF_COPIES


def test_the_copy_with_a_sidecar_stays_and_a_plan_tells_what_travels(run: Shell, copies: Path) -> None:
    write_xmp(copies / "b.jpg.xmp", 4, "harbour", 0)
    run.scan(copies)
    ran = run("dupes", "plan")
    (group,) = ran.json["groups"]
    assert (group["reason"], Path(group["keep"][0]["path"]).name) == ("a sidecar lies beside it", "b.jpg")
    assert "travel" not in ran.err
    ran = run("dupes", "plan", "--prefer", copies / "a.jpg")
    (group,) = ran.json["groups"]
    assert group["go"][0]["along"] == [str(copies / "b.jpg.xmp")]
    assert "1 sidecar travels along (b.jpg.xmp), unless it is applied with --along none." in ran.err
    for output in ("json", "csv"):
        plan = copies.parent / "plan"
        plan.write_bytes(run("dupes", "plan", "--prefer", copies / "a.jpg", "--format", output).out)
        assert "1 file of 1 group may go" in run("dupes", "plan", "--check", plan).err
        assert run("dupes", "apply", plan, "--dry-run").text.split() == [
            f"{copies / 'b.jpg'}{end}" for end in ("", ".xmp")
        ]
        before = plan.read_text().replace(",along", "").replace(f',"[""{copies / "b.jpg.xmp"}""]"', "")
        plan.write_text(before)  # as it was written before
        assert "1 file would go" in run("dupes", "apply", plan, "--dry-run").err


def test_names_decide_where_both_or_none_have_a_sidecar() -> None:
    rows = [PhotoRow("", 0, path, 1, 8, 6, "JPEG", None, None) for path in ("/p/a (1).jpg", "/p/a.jpg")]
    beside = [PhotoRow("", 0, row.path, 1, 8, 6, "JPEG", None, None, sidecars=1) for row in rows]
    assert choose_name(rows)[0] == choose_name(beside)[0] == "/p/a.jpg"
    assert choose_name([beside[0], rows[1]]) == ("/p/a (1).jpg", "a sidecar lies beside it")
