"""Backups: one file that holds all of a library, or the user's words alone, and bringing either back."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

import kept_library as kept
from conftest import Shell
from photoindex.dupes.decisions import id_of
from photoindex.errors import BackupInvalid, BackupNotWritten, BackupTooNew, LibraryBusy, LibraryNotWritable, UsageError
from photoindex.keeping import backup, backup_words, check, restore, restore_words
from photoindex.keeping.words import parse_words, read_words, words_object
from photoindex.models.registry import load_registry
from photoindex.records import Decision, PhotoCollection
from photoindex.saved import create
from photoindex.store.library import Library
from photoindex.store.migrations import SCHEMA


def whole(folder: Path) -> set[str]:
    """What a check has against a library, but for weights."""
    found = check(folder, load_registry(), folder / "no models")
    return {finding.code for finding in found if finding.level != "ok" and finding.code != "models_unknown"}


# --- a library -------------------------------------------------------------------------------------------------------


def test_a_restored_library_is_the_one_that_was_backed_up(packed: Path, tmp_path: Path) -> None:
    done = restore(tmp_path / "new", packed / "backup.zip")
    assert (done.kind, done.set_aside, done.repaired) == ("library", None, ())
    assert done.counts["photos"] == kept.PHOTOS
    assert kept.state(Library.open(tmp_path / "new")) == kept.state(Library.open(packed / "library"))
    assert whole(tmp_path / "new") == set()
    # The next run does not take the number of one that was.
    with Library.writing(tmp_path / "new") as library:
        assert library.runs.start("0", ["/photos"], "tiny", {})[0] == 2
        assert library.vectors.holding([["title3"]], 5, every=True) != []


def test_a_backup_is_readable_without_photoindex(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed / "backup.zip") as archive:
        archive.extractall(tmp_path / "out")
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    out = tmp_path / "out"
    with duckdb.connect(out / "catalog.duckdb", read_only=True) as con:
        assert con.execute("SELECT count(*) FROM photos").fetchall() == [(kept.PHOTOS,)]
        vectors = str(out / "vectors" / "image-m.parquet")
        assert con.execute(f"SELECT count(*) FROM '{vectors}'").fetchall() == [(kept.PHOTOS,)]
    assert json.loads((out / "user-data.json").read_text())["settings"]["profile"] == "tiny"
    with tarfile.open(out / "thumbnails" / f"{kept.sha(0)[:2]}.tar") as tar:
        member = tar.extractfile(f"{kept.sha(0)}.jpg")
        assert member is not None
        assert member.read() == kept.thumbnail(0)


def test_a_backup_while_a_scan_saves_holds_whole_batches(packed: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def save_on_and_on() -> None:
        with Library.writing(packed / "library") as library:
            for n in range(100, 1000, 3):
                if stop.is_set():
                    return
                library.save([kept.record(k) for k in (n, n + 1, n + 2)])

    scan = threading.Thread(target=save_on_and_on)
    scan.start()
    try:
        for n in range(2):
            backup(Library.open(packed / "library"), tmp_path / f"{n}.zip")
    finally:
        stop.set()
        scan.join()
    for n in range(2):
        done = restore(tmp_path / f"{n}", tmp_path / f"{n}.zip")
        assert {one.code for one in done.repaired} <= {"orphans_removed", "documents_written"}
        assert done.counts["photos"] % 3 == 0
        assert whole(tmp_path / f"{n}") == set()


def test_a_library_that_is_there_is_refused_and_with_force_set_aside(packed: Path) -> None:
    folder, before = packed / "library", kept.state(Library.open(packed / "library"))
    (folder / "journal").mkdir()
    (folder / "journal" / "20260101-000000.jsonl").write_text("{}\n")
    with Library.writing(folder) as library:
        kept.fill(library, 50, 53)
    changed = kept.state(Library.open(folder))
    with pytest.raises(UsageError, match="--force sets it aside"):
        restore(folder, packed / "backup.zip")
    assert kept.state(Library.open(folder)) == changed
    done = restore(folder, packed / "backup.zip", force=True)
    assert kept.state(Library.open(folder)) == before
    assert done.set_aside is not None
    assert re.fullmatch(r"\d{8}-\d{6}", Path(done.set_aside).name)
    assert kept.state(Library.open(Path(done.set_aside))) == changed
    assert (folder / "journal" / "20260101-000000.jsonl").exists()  # it is about files on disk, not about the library
    with Library.writing(folder), pytest.raises(LibraryBusy):
        restore(folder, packed / "backup.zip", force=True)


def test_a_damaged_library_is_replaced_like_any_other(packed: Path) -> None:
    (packed / "library" / "catalog.duckdb").write_bytes(b"no database" * 5000)
    restore(packed / "library", packed / "backup.zip", force=True)
    assert whole(packed / "library") == set()


def test_without_thumbnails_the_next_scan_makes_them(packed: Path, tmp_path: Path) -> None:
    backup(Library.open(packed / "library"), tmp_path / "small.zip", thumbnails=False)
    done = restore(tmp_path / "new", tmp_path / "small.zip")
    assert [one.count for one in done.repaired if one.code == "made_due"] == [kept.PHOTOS]
    assert whole(tmp_path / "new") == set()
    assert "thumbnail" not in Library.open(tmp_path / "new").queries.status().steps


def test_nothing_is_overwritten_unless_asked_and_a_failed_backup_leaves_nothing(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, target = Library.open(packed / "library"), packed / "backup.zip"
    before = target.read_bytes()
    for make in (lambda: backup(library, target), lambda: backup_words(library, target)):
        with pytest.raises(UsageError, match="is there already"):
            make()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["photoindex.keeping.backup"], "_pour", full)
        with pytest.raises(BackupNotWritten, match=r"No space left.*The library is as it was"):
            backup(library, target, force=True)
    assert target.read_bytes() == before
    assert sorted(path.name for path in packed.iterdir()) == ["backup.zip", "library"]
    backup(library, target, force=True)
    with pytest.raises(UsageError, match="There is no folder"):
        backup(library, packed / "nowhere" / "b.zip")
    with pytest.raises(UsageError, match="is a folder"):
        backup(library, packed, force=True)


# --- what is no sound backup -----------------------------------------------------------------------------------------


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A backup with other members, whose checksums are right."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    del members["SHA256SUMS"]
    members["manifest"] = json.dumps(manifest).encode()
    change(members)
    manifest = json.loads(members.pop("manifest"))
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items()).encode()
    manifest["checksums_sha256"] = hashlib.sha256(sums).hexdigest()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in {**members, "SHA256SUMS": sums, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    return target


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.duckdb", "/etc/evil", "vectors/../../evil.parquet", "vectors/.hidden.parquet"),
        *("vectors\\evil.npz", "thumbnails/zz.tar", "vectors/new/x.parquet", "C:evil.npz", "journal/x.jsonl"),
    ],
)
def test_names_that_no_backup_has_are_refused(packed: Path, tmp_path: Path, name: str) -> None:
    bad = rewritten(packed / "backup.zip", tmp_path / "bad.zip", lambda members: members.update({name: b"x"}))
    with pytest.raises(BackupInvalid, match="which no backup of photoindex has"):
        restore(tmp_path / "new", bad)
    assert [path.name for path in tmp_path.rglob("*evil*")] == []
    assert not (tmp_path / "new" / "catalog.duckdb").exists()


def test_a_tar_of_thumbnails_cannot_write_elsewhere(packed: Path, tmp_path: Path) -> None:
    for odd in ("../../evil.jpg", "/tmp/evil.jpg", f"{'a' * 63}.jpg"):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            info = tarfile.TarInfo(odd)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
        member = {f"thumbnails/{kept.sha(0)[:2]}.tar": stream.getvalue()}
        bad = rewritten(
            packed / "backup.zip", tmp_path / "bad.zip", lambda members, member=member: members.update(member)
        )
        with pytest.raises(BackupInvalid, match="which is no thumbnail"):
            restore(packed / "library", bad, force=True)
    assert whole(packed / "library") <= {"leftovers"}


def test_a_backup_of_a_newer_photoindex_is_refused_politely(packed: Path, tmp_path: Path, run: Shell) -> None:
    def newer(members: dict[str, bytes]) -> None:
        members["manifest"] = json.dumps(json.loads(members["manifest"]) | {"schema": 999}).encode()

    bad = rewritten(packed / "backup.zip", tmp_path / "bad.zip", newer)
    with pytest.raises(BackupTooNew, match=f"schema 999, this program knows {SCHEMA}"):
        restore(packed / "library", bad, force=True)
    assert "Upgrade photoindex" in run("restore", bad, code=12).err


def _flip(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_flip, id="a bit"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut short"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"no zip" * 100, id="something else"),
        pytest.param(lambda data: data[:-1], id="the last byte"),
    ],
)
def test_a_damaged_backup_changes_nothing(packed: Path, damage: Callable[[bytes], bytes], run: Shell) -> None:
    bad = packed / "bad.zip"
    bad.write_bytes(damage((packed / "backup.zip").read_bytes()))
    before = kept.state(Library.open(packed / "library"))
    ran = run("restore", bad, "--force", "--library", packed / "library", code=29)
    assert "Nothing was changed." in ran.err
    assert kept.state(Library.open(packed / "library")) == before
    assert not (packed / "library" / "set-aside").exists()


def test_too_little_room_is_said_before_anything_is_written(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(packed)
    monkeypatch.setattr("shutil.disk_usage", lambda _: free._replace(free=1000))
    with pytest.raises(LibraryNotWritable, match="GB are free"):
        restore(packed / "library", packed / "backup.zip", force=True)
    assert whole(packed / "library") == set()


# --- the user's own words --------------------------------------------------------------------------------------------


def test_words_come_back_into_a_new_library_and_doing_it_again_changes_nothing(packed: Path, tmp_path: Path) -> None:
    backup_words(Library.open(packed / "library"), tmp_path / "words.json")
    merged = {one.kind: one for one in restore_words(tmp_path / "new", tmp_path / "words.json")}
    assert {kind: (one.new, one.same, one.conflicts) for kind, one in merged.items()} == {
        "collections": (2, 0, ()),
        "decisions": (2, 0, ()),
        "tag thresholds": (2, 0, ()),
        "categories": (1, 0, ()),
        "models chosen": (2, 0, ()),
    }
    mine, theirs = read_words(Library.open(tmp_path / "new")), read_words(Library.open(packed / "library"))
    assert mine == replace(theirs, folders=(), paths={})
    again = restore_words(tmp_path / "new", tmp_path / "words.json")
    assert all(one.new == 0 and not one.conflicts for one in again)
    assert read_words(Library.open(tmp_path / "new")) == mine


def test_words_of_a_whole_backup_may_be_merged_alone(packed: Path, tmp_path: Path) -> None:
    restore_words(tmp_path / "new", packed / "backup.zip")
    assert Library.open(tmp_path / "new").collections.queries() == {"cats": "tag:cat", "trip": None}
    assert Library.open(tmp_path / "new").queries.status().photos == 0


def test_where_two_differ_the_library_keeps_its_word_unless_the_file_is_to_win(packed: Path, tmp_path: Path) -> None:
    backup_words(Library.open(packed / "library"), tmp_path / "words.json")
    folder = tmp_path / "other"
    with Library.writing(folder) as library:
        create(library, "CATS", "tag:lion")
        library.collections.replace({"Trip": PhotoCollection("Trip", None, kept.WHEN, {"ab" * 32: kept.WHEN})})
        later = kept.WHEN.replace(year=2030)
        library.decisions.put([Decision(id_of(kept.BOTH), "keep-all", kept.BOTH, None, later)])
        library.tag_scores.set_choices("m", {"cat": 0.5, "dog": 0.5})
        library.catalog.set_settings({"profile": "quality"})
    merged = {one.kind: one for one in restore_words(folder, tmp_path / "words.json")}
    assert [len(merged[kind].conflicts) for kind in merged] == [1, 1, 1, 0, 1]
    assert "the library's is kept" in merged["collections"].conflicts[0]
    words = read_words(Library.open(folder))
    assert words.collections["CATS"].query == "tag:lion"
    assert set(words.collections["Trip"].photos) == {"ab" * 32, kept.sha(0), kept.sha(1), "ef" * 32}
    assert {d.id: d.kind for d in words.decisions}[id_of(kept.BOTH)] == "keep-all"
    assert words.thresholds == {("m", "cat"): 0.5, ("m", "dog"): 0.5, ("m", None): 0.125}
    assert words.settings == {"profile": "quality", "model for embedding": "m"}
    restore_words(folder, tmp_path / "words.json", force=True)
    words = read_words(Library.open(folder))
    assert words.collections["CATS"].query == "tag:cat"
    assert {d.id: d.kind for d in words.decisions}[id_of(kept.BOTH)] == "keep-this"
    assert words.thresholds[("m", "cat")] == 0.25
    assert words.settings["profile"] == "tiny"
    assert set(words.collections["Trip"].photos) >= {"ab" * 32}  # what was added by hand is never taken away


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["collections", 0, "photos"], {"XYZ": "2026-05-01T00:00:00"}, "photos by SHA-256"),
        (["collections", 0, "made_at"], "yesterday", "a time such as"),
        (["collections", 0, "name"], 5, "should be text"),
        (["collections"], {}, "an array"),
        (["decisions", 0, "keeper"], "ab", "keeper"),
        (["tag_thresholds", 0, "at_least"], "high", "a number"),
        (["settings"], {"steps": "x"}, "none that can be restored"),
        (["categories"], {"a": "b"}, "an array"),
        (["paths"], [], "an object"),
    ],
)
def test_odd_words_are_refused_with_their_place_and_nothing_is_changed(
    packed: Path, tmp_path: Path, place: list[Any], value: Any, message: str
) -> None:
    data = words_object(read_words(Library.open(packed / "library")), "x")
    assert words_object(parse_words(data), "x")["collections"] == data["collections"]
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / "words.json").write_text(json.dumps(data))
    with pytest.raises(UsageError, match=message):
        restore_words(tmp_path / "new", tmp_path / "words.json")
    assert not (tmp_path / "new").exists()


def test_a_file_of_words_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_bytes(b'{"format": ')
    with pytest.raises(BackupInvalid, match="no whole JSON"):
        restore_words(tmp_path / "new", tmp_path / "words.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"format": "photoindex plan 1", "groups": []}', r"JSON of another kind \(photoindex plan 1\)"),
        (b'{"a": 1}', "JSON of another kind"),
        (b"[1, 2]", "JSON of another kind"),
        (b"", "empty"),
        (b"\x00" * 8 + b"DUCK" + b"\x00" * 90, "the catalog of a library alone"),
        (b"Dear diary", "no zip file, and no JSON"),
    ],
)
def test_what_is_no_backup_is_named_and_what_would_be_one(
    run: Shell, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    for options in ((), ("--user-data",)):
        said = run("restore", tmp_path / "file", *options, code=29).err
        assert re.search(message, said)
        assert "`photoindex backup` wrote can be restored: a zip, or with --user-data JSON" in said
    assert not run.folder.exists()


def test_a_backup_that_was_not_copied_whole_is_said_to_be_so(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "half.zip").write_bytes((packed / "backup.zip").read_bytes()[:5_000])
    with pytest.raises(BackupInvalid, match="not copied to its end"):
        restore(tmp_path / "new", tmp_path / "half.zip")


# --- the commands ----------------------------------------------------------------------------------------------------


def test_the_commands_back_up_and_restore(scanned: Shell, pictures: Path, tmp_path: Path) -> None:
    scanned("collections", "create", "trip")
    before = kept.state(scanned.open())
    packed = scanned("backup", tmp_path / "b.zip", "--format", "json").json
    assert (packed["kind"], packed["counts"]["files"], packed["counts"]["collections"]) == ("library", 12, 1)
    assert scanned("backup", tmp_path / "w.json", "--user-data", "--format", "json").json["kind"] == "user-data"
    assert "is there already" in scanned("backup", tmp_path / "b.zip", code=2).err
    assert "--force sets it aside" in scanned("restore", tmp_path / "b.zip", code=2).err
    done = scanned("restore", tmp_path / "b.zip", "--force", "--format", "json").json
    assert Path(done["set_aside"], "catalog.duckdb").is_file()
    assert kept.state(scanned.open()) == before
    new = tmp_path / "new"
    merged = scanned("restore", tmp_path / "w.json", "--library", new, "--format", "json")
    assert merged.json[0]["new"] == 1
    assert f"They were said of photos in {pictures}. Scan these folders" in merged.err
    assert "They were said of" not in scanned("restore", tmp_path / "w.json").err  # where they have been scanned
    assert scanned("collections", "list", "--library", new, "--format", "json").json[0]["name"] == "trip"
    inside = scanned("backup", pictures / "b.zip")
    assert "among your photos" in inside.err
    (pictures / "b.zip").unlink()  # of all tests
    assert "No such file" in scanned("restore", tmp_path / "none.zip", code=29).err
    assert "No library" in scanned("backup", tmp_path / "c.zip", "--library", tmp_path / "none", code=10).err
