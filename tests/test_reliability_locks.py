"""One writer and any number of readers, in any number of processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from conftest import QUICK, Shell
from photoindex.errors import LibraryBusy
from photoindex.store.library import Library
from test_scan_kill import many_photos, photos_in, wait_for_photos

Register = Callable[["subprocess.Popen[bytes]"], "subprocess.Popen[bytes]"]
HOLD = """
import sys
from pathlib import Path
from photoindex.store.library import Library
with Library.writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(run: Shell, ended: Register) -> subprocess.Popen[bytes]:
    """Another process that is the library's writer."""
    command = [sys.executable, "-c", HOLD, str(run.folder)]
    pipe = subprocess.PIPE
    process = ended(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True))
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_the_second_writer_is_told_who_writes_and_since_when(
    run: Shell, photos: Path, holder: subprocess.Popen[bytes]
) -> None:
    for command in (("scan", photos, *QUICK), ("collections", "create", "mine"), ("categories", "add", "a", "b")):
        err = run(*command, code=11).err
        told = re.search(r"is being written by process (\d+) since (\S+ \S+)\.", err)
        assert told is not None, err
        assert int(told[1]) == holder.pid
        assert abs((datetime.now() - datetime.fromisoformat(told[2])).total_seconds()) < 1000
    run("status")
    run("search", "beach", "--mode", "keyword")


def test_the_lock_of_a_process_that_was_killed_is_nobodys(
    run: Shell, photos: Path, holder: subprocess.Popen[bytes]
) -> None:
    """Its files stay behind, with its number in them; the lock was the kernel's, which has let go of it."""
    holder.kill()
    holder.wait()
    assert json.loads((run.folder / "writer.json").read_text())["pid"] == holder.pid
    assert (run.folder / "writer.lock").exists()
    assert run.scan(photos, code=1)["analysed"] == 12


def test_a_number_that_another_process_has_by_now_is_not_taken_for_the_writer(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    (run.folder / "writer.json").write_text(json.dumps({"pid": 1, "since": time.time()}))
    assert run.scan(photos)["due"] == 0


def test_who_writes_is_never_told_half(run: Shell, tmp_path: Path) -> None:
    """The holder's file is replaced as a whole: whoever is refused at that moment reads the one or the other."""
    run.home.mkdir()
    inodes = set()
    for _ in range(2):
        with Library.writing(run.folder):
            inodes.add((run.folder / "writer.json").stat().st_ino)
            with pytest.raises(LibraryBusy) as refused, Library.writing(run.folder):
                pass
            assert f"process {os.getpid()} since 2" in str(refused.value)
    assert len(inodes) == 2


READ_ON = """
import sys, time
from pathlib import Path
from photoindex.store.connection import CatalogFile
catalog = CatalogFile(Path(sys.argv[1]) / "catalog.duckdb", writable=False)
while True:
    with catalog.read():
        print("reads", flush=True)
        time.sleep(0.3)
"""


def test_readers_that_come_one_upon_another_let_a_writer_in(
    scanned: Shell, ended: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = []
    for _ in range(4):
        command = [sys.executable, "-c", READ_ON, str(scanned.folder)]
        readers.append(ended(subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)))
        assert readers[-1].stdout is not None
        assert readers[-1].stdout.readline() == b"reads\n"
        time.sleep(0.07)
    monkeypatch.setattr("photoindex.store.connection.WRITER_WAIT_S", 200.0)
    scanned("categories", "add", "hill", "a photo of a hill")
    assert not (scanned.folder / "catalog.wanted").exists()
    assert all(reader.poll() is None for reader in readers)


@pytest.mark.slow
def test_many_readers_read_while_one_writes(run: Shell, tmp_path: Path, ended: Register) -> None:
    """No search fails, and the number of photos only grows."""
    photos = many_photos(tmp_path / "many", 120)
    writer = ended(run.start("scan", photos, *QUICK, "--batch-size", "4"))
    wait_for_photos(run, writer, 1)
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom photoindex.store.library import Library\n"
        "seen = [0]\n"
        "while not Path(sys.argv[2]).exists():\n"
        "    library = Library.open(Path(sys.argv[1]))\n"
        "    seen.append(library.queries.status().photos)\n"
        "    library.vectors.ids('documents')\n"
        "    assert seen[-1] >= seen[-2], seen\n"
        "print(len(seen))"
    )
    command = [sys.executable, "-c", script, str(run.folder), str(tmp_path / "over")]
    pipe = subprocess.PIPE
    readers = [ended(subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True)) for _ in range(4)]
    _, err = writer.communicate(timeout=300)
    (tmp_path / "over").touch()
    assert writer.returncode == 0, err.decode()
    for reader in readers:
        out, err = reader.communicate(timeout=300)
        assert reader.returncode == 0, err.decode()
        assert int(out) > 2
    assert photos_in(run) == 120
