"""`photoindex doctor`: every check on a library, with that very damage, and the advice obeyed."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import QUICK, Shell, shell
from photoindex.doctor.library import LibraryFacts, read_library
from photoindex.doctor.library_checks import check_library
from photoindex.doctor.records import Finding
from photoindex.records import Analysed, FoundFile, Outcome
from photoindex.store.library import Library

GB = 10**9


def findings_of(run: Shell) -> list[Finding]:
    facts = read_library(run.folder)
    assert facts is not None
    return check_library(facts)


def found(run: Shell, code: str) -> Finding:
    """The one finding of this code."""
    [finding] = [each for each in findings_of(run) if each.code == code]
    return finding


def levels(findings: list[Finding]) -> dict[str, str]:
    return {each.code: each.level for each in findings}


def obey(run: Shell, finding: Finding) -> None:
    """Type what a finding advises."""
    for command in finding.commands:
        program, *words = shlex.split(command)
        if program == "mv":
            Path(words[0]).rename(words[1])
        else:
            assert program == "photoindex"
            run(*words, *QUICK, code=None)


@pytest.fixture(scope="module")
def _examined(tmp_path_factory: pytest.TempPathFactory, _drawn: Path) -> Path:
    """A folder for `photos`, with the home of a library that has them, and with what belongs there."""
    folder = tmp_path_factory.mktemp("examined")
    shutil.copytree(_drawn, folder / "photos")
    (folder / "photos" / "broken.jpg").unlink()
    with pytest.MonkeyPatch.context() as patch:
        shell(folder / "home", patch).scan(folder / "photos")
    (folder / "photos").rename(folder / "as scanned")
    return folder


@pytest.fixture
def known(_examined: Path) -> Iterator[Path]:
    """The photos of `scanned`, to be changed by this test as it likes."""
    shutil.copytree(_examined / "as scanned", _examined / "photos")
    yield _examined / "photos"
    for left in ("photos", "unplugged"):
        shutil.rmtree(_examined / left, ignore_errors=True)


@pytest.fixture
def scanned(run: Shell, known: Path, _examined: Path) -> Shell:
    """A library, of this test alone, of pictures that can all be read, filled by the steps without models."""
    shutil.copytree(_examined / "home", run.home)
    return run


@pytest.fixture
def embedded(scanned: Shell) -> Shell:
    """The same, with image vectors of a model called m for each photo."""
    with Library.writing(scanned.folder) as library:
        known = library.queries.file_rows()
        batch = [
            Analysed(
                FoundFile(row.path, os.path.dirname(row.path), row.bytes, 0, 0, number),
                row.photo,
                (Outcome("embedding", 1, "done", np.ones(4, np.float16), model="m"),),
            )
            for number, row in enumerate({row.photo_id: row for row in known}.values())
        ]
        library.save(batch)
        library.catalog.documents_done([item.photo_id for item in batch])
        library.catalog.set_setting("embedding_model", "m")
    return scanned


def test_a_sound_library_has_nothing_to_say(embedded: Shell) -> None:
    assert set(levels(findings_of(embedded)).values()) == {"ok"}


def test_a_folder_without_a_library_is_none(tmp_path: Path) -> None:
    assert read_library(tmp_path) is None


def test_rows_of_photos_that_the_catalog_does_not_know_go_with_the_next_scan(embedded: Shell, known: Path) -> None:
    with Library.writing(embedded.folder) as library:
        library.vectors.put_images("m", {1: np.ones(4, np.float16), 2: np.ones(4, np.float16)})
    finding = found(embedded, "rows_orphaned")
    assert finding.level == "warning"
    assert "2 rows of image-m" in finding.message
    obey(embedded, finding)
    assert "rows_orphaned" not in levels(findings_of(embedded))


def test_photos_done_without_a_vector_are_a_problem(embedded: Shell) -> None:
    with Library.writing(embedded.folder) as library:
        gone = library.vectors.ids("image-m")[:3].tolist()
        library.vectors._open("image-m").delete(f"id IN ({gone[0]}, {gone[1]}, {gone[2]})")
    finding = found(embedded, "rows_lacking")
    assert finding.level == "problem"
    assert finding.message.startswith("3 photos ")
    assert "--rescan embedding" in finding.commands[0]


def test_a_whole_table_that_is_gone_is_lacking_too(embedded: Shell) -> None:
    shutil.rmtree(embedded.folder / "vectors" / "image-m.lance")
    assert found(embedded, "rows_lacking").message.startswith("10 photos ")


@pytest.mark.parametrize(
    "damage",
    [
        lambda table: [path.unlink() for path in (table / "data").iterdir()],
        lambda table: [path.write_bytes(b"") for path in (table / "_versions").glob("*.manifest")],
        lambda table: shutil.rmtree(table / "_indices"),
        lambda table: shutil.rmtree(table / "_versions"),
    ],
    ids=["data files deleted", "manifests emptied by a power cut", "index deleted", "versions deleted"],
)
def test_a_table_that_cannot_be_read_is_a_problem_and_the_advice_repairs_it(
    scanned: Shell, damage: Callable[[Path], Any]
) -> None:
    damage(scanned.folder / "vectors" / "documents.lance")
    finding = found(scanned, "table_unreadable")
    assert finding.level == "problem"
    assert "documents" in finding.message
    obey(scanned, finding)
    assert set(levels(findings_of(scanned)).values()) == {"ok"}
    assert scanned("search", "paris", "--format", "json").json[0]["path"].endswith("paris.jpg")


def test_a_search_that_would_look_at_vectors_that_are_not_there(embedded: Shell) -> None:
    with Library.writing(embedded.folder) as library:
        library.catalog.set_setting("embedding_model", "another")
    finding = found(embedded, "searched_vectors_missing")
    assert finding.level == "problem"
    assert "another" in finding.message


def test_missing_thumbnails_are_counted_and_the_advice_makes_them(scanned: Shell) -> None:
    thumbnails = sorted((scanned.folder / "cache").rglob("*.jpg"))
    for path in thumbnails[:4]:
        path.unlink()
    finding = found(scanned, "thumbnails_missing")
    assert finding.level == "warning"
    assert finding.message.startswith("4 of 10 ")
    obey(scanned, finding)
    assert found(scanned, "thumbnails").level == "ok"


def test_a_root_that_cannot_be_reached_costs_a_warning_but_no_files(scanned: Shell, known: Path) -> None:
    known.rename(known.with_name("unplugged"))
    finding = found(scanned, "root_unreachable")
    assert finding.level == "warning"
    assert "11 files" in finding.message
    assert "files_gone" not in levels(findings_of(scanned))


def test_a_root_that_is_empty_now(scanned: Shell, known: Path) -> None:
    shutil.rmtree(known)
    known.mkdir()
    assert "--accept-missing" in found(scanned, "root_empty").commands[0]


def test_files_that_are_gone_are_noticed_before_the_next_scan(scanned: Shell, known: Path) -> None:
    (known / "plain.bmp").unlink()
    finding = found(scanned, "files_gone")
    assert "1 of 11" in finding.message
    assert "plain.bmp" in finding.message
    obey(scanned, finding)
    assert "1 were gone" in found(scanned, "files").message


def test_a_catalog_of_a_newer_program_is_a_problem(scanned: Shell) -> None:
    with Library.writing(scanned.folder) as library, library.catalog.file.write() as con:
        con.execute("INSERT INTO schema_migrations VALUES (999, now()::TIMESTAMP)")
    finding = found(scanned, "library_too_new")
    assert finding.level == "problem"
    assert "Upgrade photoindex" in finding.advice
    ran = scanned("doctor", "--quick", "--json", code=1)
    assert ran.json["level"] == "problem"


def test_the_catalog_is_told_with_its_schema_which_opening_it_brings_up_to_date() -> None:
    [finding] = [
        each for each in check_library(LibraryFacts("/x", schema=1, known_schema=3)) if "schema" in each.message
    ]
    assert (finding.code, finding.level) == ("catalog", "ok")


def test_a_catalog_that_is_no_catalog_is_a_problem_and_the_advice_starts_afresh(scanned: Shell, known: Path) -> None:
    (scanned.folder / "catalog.duckdb").write_bytes(b"not a database" * 1000)
    finding = found(scanned, "catalog_unreadable")
    assert finding.level == "problem"
    assert finding.commands[0].startswith("mv ")
    scanned("doctor", "--quick", code=1)


def test_a_scan_that_was_killed_is_told_from_one_that_runs(scanned: Shell) -> None:
    with Library.writing(scanned.folder) as library, library.catalog.file.write() as con:
        con.execute("UPDATE runs SET outcome = NULL")
    (scanned.folder / "writer.json").write_text(json.dumps({"pid": 2**22 + 1, "since": 0}))
    assert found(scanned, "scan_killed").level == "warning"
    (scanned.folder / "writer.json").write_text(json.dumps({"pid": os.getppid(), "since": 0}))
    assert found(scanned, "scan_running").level == "ok"


def test_a_scan_that_ended_by_an_error_is_a_warning(scanned: Shell) -> None:
    with Library.writing(scanned.folder) as library, library.catalog.file.write() as con:
        con.execute("UPDATE runs SET outcome = 'failed'")
    assert found(scanned, "scan_failed").level == "warning"


def test_documents_that_are_not_written_yet(scanned: Shell) -> None:
    with Library.writing(scanned.folder) as library, library.catalog.file.write() as con:
        con.execute("INSERT INTO documents_due SELECT photo_id FROM photos LIMIT 2")
    finding = found(scanned, "documents_due")
    assert "2 photos" in finding.message
    obey(scanned, finding)
    assert "documents_due" not in levels(findings_of(scanned))


def test_photos_that_failed_are_counted_by_reason(run: Shell, photos: Path) -> None:
    (photos / "notes.jpg").write_text("not a picture at all")
    run.scan(photos, code=1)
    finding = found(run, "failures")
    assert finding.level == "warning"
    assert "1 not_a_picture (decode)" in finding.message
    assert finding.commands == ("photoindex failures",)


def test_the_commands_name_the_library_that_is_meant(run: Shell, photos: Path) -> None:
    run("scan", photos, *QUICK, "--library", "holidays 2", "--format", "json", code=1)
    ran = run("doctor", "--quick", "--json", "--library", "holidays 2")
    commands = [command for each in ran.json["findings"] if each["area"] == "library" for command in each["commands"]]
    assert commands == ["photoindex failures --library 'holidays 2'"]


def test_doctor_writes_nothing_to_the_library(embedded: Shell) -> None:
    def state() -> dict[str, Any]:
        return {
            str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sorted(embedded.folder.rglob("*"))
            if path.is_file()
        }

    before = state()
    embedded("doctor", "--quick")
    assert state() == before
