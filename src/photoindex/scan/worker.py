"""What a decode worker does with one file: read, hash, decode once, run the picture steps, prepare the views.

This module is loaded once by the fork server and inherited by every worker, so it imports its libraries at the top.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.data

from photoindex.media.source import USUAL_LIMITS, Need, SourcePicture, open_source
from photoindex.media.unreadable import Unreadable
from photoindex.media.views import prepare_view, short_side_for
from photoindex.records import Outcome, Picture, Problem, Uint8Image, View, photo_id_of
from photoindex.scan.containment import Allowance, contain_worker, end_children
from photoindex.scan.memory import reuse_freed_memory
from photoindex.scan.room import Room, decoding_bytes
from photoindex.scan.task import DECODE_VERSION, Task
from photoindex.steps import STEPS, StepSpec

# Decoding gives way to the models: a model's threads wait for each other, so one that loses its core stalls them all.
_NICER = 10
_READ_ERRORS = {"permission", "io_error", "vanished", "changed_while_reading", "not_a_file"}
_NO_MEMORY = Unreadable("over_memory").problem


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """What every worker is told once: the steps that run, by kind, and what is known already.

    `views` by model step; `known`: ids of the catalog's photos, sorted int64; `room`: the memory a picture may take.
    """

    picture_steps: tuple[str, ...]
    derived_steps: tuple[str, ...]
    views: dict[str, tuple[View, ...]]
    known: npt.NDArray[np.int64]
    time_limit_s: float
    room: Room | None = None


class Batches(torch.utils.data.Dataset["PackedBatch"]):
    """The batches of a scan, as a map-style dataset: item i is the work on the i-th slice of tasks."""

    def __init__(self, tasks: Sequence[Task], batch_size: int, job: WorkerJob) -> None:
        self._slices = [tuple(tasks[at : at + batch_size]) for at in range(0, len(tasks), batch_size)]
        self._job = job

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, index: int) -> PackedBatch:
        return pack([prepare(task, self._job) for task in self._slices[index]])


# Of this process; None where it is no worker.
_allowance: Allowance | None = None


def start_worker(_: int) -> None:
    """Ctrl-C belongs to the main process, which ends the workers itself."""
    global _allowance  # noqa: PLW0603 - torch starts workers so, and a worker is one process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reuse_freed_memory()
    if hasattr(os, "nice"):
        os.nice(_NICER)
    threading.Thread(target=_end_with_scan, daemon=True).start()
    _silence()
    contain_worker()
    _allowance = Allowance()


def _silence() -> None:
    """Decoders print about damaged files, and parts of them, into results and onto terminals."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)


def _end_with_scan() -> None:
    """A worker ends when the scan's process does, however that died: torch only watches the fork server, which
    lives as long as its workers do."""
    scan = multiprocessing.parent_process()
    if scan is not None:
        scan.join()
        os._exit(1)


def prepare(task: Task, job: WorkerJob) -> Picture:
    """The whole work on one file. Never raises for what a file can cause; a decoder that hangs ends the process."""
    with open(os.devnull, "w") as nowhere:

        def restart() -> None:
            faulthandler.dump_traceback_later(job.time_limit_s, exit=True, file=nowhere)

        restart()
        try:
            return _without_children(task, _prepare(task, job, restart))
        except BaseException as error:  # noqa: BLE001 - a decoder in Rust panics beside Exception
            return _unreadable(task, "", _crash("reading the file", error))
        finally:
            faulthandler.cancel_dump_traceback_later()


def _without_children(task: Task, picture: Picture) -> Picture:
    """The picture, unless its decoder left a process running, which is ended: then a failure."""
    if _allowance is None:
        return picture
    if os.getpid() != _allowance.process:  # a decoder forked, and both go on: only the worker may
        os._exit(1)
    if not (ended := end_children()):
        return picture
    return _unreadable(task, picture.sha256, Unreadable("decoder_forked", ended).problem)


def _prepare(task: Task, job: WorkerJob, restart: Callable[[], None]) -> Picture:
    """Within the share of memory that each worker has; again with all that one picture may have, where that is more
    and the share did not suffice."""
    room = job.room
    if room is None:
        return _read(task, job, restart)
    if (problem := room.refuse_file(task.file)) is not None:
        return _unreadable(task, "", problem)
    _allow(room.usual)
    with _waiting(room, task.file.size, restart):
        picture = _read(task, job, restart)
    if not _lacked_memory(picture):
        return picture
    if room.usual < room.most:
        with _waiting(room, room.most, restart):
            picture = _read(task, job, restart)
    return _told_of_memory(picture, room.exhausted()) if _lacked_memory(picture) else picture


def _lacked_memory(picture: Picture) -> bool:
    problems = [picture.problem, *(outcome.problem for outcome in picture.outcomes)]
    return any(problem == _NO_MEMORY for problem in problems)


def _told_of_memory(picture: Picture, problem: Problem) -> Picture:
    """The same with a problem that says how much there was."""
    outcomes = [replace(o, problem=problem) if o.problem == _NO_MEMORY else o for o in picture.outcomes]
    told = problem if picture.problem == _NO_MEMORY else picture.problem
    return replace(picture, outcomes=tuple(outcomes), problem=told)


@contextlib.contextmanager
def _waiting(room: Room, needed: int, restart: Callable[[], None]) -> Iterator[None]:
    """A turn at what is large. Waiting for it is not the file's time; a turn within a turn is had at once."""
    if needed <= room.usual:
        yield
        return
    faulthandler.cancel_dump_traceback_later()
    with room.turn():
        restart()
        _allow(room.most)
        try:
            yield
        finally:
            _allow(room.usual)


def _allow(picture: int) -> None:
    if _allowance is not None:
        _allowance.limit(picture)


def _read(task: Task, job: WorkerJob, restart: Callable[[], None]) -> Picture:
    wanted = task.due if task.due is not None else frozenset((*job.picture_steps, *job.derived_steps, *job.views))
    limits = job.room.limits if job.room is not None else USUAL_LIMITS
    try:
        file = replace(task.file, sidecars=task.sidecars) if task.sidecars else task.file
        source = open_source(file, Need(_short_side(wanted, job)), limits)
    except Unreadable as failure:
        return _unreadable(task, failure.sha256 or "", failure.problem)
    except Exception as error:  # noqa: BLE001 - decoders raise anything, and one bad file must cost that file only
        return _unreadable(task, "", _crash("opening the file", error))
    if task.due is None and _is_known(source.sha256, job.known):
        return Picture(task.file, source.sha256, {})
    if job.room is None:
        return _analyse(task, source, wanted, job)
    with _waiting(job.room, decoding_bytes(source), restart):
        return _analyse(task, source, wanted, job)


def _analyse(task: Task, source: SourcePicture, wanted: frozenset[str], job: WorkerJob) -> Picture:
    outcomes: list[Outcome] = []
    if "metadata" in wanted:
        outcomes.append(run_picture_step(STEPS["metadata"], source))
    views = {view.name: view for step, mine in job.views.items() if step in wanted for view in mine}
    pixel_steps = [name for name in job.picture_steps if name in wanted and name != "metadata"]
    if not views and not pixel_steps:
        return Picture(task.file, source.sha256, {}, tuple(outcomes), wanted, is_new=task.due is None)
    if job.room is not None and (refusal := job.room.refuse(source)) is not None:
        outcomes.append(_decode_failure(refusal))
        return Picture(task.file, source.sha256, {}, tuple(outcomes), problem=refusal)
    try:
        _ = source.image
        prepared = {name: prepare_view(source.at_least(short_side_for(view)), view) for name, view in views.items()}
    except Unreadable as failure:
        outcomes.append(_decode_failure(failure.problem))
        return Picture(task.file, source.sha256, {}, tuple(outcomes), problem=failure.problem)
    except BaseException as error:  # noqa: BLE001 - as above
        problem = _crash("decoding the picture", error)
        return Picture(task.file, source.sha256, {}, (*outcomes, _decode_failure(problem)), problem=problem)
    outcomes += [run_picture_step(STEPS[name], source) for name in pixel_steps]
    return Picture(task.file, source.sha256, prepared, tuple(outcomes), wanted, is_new=task.due is None)


def run_picture_step(spec: StepSpec, source: SourcePicture) -> Outcome:
    started = time.perf_counter()
    read: Callable[[SourcePicture], Any] = spec.load()
    try:
        facts = read(source)
        problem = None
    except Unreadable as failure:
        facts, problem = None, failure.problem
    except Exception as error:  # noqa: BLE001 - as above
        facts, problem = None, _crash(f"the step {spec.name}", error)
    ms = (time.perf_counter() - started) * 1000
    return Outcome(spec.name, spec.version, "failed" if problem else "done", facts, ms=ms, problem=problem)


def _unreadable(task: Task, sha256: str, problem: Problem) -> Picture:
    """A file without a sound header. Unless its bytes could be had it has no identity, and is tried at each scan."""
    if problem.code in _READ_ERRORS or not sha256:
        return Picture(task.file, "", {}, problem=problem)
    return Picture(task.file, sha256, {}, (_decode_failure(problem),), problem=problem)


def _decode_failure(problem: Problem) -> Outcome:
    return Outcome("decode", DECODE_VERSION, "failed", problem=problem)


def _crash(doing: str, error: BaseException) -> Problem:
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    text = " ".join(str(error).split())[:200]
    return Problem("crashed", f"While {doing}: {type(error).__name__}: {text}")


def _short_side(wanted: frozenset[str], job: WorkerJob) -> int | None:
    sides = [short_side_for(view) for step, views in job.views.items() if step in wanted for view in views]
    if wanted & {"thumbnail", "hash"}:
        sides.append(_picture_step_side())
    return max(sides, default=None)


def _picture_step_side() -> int:
    from photoindex.steps import hash as pdq_step
    from photoindex.steps import thumbnail

    return max(pdq_step.SHORT_SIDE, thumbnail.SHORT_SIDE)


def _is_known(sha256: str, known: npt.NDArray[np.int64]) -> bool:
    photo_id = photo_id_of(sha256)
    at = int(np.searchsorted(known, photo_id))
    return at < len(known) and int(known[at]) == photo_id


@dataclass(slots=True)
class PackedBatch:
    """Pictures with all their views in one shared-memory tensor: one file descriptor and no copy through a pipe.

    `places[i]` says for each view of picture i where it lies: name, offset in bytes, shape.
    """

    pictures: list[Picture]
    pixels: torch.Tensor
    places: list[list[tuple[str, int, tuple[int, ...]]]]

    def unpack(self) -> list[Picture]:
        buffer = self.pixels.numpy()
        return [replace(p, views=_views(buffer, places)) for p, places in zip(self.pictures, self.places, strict=True)]


def pack(pictures: Sequence[Picture]) -> PackedBatch:
    arrays = [view for p in pictures for view in p.views.values()]
    pixels = torch.empty(sum(a.size for a in arrays), dtype=torch.uint8)
    buffer, offset = pixels.numpy(), 0
    places: list[list[tuple[str, int, tuple[int, ...]]]] = []
    for picture in pictures:
        places.append([])
        for name, array in picture.views.items():
            buffer[offset : offset + array.size] = array.ravel()
            places[-1].append((name, offset, array.shape))
            offset += array.size
    return PackedBatch([replace(p, views={}) for p in pictures], pixels, places)


def _views(buffer: npt.NDArray[np.uint8], places: Sequence[tuple[str, int, tuple[int, ...]]]) -> dict[str, Uint8Image]:
    return {name: buffer[at : at + int(np.prod(shape))].reshape(shape) for name, at, shape in places}
