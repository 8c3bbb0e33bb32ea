"""scan --watch: a scan, then one more of what has changed whenever something has."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import QUICK, Shell, draw
from photoindex.errors import RootMostlyGone
from photoindex.media.mounts import kind_of, read_mount, read_mountinfo, remote_kind
from photoindex.media.reach import DOES_NOT_ANSWER
from photoindex.media.walk import _found
from photoindex.models.registry import load_registry
from photoindex.pure.settling import Settling
from photoindex.records import FoundFile, Problem, ScanReport
from photoindex.scan import ScanOptions
from photoindex.scan.changes import Changes, choose_poll, folders_of, mark
from photoindex.scan.kept import KeptModels
from photoindex.scan.run import scan
from photoindex.scan.watching import WatchOptions, _Watch, watch
from photoindex.store.library import Library
from test_kept_models import Model

PATIENCE_S = 300.0  # for a busy machine: nothing waits so long that works
STEPS_WITHOUT_MODELS = ("metadata", "place", "thumbnail", "hash")


class Watcher:
    """A watch in a thread of this process. `next` and `said` wait for its next scan and its next word."""

    def __init__(self, folder: Path, root: Path, **options: Any) -> None:
        self.folder, self.root = folder, root
        self.reports: queue.Queue[ScanReport | BaseException] = queue.Queue()
        self.words: queue.Queue[str] = queue.Queue()
        self.stop = threading.Event()
        quick = {"quiet_s": 0.3, "at_most_s": 60.0, "retry_s": 0.5}
        self.after_each: Callable[[], object] = lambda: None
        how = WatchOptions(**{**quick, **options}, report=self._report, say=self.words.put)
        what = ScanOptions(steps=STEPS_WITHOUT_MODELS, workers=2, stop=self.stop.is_set)
        self.thread = threading.Thread(target=self._watch, args=(what, how))
        self.thread.start()

    def _watch(self, what: ScanOptions, how: WatchOptions) -> None:
        try:
            watch(self.folder, [str(self.root)], load_registry(None), self.folder / "models", what, how)
        except BaseException as error:
            self.reports.put(error)
            raise

    def _report(self, report: ScanReport) -> None:
        self.after_each()
        self.reports.put(report)

    def next(self) -> ScanReport:
        report = self.reports.get(timeout=PATIENCE_S)
        assert isinstance(report, ScanReport), report
        return report

    def said(self) -> str:
        return self.words.get(timeout=PATIENCE_S)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_S)


@pytest.fixture
def watching(tmp_path: Path, photos: Path) -> Iterator[Callable[..., Watcher]]:
    """Starts a watch of `photos` whose first scan is over."""
    (photos / "broken.jpg").unlink()
    started: list[Watcher] = []

    def start(**options: Any) -> Watcher:
        watcher = Watcher(tmp_path / "library", photos, **options)
        started.append(watcher)
        assert watcher.next().analysed == 11
        return watcher

    yield start
    for watcher in started:
        watcher.end()


def bring(photos: Path, name: str, seed: int) -> None:
    """A new picture that is whole from the moment on at which it is there."""
    aside = photos.with_name(f"aside {Path(name).name}")
    draw(seed).save(aside)
    aside.rename(photos / name)


def missing(library: Path) -> int:
    return Library.open(library).queries.status().missing


def test_what_changes_is_scanned_and_nothing_else(watching: Callable[..., Watcher], photos: Path) -> None:
    watcher = watching()
    bring(photos, "2023/new.jpg", 50)
    report = watcher.next()
    assert (report.analysed, report.found, report.missing) == (1, 6, 0)
    (photos / "2023" / "trip").rename(photos / "journey")
    report = watcher.next()
    assert (report.moved, report.analysed, report.missing) == (2, 0, 0)
    with Library.writing(watcher.folder):  # it is free while nothing happens
        pass
    shutil.rmtree(photos / "journey")
    (photos / "plain.bmp").unlink()
    (photos / "notes.txt").write_text("of no interest")
    gone = 0
    while gone < 3:  # in one scan, or in more where the machine is so busy that it rests between them
        report = watcher.next()
        gone += report.missing
        assert report.failed == 0
    assert gone == 3
    (photos.with_name("aside.xmp")).write_text('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
    (photos.with_name("aside.xmp")).rename(photos / "beach.webp.xmp")
    assert watcher.next().analysed == 1
    runs = Library.open(watcher.folder).runs.latest()
    assert {run.command for run in runs} == {"watch"}
    assert {run.outcome for run in runs} == {"done"}
    assert Library.open(watcher.folder).queries.status().roots == (str(photos),)


@pytest.mark.slow
def test_a_folder_that_goes_away_is_waited_for_and_looked_at_when_it_is_back(
    watching: Callable[..., Watcher], photos: Path
) -> None:
    watcher = watching()
    away = photos.with_name("away")
    photos.rename(away)
    assert f"Waiting for {photos}: it is not there" in watcher.said()
    assert missing(watcher.folder) == 0
    photos.mkdir()  # as a mount point without its disk
    photos.rmdir()
    draw(51).save(away / "meanwhile.jpg")
    os.utime(away / "meanwhile.jpg", (1, 1))  # it is not being written any more
    away.rename(photos)
    report = watcher.next()
    assert (report.analysed, report.unchanged, report.missing) == (1, 11, 0)
    bring(photos, "later.jpg", 52)
    assert watcher.next().analysed == 1


@pytest.mark.slow
def test_where_most_has_gone_nothing_is_believed(watching: Callable[..., Watcher], photos: Path) -> None:
    watcher = watching()
    many = photos.with_name("many")
    many.mkdir()
    for number in range(40):
        shutil.copyfile(photos / "large.jpg", many / f"{number}.jpg")
    many.rename(photos / "many")
    assert watcher.next().analysed == 40
    with Library.writing(watcher.folder):  # so that no scan comes before the last of them has gone
        for number in range(40):
            (photos / "many" / f"{number}.jpg").unlink()
    while "is being written by process" in (said := watcher.said()):
        pass
    assert "40 are not there any more. Is a disk unplugged?" in said
    assert missing(watcher.folder) == 0


@pytest.mark.slow
def test_a_busy_library_is_waited_for(watching: Callable[..., Watcher], photos: Path) -> None:
    watcher = watching()
    with Library.writing(watcher.folder):
        bring(photos, "new.jpg", 53)
        assert "is being written by process" in watcher.said()
    assert watcher.next().analysed == 1


@pytest.mark.slow
def test_a_network_folder_is_looked_at_again_and_again(watching: Callable[..., Watcher], photos: Path) -> None:
    watcher = watching(poll_s=0.2)
    bring(photos, "new.jpg", 54)
    assert watcher.next().analysed == 1


def test_a_folder_that_is_not_there_at_first_is_an_error(tmp_path: Path, run: Shell) -> None:
    run("scan", tmp_path / "nowhere", "--watch", code=15)
    assert not run.folder.exists()


def test_wishes_that_do_not_go_with_watching(run: Shell, photos: Path) -> None:
    assert "--dry-run" in run("scan", photos, "--watch", "--dry-run", code=2).err
    assert "give --watch too" in run("scan", photos, "--watch-poll", "5", code=2).err
    assert "ndjson" in run("scan", photos, "--watch", "--format", "json", code=2).err


@pytest.mark.slow
def test_ctrl_c_ends_a_watch_with_the_exit_code_of_a_scan(run: Shell, photos: Path, ended: Callable[..., Any]) -> None:
    process = ended(run.start("scan", photos, *QUICK, "--watch", "--format", "ndjson"))
    first = json.loads(process.stdout.readline())
    assert (first["run_id"], first["analysed"]) == (1, 12)
    bring(photos, "new.jpg", 55)
    assert json.loads(process.stdout.readline())["analysed"] == 1
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    assert f"Watching {photos}. Ctrl-C ends.".encode() in err


def test_a_file_that_is_being_written_is_left_for_the_next_round(library: Library, photos: Path) -> None:
    root = str(photos)
    options = ScanOptions(steps=("metadata",), workers=1)
    registry = load_registry(None)
    scan(library, [root], registry, library.folder, options)
    draw(56).save(photos / "whole.jpg")
    draw(57).save(photos / "half.jpg")
    part = replace(options, only={root: {root: False}}, leave=lambda file: file.path.endswith("half.jpg"))
    report = scan(library, [root], registry, library.folder, part)
    assert (report.analysed, report.missing) == (1, 0)
    whole = scan(library, [root], registry, library.folder, replace(part, only=None))
    assert (whole.analysed, whole.found, whole.missing) == (0, 13, 0)
    again = scan(library, [root], registry, library.folder, replace(part, leave=ScanOptions().leave))
    assert again.analysed == 1
    nothing = scan(library, [root], registry, library.folder, replace(part, leave=ScanOptions().leave))
    assert (nothing.run_id, nothing.unchanged) == (0, 7)
    assert len(library.runs.latest()) == 4


def test_a_file_whose_copy_began_meanwhile_is_left_until_it_rests(
    watching: Callable[..., Watcher], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half, told = photos / "half.jpg", threading.Event()
    draw(59).save(photos.with_name("source.jpg"))
    whole = photos.with_name("source.jpg").read_bytes()

    class Late(Changes):
        """Hears of nothing but the first file, as one that looks once a minute."""

        def take(self) -> set[str]:
            found = super().take()
            if str(photos / "first.jpg") not in found or told.is_set():
                return set()
            half.write_bytes(whole[:1000])
            ahead = time.time_ns() + 3_600_000_000_000  # it is still written when the others are quiet
            os.utime(half, ns=(ahead, ahead))
            told.set()
            return {str(photos / "first.jpg")}

    monkeypatch.setattr("photoindex.scan.watching.Changes", Late)
    watcher = watching(quiet_s=0.5)
    watcher.after_each = lambda: half.write_bytes(whole)  # before it has rested for so long that it seems done
    bring(photos, "first.jpg", 58)
    report = watcher.next()
    assert (report.analysed, report.failed) == (1, 0)
    watcher.after_each = lambda: None
    report = watcher.next()
    assert (report.analysed, report.failed) == (1, 0)


@pytest.fixture
def job(library: Library, photos: Path) -> Iterator[_Watch]:
    """A watch of `photos`, to be turned by hand."""
    job = _Watch(library.folder, load_registry(None), library.folder, ScanOptions(), WatchOptions(), KeptModels())
    job.roots = [job._watched(str(photos))]
    yield job
    job.close()


def test_a_folder_that_falls_silent_in_a_round_is_waited_for_and_a_watch_can_still_be_ended(
    job: _Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr("photoindex.scan.watching.mark", lambda _: answers.wait(PATIENCE_S))
    monkeypatch.setattr("photoindex.scan.roots.trouble_with", lambda *_: DOES_NOT_ANSWER)
    monkeypatch.setattr("photoindex.media.reach.ANSWER_S", 0.5)
    [root] = job.roots
    root.settling.touch(f"{root.path}/a.jpg", None, 0.0)
    turn = threading.Thread(target=job._work_on, args=(root, 0.0))
    turn.start()
    turn.join(PATIENCE_S / 4)
    stuck = turn.is_alive()
    answers.set()
    turn.join()
    assert not stuck
    assert root.away is not None
    assert DOES_NOT_ANSWER in root.away


def test_the_memory_of_the_first_round_binds_only_while_its_models_stay_loaded(
    job: _Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def one_scan(*given: Any) -> Any:
        asked.append(given[-1].max_memory)
        job.kept.give(("embedding", None, None), Model("m"))  # type: ignore[arg-type]
        return SimpleNamespace(memory=SimpleNamespace(budget=5), run_id=0)

    monkeypatch.setattr("photoindex.scan.watching.scan", one_scan)
    monkeypatch.setattr("photoindex.scan.watching.Library.writing", lambda _: contextlib.nullcontext())
    for _ in range(2):
        job._scan([], {})
    job.kept.close()
    job._scan([], {})
    assert asked == [None, 5, None]


def test_a_folder_that_lost_most_is_not_walked_again_and_again(job: _Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[str] = []

    def mostly_gone(*_: object) -> None:
        walks.append("walk")
        raise RootMostlyGone("photos", 100, 90)

    monkeypatch.setattr(job.roots[0], "whole", True)
    monkeypatch.setattr(_Watch, "_scan", mostly_gone)
    [root], now = job.roots, time.monotonic()
    for later in (0.0, 15.0, 100.0):
        job._work_on(root, now + later)
    assert (len(walks), root.away) == (1, None)
    root.settling.touch(f"{root.path}/gone.jpg", None, now + 100.0)
    job._work_on(root, now + 110.0)
    assert len(walks) == 2
    job._work_on(root, now + 120.0)
    assert len(walks) == 2
    job._work_on(root, now + 1000.0)
    assert len(walks) == 3


def test_a_round_of_few_folders_tells_their_problems_and_reads_nothing_of_the_others(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[Library] = []
    monkeypatch.setattr("photoindex.scan.run._sweep", swept.append)
    monkeypatch.setattr("photoindex.scan.work._SMALL", 0)
    root, registry = str(photos), load_registry(None)
    options = ScanOptions(steps=("metadata",), workers=1)

    def failures() -> set[tuple[str, str]]:
        return {(failure.path, failure.code) for failure in library.queries.failures() if failure.step == "walk"}

    def found(root: str, entry: os.DirEntry[str], sidecars: dict[str, os.DirEntry[str]]) -> FoundFile:
        if entry.name == "plain.bmp":
            raise PermissionError(13, "Permission denied")
        return _found(root, entry, sidecars)

    scan(library, [root], registry, library.folder, options)
    counted = library.vectors.terms().documents
    closed = {str(photos / "closed"): Problem("folder_unreadable", "The folder cannot be read.")}
    library.catalog.replace_walk_problems(root, closed)
    monkeypatch.setattr("photoindex.media.walk._found", found)
    draw(60).save(photos / "new.jpg")
    part = replace(options, only={root: {root: False}})
    report = scan(library, [root], registry, library.folder, part)
    assert (report.analysed, report.failed) == (1, 1)
    assert failures() == {(str(photos / "closed"), "folder_unreadable"), (str(photos / "plain.bmp"), "file_unreadable")}
    assert (len(swept), library.vectors.terms().documents) == (1, counted)
    monkeypatch.setattr("photoindex.media.walk._found", _found)
    draw(61).save(photos / "newer.jpg")
    scan(library, [root], registry, library.folder, part)
    assert failures() == {(str(photos / "closed"), "folder_unreadable")}
    scan(library, [root], registry, library.folder, options)
    assert (len(swept), library.vectors.terms().documents) == (2, counted + 2)


def test_a_flood_of_changes_is_one_round() -> None:
    settling: Settling[object] = Settling(quiet_s=2, at_most_s=30)
    for number in range(10_000):
        settling.touch(f"/p/{number}.jpg", (1, number), now=number / 1000)
    assert settling.take(now=11.0) == {}
    assert len(settling.take(now=12.1)) == 10_000
    assert len(settling) == 0


def test_a_file_is_quiet_once_its_size_and_time_stay_as_they_are() -> None:
    settling: Settling[object] = Settling(quiet_s=2, at_most_s=30)
    settling.touch("a", (1, 1), now=0)
    settling.touch("a", (2, 2), now=1.5)
    assert settling.take(now=3) == {}
    settling.touch("a", (2, 2), now=3)
    assert settling.take(now=3.5) == {"a": (2, 2)}


def test_a_file_that_never_rests_does_not_hold_up_the_others_for_ever() -> None:
    settling: Settling[object] = Settling(quiet_s=2, at_most_s=30)
    settling.touch("still", None, now=0)
    for second in range(29):
        settling.touch("busy", second, now=second)
        assert settling.take(now=second) == {}
    settling.touch("busy", 30, now=30)
    assert settling.take(now=30.5) == {"still": None}
    assert settling.paths() == ["busy"]
    settling.put_back({"still": None}, now=31)
    assert settling.take(now=61) == {"busy": 30, "still": None}


def test_which_folders_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.jpg").touch()
    a, b = str(tmp_path / "a"), str(tmp_path / "a" / "b")

    def looked_at(*paths: str) -> dict[str, bool] | None:
        return folders_of({path: mark(path) for path in paths})

    assert looked_at(f"{a}/x.jpg") == {a: False}
    assert looked_at(b) == {a: False, b: True}
    assert looked_at(f"{a}/gone") == {a: False, f"{a}/gone": True}
    assert looked_at(f"{a}/gone.jpg") == {a: False}
    assert looked_at(*(f"{a}/{number}/x.jpg" for number in range(1000))) is None


MOUNTINFO = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
35 22 0:30 / /mnt/my\040nas rw,relatime shared:2 - nfs4 nas:/photos rw,vers=4.2
36 22 0:31 / /home/me/phone rw - fuse.sshfs me@phone:/ rw
37 22 0:32 / /media/stick rw - fuseblk /dev/sdb1 rw
38 35 8:2 / /mnt/my\040nas/local rw - xfs /dev/sdc1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/Photos", "ext4"),
        ("/mnt/my nas/2023", "nfs4"),
        ("/mnt/my nas", "nfs4"),
        ("/mnt/my nas/local/a", "xfs"),
        ("/mnt/my nastier", "ext4"),
        ("/home/me/phone/DCIM", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_folder_is_known(path: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = read_mountinfo(MOUNTINFO)
    assert kind_of(path, mounted) == kind
    monkeypatch.setattr("photoindex.media.mounts.mounts", lambda: mounted)
    monkeypatch.setattr(os.path, "realpath", lambda place: place)
    remote = kind in ("nfs4", "fuse.sshfs")
    assert remote_kind(path) == (kind if remote else None)
    assert choose_poll(path, None) == (60.0 if remote else None)
    assert choose_poll(path, 5.0) == 5.0


def test_a_stick_is_no_network_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photoindex.media.mounts.mounts", lambda: read_mountinfo(MOUNTINFO))
    assert remote_kind("/media/stick/DCIM") is None


def test_the_mounts_of_macos_are_read() -> None:
    said = "/dev/disk3s1 on / (apfs, local, journaled)\n//me@nas/p on /Volumes/my photos (smbfs, nodev, nosuid)\n"
    assert read_mount(said) == [("/", "apfs"), ("/Volumes/my photos", "smbfs")]


@pytest.mark.slow
def test_ten_thousand_new_files_are_few_scans(watching: Callable[..., Watcher], photos: Path) -> None:
    watcher = watching(quiet_s=4.0)
    for number in range(10_000):
        folder = photos / f"{number % 50}"
        folder.mkdir(exist_ok=True)
        os.link(photos / "large.jpg", folder / f"{number}.jpg")
    scans = 0
    while Library.open(watcher.folder).queries.status().files < 10_011:
        watcher.next()
        scans += 1
    assert scans <= 3
