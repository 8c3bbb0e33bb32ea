"""What a scan leaves behind that was killed, interrupted, or had no room: nothing lost, nothing twice, nothing half."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import QUICK, Shell, draw
from photoindex.errors import LibraryNotFound, LibraryNotWritable
from photoindex.records import Analysed, Face, FoundFile, Hashes, Metadata, Outcome, Place, Tag, TextLine
from photoindex.scan.documents import write_due_documents
from photoindex.scan.run import _sweep
from photoindex.store.library import Library

Register = Callable[["subprocess.Popen[bytes]"], "subprocess.Popen[bytes]"]
_BATCHES, _SIZE = 3, 4
# Without what differs between any two runs.
_TABLES = {
    "files": "* EXCLUDE (missing_since)",
    "photos": "* EXCLUDE (added_at)",
    "ledger": "* EXCLUDE (ms, done_at, run_id)",
    **dict.fromkeys(("metadata", "places", "hashes", "ocr_lines", "tags", "faces", "documents_due"), "*"),
}


def record(n: int) -> Analysed:
    """A photo with facts of every step, the same at every call."""
    sha256 = hashlib.sha256(b"%d" % n).hexdigest()
    values = np.random.default_rng(n)
    vector = values.normal(size=8)
    face = Face((0, 0, 1, 1), (0.5,) * 10, 0.9, (vector / np.linalg.norm(vector)).astype(np.float32))
    facts: dict[str, Any] = {
        "metadata": Metadata("JPEG", 10, 10, title=f"title{n}"),
        "place": Place("Berlin", None, None, "Germany", "DE"),
        "thumbnail": b"\xff\xd8\xff thumbnail %d" % n,
        "hash": Hashes(values.bytes(32), 100, values.bytes(32), 100),
        "ocr": (TextLine(f"text{n}", 0.9, (0.0,) * 8),),
        "embedding": face.vector.astype(np.float16) if face.vector is not None else None,
        "tags": (Tag("cat", 0.5), Tag(f"tag{n}", 0.25)),
        "faces": (face, face),
    }
    models = {"embedding": "m", "faces": "m", "tags": "m", "ocr": "m"}
    outcomes = tuple(Outcome(step, 1, "done", value, models.get(step)) for step, value in facts.items())
    return Analysed(FoundFile(f"/photos/{n}.jpg", "/photos", 1, 1, 1, n), sha256, outcomes)


def fill(folder: Path) -> None:
    """Save what the catalog lacks, batch by batch, as a scan's writer does."""
    with Library.writing(folder) as library:
        known = set(library.catalog.photo_ids())
        for first in range(0, _BATCHES * _SIZE, _SIZE):
            batch = [item for n in range(first, first + _SIZE) if (item := record(n)).photo_id not in known]
            library.save(batch)
            write_due_documents(library)


def fill_until(folder: str, module: str, name: str, nth: int) -> None:
    """`fill`, but the process dies as if by kill -9 when `name` is called for the n-th time."""
    owner: Any = importlib.import_module(module)
    *classes, function = name.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original, calls = getattr(owner, function), iter(range(1, 1_000))

    def die(*arguments: Any, **named: Any) -> Any:
        if next(calls) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    setattr(owner, function, die)
    fill(Path(folder))


def contents(library: Library) -> dict[str, list[Any]]:
    """Every row of both stores, and the thumbnails, but for times and the number of the run."""
    found: dict[str, list[Any]] = {}
    with library.catalog.file.read() as con:
        for table, columns in _TABLES.items():
            found[table] = con.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()
    for table in library.vectors.tables():
        rows = library.vectors._dataset(table).to_table().to_pylist()
        found[table] = sorted(rows, key=lambda row: (row["id"], row.get("face", 0)))
    cache = library.folder / "cache"
    found["cache"] = sorted((path.name, path.read_bytes()) for path in cache.rglob("*") if path.is_file())
    return found


def check_nothing_is_half(library: Library) -> None:
    """Whatever the catalog says is done lies in the other stores too."""
    with library.catalog.file.read() as con:
        done = con.execute("SELECT photo_id, step, sha256 FROM ledger JOIN photos USING (photo_id)").fetchall()
    images, faces = (set(library.vectors.ids(table).tolist()) for table in ("image-m", "face-m"))
    for photo_id, step, sha256 in done:
        assert step != "embedding" or photo_id in images
        assert step != "faces" or photo_id in faces
        assert step != "thumbnail" or library.thumbnail_path(sha256).is_file()
    for photo_id in library.catalog.photo_ids():
        assert library.queries.details(photo_id).state == "partial"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    fill(folder)
    return contents(Library.open(folder))


@pytest.mark.parametrize(
    ("module", "name", "nth"),
    [
        pytest.param("connection", "CatalogFile.create", 1, id="before the catalog is made", marks=pytest.mark.slow),
        pytest.param("migrations", "schema_version", 1, id="while the catalog is made", marks=pytest.mark.slow),
        pytest.param("thumbnails", "_part", 2, id="between two thumbnails", marks=pytest.mark.slow),
        pytest.param("thumbnails", "sync_file", 1, id="before thumbnails are safe on disk", marks=pytest.mark.slow),
        pytest.param("vectors", "_sync", 1, id="while the table of vectors is made"),
        pytest.param("vectors", "_sync", 2, id="after the first vectors, before their fsync", marks=pytest.mark.slow),
        pytest.param("catalog", "Catalog.save", 2, id="after the vectors, before the catalog"),
        pytest.param("catalog", "_save_facts", 2, id="inside the transaction of the catalog"),
        pytest.param(
            "vectors", "Vectors.put_documents", 1, id="after the catalog, before the documents", marks=pytest.mark.slow
        ),
        pytest.param("catalog", "Catalog.documents_done", 2, id="after the documents, before they are ticked off"),
    ],
)
def test_a_kill_at_any_point_of_saving_loses_nothing(
    tmp_path: Path, undisturbed: dict[str, list[Any]], module: str, name: str, nth: int
) -> None:
    script = (
        f"import test_scan_kill as t; t.fill_until({str(tmp_path)!r}, 'photoindex.store.{module}', {name!r}, {nth})"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True)
    assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
    if (tmp_path / "catalog.duckdb").exists():
        check_nothing_is_half(Library.open(tmp_path))
    fill(tmp_path)
    assert contents(Library.open(tmp_path)) == undisturbed
    assert len(Library.open(tmp_path).vectors.holding([["text1"]], 9, every=True)) == 1


def test_rows_that_a_killed_scan_wrote_ahead_are_swept(library: Library, tmp_path: Path, run: Shell) -> None:
    """The photo was deleted before the next scan, so nothing else would ever touch its vectors again."""
    library.save([record(0)])
    library.vectors.put_images("m", {123: np.ones(8, np.float16)})
    library.vectors.put_documents({123: "orphan"})
    _sweep(library)
    assert library.vectors.ids("image-m").tolist() == [record(0).photo_id]
    assert library.vectors.holding([["orphan"]], 5, every=True) == []


# --- whole scans ----------------------------------------------------------------------------------------------------


def many_photos(folder: Path, count: int) -> Path:
    """Photos that take a while: one JPEG of 2 megapixels with other bytes behind its end each time."""
    folder.mkdir()
    data = io.BytesIO()
    draw(3, (1600, 1200)).save(data, "JPEG", quality=92)
    for n in range(count):
        (folder / f"{n:03}.jpg").write_bytes(data.getvalue() + b"%d" % n)
    return folder


def photos_in(run: Shell) -> int:
    """How many photos the catalog holds; 0 while the library is being made."""
    try:
        return run.open().queries.status().photos
    except LibraryNotFound:
        return 0


def wait_for_photos(run: Shell, process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + 300
    while photos_in(run) < count:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group_is_gone(process: subprocess.Popen[bytes], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, 6])
def test_a_scan_killed_again_and_again_ends_like_one_that_was_not(
    run: Shell, tmp_path: Path, ended: Register, kills: int
) -> None:
    count = 80 * kills  # enough that none of the killed scans comes to its end
    photos = many_photos(tmp_path / "many", count)
    moments = random.Random(5)
    arguments = ("scan", photos, *QUICK, "--batch-size", "4")
    had = 0
    for _ in range(kills):
        process = ended(run.start(*arguments))
        wait_for_photos(run, process, had + 1)
        time.sleep(moments.uniform(0, 0.5))
        process.kill()
        process.wait()
        assert group_is_gone(process, 120), "the decode workers outlive the scan"
        now = photos_in(run)
        assert now > had, "a killed scan lost photos, or made no progress"
        had = now
    assert had < count, "too few photos to be killed while they are scanned"
    last = run.scan(photos, "--batch-size", "4")
    assert last["analysed"] == count - had
    assert run.scan(photos)["due"] == 0
    disturbed = contents(run.open())
    run("scan", photos, *QUICK, "--library", tmp_path / "calm")
    assert disturbed == contents(Library.open(tmp_path / "calm"))


def test_ctrl_c_ends_a_scan_at_once_with_what_was_done_saved(run: Shell, tmp_path: Path, ended: Register) -> None:
    photos = many_photos(tmp_path / "many", 300)
    process = ended(run.start("scan", photos, *QUICK))
    wait_for_photos(run, process, 1)
    os.killpg(process.pid, signal.SIGINT)
    asked = time.monotonic()
    process.wait()
    spent = time.monotonic() - asked
    err = process.communicate()[1].decode()
    print(f"Ctrl-C took {spent:.2f} s")
    assert process.returncode == 130
    assert spent < 120
    assert "is being saved" in err
    assert "Traceback" not in err
    saved = photos_in(run)
    assert 0 < saved < 300
    assert run.rows("SELECT outcome FROM runs") == [("interrupted",)]
    assert run.rows("SELECT count(*) FROM documents_due") == [(0,)]
    assert 300 - saved <= run.scan(photos, "--dry-run")["due"] < 300 - saved + 32  # some lack a step
    assert len(run("search", "jpg", "--mode", "keyword", "--limit", "400", "-0").out.split(b"\0")) == saved + 1


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_a_picture_that_takes_long(run: Shell, tmp_path: Path, ended: Register) -> None:
    photos = many_photos(tmp_path / "many", 4)
    slow = io.BytesIO()
    draw(1, (11_000, 11_000)).save(slow, "PNG", compress_level=1)
    for n in range(4):
        (photos / f"slow {n}.png").write_bytes(slow.getvalue() + b"%d" % n)
    process = ended(run.start("scan", photos, *QUICK, "--batch-size", "4"))
    wait_for_photos(run, process, 4)
    os.killpg(process.pid, signal.SIGINT)
    asked = time.monotonic()
    process.wait()
    print(f"Ctrl-C took {time.monotonic() - asked:.2f} s")
    assert time.monotonic() - asked < 120
    assert process.returncode == 130
    assert photos_in(run) < 8


@pytest.mark.slow
def test_while_a_scan_runs_others_may_search_but_not_write(run: Shell, tmp_path: Path, ended: Register) -> None:
    photos = many_photos(tmp_path / "many", 300)
    process = ended(run.start("scan", photos, *QUICK, "--batch-size", "4"))
    wait_for_photos(run, process, 1)
    for _ in range(5):
        run("search", "jpg", "--mode", "keyword")
        assert run("status", "--format", "json").json["photos"] > 0
    busy = run("scan", photos, *QUICK, code=11)
    assert f"process {process.pid} " in busy.err
    assert process.poll() is None, "the scan was over too soon to show anything"
    run("categories", "add", "pets", "cat", code=11)


@pytest.mark.slow
def test_a_terminated_scan_saves_as_well(run: Shell, tmp_path: Path, ended: Register) -> None:
    photos = many_photos(tmp_path / "many", 300)
    process = ended(run.start("scan", photos, *QUICK))
    wait_for_photos(run, process, 1)
    process.terminate()
    process.communicate()
    assert process.returncode == 130
    assert run.rows("SELECT outcome FROM runs") == [("interrupted",)]


@pytest.mark.slow
def test_workers_that_cannot_start_are_not_blamed_on_the_photos(tmp_path: Path, photos: Path) -> None:
    """A script without the main guard that multiprocessing asks for runs itself again in every worker."""
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\nfrom photoindex.scan import ScanOptions, scan\n"
        "from photoindex.models.registry import load_registry\nfrom photoindex.store.library import Library\n"
        f"with Library.writing(Path({str(tmp_path / 'library')!r})) as library:\n"
        f"    scan(library, [{str(photos)!r}], load_registry(None), Path(), ScanOptions(steps=('hash',), workers=1))\n"
    )
    ran = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True)
    assert "DependencyBroken: The decode workers die as soon as they start" in ran.stderr
    assert Library.open(tmp_path / "library").queries.status().photos == 0


# --- no room --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system in memory whose size the test sets; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", folder])


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def test_a_full_disk_is_said_and_the_same_command_finishes_later(run: Shell, photos: Path, small_disk: Path) -> None:
    arguments = ("scan", photos, *QUICK, "--batch-size", "2", "--library", small_disk / "library")
    for size in ("8k", "900k", "3m", "3300k"):
        resize(small_disk, size)
        ran = run(*arguments, code=14)
        assert ran.err.splitlines()[-1].startswith(f"photoindex: Cannot write to the library at {small_disk}/library: ")
        assert "No space left on device" in ran.err
        assert "Traceback" not in ran.err
    resize(small_disk, "64m")
    run(*arguments, code=None)
    assert run(*arguments, "--format", "json").json["due"] == 0
    run("scan", photos, *QUICK, "--library", photos.parent / "calm", code=1)
    assert contents(Library.open(small_disk / "library")) == contents(Library.open(photos.parent / "calm"))


@pytest.mark.parametrize("size", ["600k", "1500k", "2500k", "2600k", "2700k"])
def test_a_disk_that_fills_up_while_saving_loses_nothing(
    small_disk: Path, undisturbed: dict[str, list[Any]], size: str
) -> None:
    resize(small_disk, size)
    with pytest.raises(LibraryNotWritable, match="No space left"):
        fill(small_disk / "library")
    resize(small_disk, "64m")
    fill(small_disk / "library")
    assert contents(Library.open(small_disk / "library")) == undisturbed
