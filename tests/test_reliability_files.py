"""Files that move, and files that change while they are read: what a library keeps. And none is ever written."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import QUICK, Shell, draw
from faults import read_only
from photoindex.media.source import read_bytes
from photoindex.media.unreadable import Unreadable
from photoindex.records import FoundFile
from scan_state import XMP

Register = Callable[["subprocess.Popen[bytes]"], "subprocess.Popen[bytes]"]
# In the fork server, from which the decode workers come: notes every file that is read, and every one decoded.
COUNTING = """
import photoindex.media.source as source
import photoindex.scan.worker as worker

def note(what, path):
    with open({log!r}, "a", errors="surrogateescape") as log:
        log.write(what + " " + path + chr(10))

read, decoded = source.read_bytes, source.SourcePicture._decoded.func

def counted_read(file, *more):
    note("read", file.path)
    return read(file, *more)

def counted_decode(self):
    note("decoded", self.file.path)
    return decoded(self)

source.read_bytes = counted_read
source.SourcePicture._decoded.func = counted_decode
"""
PRELOADED = """
import photoindex.scan.loader as loader
loader._PRELOAD.insert(0, "counting")
"""


@pytest.fixture
def counted(
    run: Shell, tmp_path: Path, ended: Register, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, int]]:
    """Scans in a process of its own. Returns how often a file was read, and how often decoded."""
    log = tmp_path / "log"
    (tmp_path / "counting.py").write_text(COUNTING.format(log=str(log)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    def scan(*arguments: str | Path) -> dict[str, int]:
        log.unlink(missing_ok=True)
        process = ended(run.start("scan", *arguments, *QUICK, script=PRELOADED))
        err = process.communicate(timeout=300)[1].decode()
        assert process.returncode == 0, err
        lines = log.read_text(errors="surrogateescape").splitlines() if log.exists() else []
        return {what: sum(line.startswith(what) for line in lines) for what in ("read", "decoded")}

    return scan


# --- moved, renamed, copied -----------------------------------------------------------------------------------------


def words_of_the_user(run: Shell) -> dict[str, Any]:
    return {
        "collection": {hit["photo"] for hit in run("collections", "show", "best", "--format", "json").json},
        "decisions": run.rows("SELECT * FROM decisions") + run.rows("SELECT * FROM decision_photos ORDER BY ALL"),
        "facts": run.rows("SELECT * FROM ledger ORDER BY ALL") + run.rows("SELECT * FROM metadata ORDER BY ALL"),
    }


@pytest.mark.slow
def test_moved_renamed_and_copied_files_and_folders_keep_every_analysis_and_every_word(
    run: Shell, photos: Path, tmp_path: Path, counted: Callable[..., dict[str, int]]
) -> None:
    (photos / "broken.jpg").unlink()
    assert counted(photos) == {"read": 11, "decoded": 11}  # ten photos, and a copy that is not known yet
    run("collections", "create", "best")
    run("collections", "add", "best", photos / "beach.webp", photos / "2023" / "trip" / "paris.jpg")
    [group] = run("dupes", "--format", "json").json
    run("dupes", "decide", "keep-all", group["id"])
    before = words_of_the_user(run)
    assert (len(before["collection"]), len(before["decisions"])) == (2, 2)

    (photos / "2023" / "trip").rename(photos / "journey")  # a folder
    (photos / "beach.webp").rename(photos / "sea.webp")  # a file
    assert counted(photos) == {"read": 0, "decoded": 0}
    assert words_of_the_user(run) == before

    shutil.copytree(photos, tmp_path / "other disk")  # other inodes and, where it is one, another device
    assert counted(tmp_path / "other disk") == {"read": 11, "decoded": 0}
    shutil.rmtree(photos)
    photos.mkdir()
    assert counted(photos, "--accept-missing") == {"read": 0, "decoded": 0}
    assert words_of_the_user(run) == before
    paths = {hit["path"] for hit in run("collections", "show", "best", "--format", "json").json}
    assert paths == {str(tmp_path / "other disk" / name) for name in ("sea.webp", "journey/paris.jpg")}


# --- changing while it is read --------------------------------------------------------------------------------------


def found(path: Path) -> FoundFile:
    stat = path.stat()
    return FoundFile(str(path), str(path.parent), stat.st_size, stat.st_mtime_ns, stat.st_dev, stat.st_ino)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is replaced", "is rewritten in place", "is gone"])
def test_a_file_that_changes_between_walk_and_read_is_not_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "photo.png"
    draw(1).save(path)
    file, data = found(path), path.read_bytes()
    time.sleep(0.02)  # the clock of a file system ticks a hundred times a second
    if change == "grows":
        path.write_bytes(data + b"more")
    elif change == "shrinks":
        path.write_bytes(data[:-9])
    elif change == "is replaced":
        (tmp_path / "new").write_bytes(data[::-1])
        (tmp_path / "new").replace(path)
    elif change == "is rewritten in place":
        path.write_bytes(data[::-1])
    else:
        path.unlink()
    with pytest.raises(Unreadable) as raised:
        read_bytes(file)
    assert raised.value.problem.code == ("vanished" if change == "is gone" else "changed_while_reading")


def test_a_file_that_changes_in_the_middle_of_reading_is_not_half_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.png"
    draw(1).save(path)
    file, data = found(path), path.read_bytes()
    really = open

    def opened(name: str, mode: str = "r", **more: Any) -> Any:
        stream = really(name, mode, **more)
        time.sleep(0.02)
        with really(name, "r+b") as writer:  # the same size: only its time tells
            writer.write(data[:-9][::-1])
        return stream

    monkeypatch.setattr("photoindex.media.source.open", opened, raising=False)
    with pytest.raises(Unreadable) as raised:
        read_bytes(file)
    assert raised.value.problem.code == "changed_while_reading"


@pytest.mark.slow
def test_a_file_that_is_written_all_the_while_is_left_and_indexed_whole_once_it_is_done(
    run: Shell, tmp_path: Path, ended: Register
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    draw(1).save(photos / "sound.jpg")
    draw(2, (1600, 1200)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    growing = photos / "growing.png"
    growing.write_bytes(whole[: len(whole) // 2])
    # Between the walk and the read the file grows, as it does under a slow copy.
    script = (
        "import photoindex.scan.run as run\nprepare = run._prepare\n"
        f"def grow(*given):\n    open({str(growing)!r}, 'ab').write({whole!r}[{len(whole) // 2}:-100])\n"
        "    return prepare(*given)\nrun._prepare = grow\n"
    )
    process = ended(run.start("scan", photos, *QUICK, script=script))
    err = process.communicate(timeout=300)[1].decode()
    assert process.returncode == 1, err
    assert [f["code"] for f in run("failures", "--format", "json").json] == ["changed_while_reading"]
    assert run("status", "--format", "json").json["photos"] == 1
    growing.write_bytes(whole)
    report = run.scan(photos)
    assert (report["analysed"], report["failed"]) == (1, 0)
    assert run("failures", "--format", "json").json == []
    shown = run("show", growing, "--format", "json").json
    assert (shown["metadata"]["width"], shown["bytes"]) == (1600, len(whole))


# --- never written --------------------------------------------------------------------------------------------------


def everything(folder: Path) -> dict[str, tuple[Any, ...]]:
    """All that a program could change: bytes, names, times but that of access, rights, owners, attributes."""
    state: dict[str, tuple[Any, ...]] = {}
    for where, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            path = os.path.join(where, name)
            stat = os.lstat(path)
            content = Path(path).read_bytes() if name in files else None
            attributes = {key: os.getxattr(path, key) for key in os.listxattr(path)}
            owner = (stat.st_uid, stat.st_gid, stat.st_mode, stat.st_nlink, stat.st_ino)
            state[path] = (content, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, owner, attributes)
    return state


@pytest.mark.slow
def test_photos_are_never_written_by_any_command(tiny_clip: Shell, photos: Path, tmp_path: Path) -> None:
    run = tiny_clip
    (photos / "plain.xmp").write_text(XMP.format("kept"))
    (photos / "plain.bmp").chmod(0o444)
    with contextlib.suppress(OSError):  # a file system without attributes has none to lose
        os.setxattr(photos / "beach.webp", "user.mark", b"kept")
    steps = "metadata,place,thumbnail,hash,embedding,tags"
    scan = ("scan", photos, "--steps", steps, "--profile", "tiny", "--workers", "1")
    beach = photos / "beach.webp"
    before = everything(photos)
    with read_only(photos):  # an attempt to write is an error already
        run(*scan, code=1)
        run(*scan, "--rescan", "thumbnail", "--rescan", "metadata", "--retry-failed", code=1)
        run("search", "beach", "--mode", "keyword")
        run("search", "a red circle")
        run("similar", beach)
        run("search", "--like", beach, code=None)
        run("dupes")
        run("dupes", "plan", "--output", tmp_path / "plan.csv", code=None)
        run("show", beach)
        run("failures")
        run("status")
        run("doctor", code=None)
        run("sql", "SELECT * FROM photos")
        run("random", code=None)
        run("export", "--to", "csv", "--output", tmp_path / "table.csv")
        run("export", "--to", "folder", "--output", tmp_path / "copies")
        run("collections", "create", "best")
        run("collections", "add", "best", beach)
        run("categories", "add", "pets", "cat")
        run("models", "use", "tiny-clip")
        for command in (("backup", tmp_path / "backup.zip"), ("check",), ("check", "--repair"), ("compact",)):
            run(*command, code=None)
    assert everything(photos) == before
    assert run.rows("SELECT count(*) FROM ledger WHERE step = 'embedding' AND status = 'done'") == [(10,)]
