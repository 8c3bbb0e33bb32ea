"""The decode workers: a torch DataLoader that survives what a file can do to a decoder.

A worker that crashes, or is ended because a file took too long, takes its whole DataLoader down. The batches
that were not delivered are then done again: those that a worker may have held one file at a time, so that only
the guilty file fails, the others with a new loader.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from typing import Any

from photoindex.errors import DependencyBroken
from photoindex.media.reach import in_time
from photoindex.records import FoundFile, Outcome, Picture, Problem
from photoindex.scan.containment import end_group
from photoindex.scan.deaths import problem_of_death
from photoindex.scan.roots import check_still_there
from photoindex.scan.task import DECODE_VERSION, Task
from photoindex.scan.worker import Batches, WorkerJob, start_worker

_PREFETCH = 2
# How long to wait for a batch before asking again whether to stop and whether the workers live.
_PATIENCE_S = 0.25
_PRELOAD = ["photoindex.scan.worker", *(f"photoindex.steps.{name}" for name in ("metadata", "thumbnail", "hash"))]
# A loader's tasks are copied into each of its workers, so a huge scan goes through several loaders.
_TASKS_PER_LOADER = 20_000
CONTEXT = "spawn" if sys.platform == "win32" else "forkserver"


def warm_up() -> None:
    """Start the fork server that the workers come from, while the caller loads its models.

    Never plain fork: a process that has opened LanceDB or a GPU must not be forked.
    """
    if CONTEXT == "forkserver":
        from multiprocessing import forkserver, resource_tracker

        multiprocessing.set_forkserver_preload(_PRELOAD)

        def start() -> None:
            # Blocked here, Ctrl-C is blocked in the server and its workers from their first moment on. The resource
            # tracker comes first, because starting it ends with Ctrl-C allowed.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            forkserver.ensure_running()

        threading.Thread(target=start, daemon=True).start()


def batches(
    tasks: Sequence[Task],
    job: WorkerJob,
    batch_size: int,
    workers: int,
    stop: Callable[[], bool],
    prefetch: int = _PREFETCH,
) -> Iterator[list[Picture]]:
    """The pictures of all tasks, in their order, a batch at a time; ends early once `stop` answers True.

    `prefetch`: batches that each worker may have ready.
    """
    for first in range(0, len(tasks), _TASKS_PER_LOADER):
        chunk = tasks[first : first + _TASKS_PER_LOADER]
        done = 0
        while done < len(chunk) and not stop():
            for pictures in _load(chunk[done:], job, batch_size, workers, stop, prefetch):
                done += len(pictures)
                yield pictures
            if done < len(chunk) and not stop():
                check_still_there(chunk[done].file.root)
                suspects = chunk[done : done + batch_size * workers * prefetch]
                for picture in _one_by_one(suspects, job, stop):
                    done += 1
                    yield [picture]


def _load(
    tasks: Sequence[Task],
    job: WorkerJob,
    batch_size: int,
    workers: int,
    stop: Callable[[], bool],
    prefetch: int = 1,
    ends: list[int] | None = None,
) -> Iterator[list[Picture]]:
    """Batches until the tasks are done, a worker dies or `stop` says so. `ends` gets the exit codes of dead workers."""
    import torch.utils.data

    dataset = Batches(tasks, batch_size, job)
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=None,
        num_workers=min(workers, len(dataset)),
        prefetch_factor=prefetch,
        multiprocessing_context=CONTEXT,
        worker_init_fn=start_worker,
        timeout=_PATIENCE_S,
    )
    delivered: Any = iter(loader)
    finished = False
    try:
        while not stop():
            try:
                packed = next(delivered)
            except StopIteration:
                finished = True
                return
            except (RuntimeError, MemoryError) as error:
                if "timed out" in str(error):
                    continue
                if "worker" not in str(error):
                    raise
                if ends is not None:
                    ends += [code for process in delivered._workers if (code := process.exitcode)]
                return
            yield packed.unpack()
    finally:
        if not finished:
            _end(delivered._workers)


def _one_by_one(tasks: Sequence[Task], job: WorkerJob, stop: Callable[[], bool]) -> Iterator[Picture]:
    """Each task alone with a worker, so that a death has a name."""
    if job.room is not None:
        job = replace(job, room=job.room.alone())
    done, began = 0, time.monotonic()
    while done < len(tasks) and not stop():
        ends: list[int] = []
        for pictures in _load(tasks[done:], job, 1, 1, stop, ends=ends):
            done, began = done + 1, time.monotonic()
            yield pictures[0]
        if done < len(tasks) and not stop():
            problem = problem_of_death(ends, time.monotonic() - began, job.time_limit_s)
            _check_workers(job)
            yield _killer(tasks[done], job, problem)
            done, began = done + 1, time.monotonic()


def _check_workers(job: WorkerJob) -> None:
    """Raises DependencyBroken where workers die without any file's doing: no photo must be blamed for that."""
    nothing = Task(FoundFile(os.path.join(os.devnull, "nothing"), "", 0, 0, 0, 0))
    if not any(True for _ in _load([nothing], job, 1, 1, lambda: False)):
        raise DependencyBroken(
            "The decode workers die as soon as they start, so no photo can be read. Is memory short (also that of "
            '/dev/shm)? A script of your own must call scan() below `if __name__ == "__main__":`.'
        )


def _killer(task: Task, job: WorkerJob, problem: Problem) -> Picture:
    if problem.code == "killed":
        return Picture(task.file, "", {}, problem=problem)  # without identity it is due again
    answer = in_time(lambda: _digest(task.file), job.time_limit_s)
    if answer is None:
        silent = (
            f"Reading it did not come back within {job.time_limit_s:.0f} seconds. It is tried again at the next scan."
        )
        return Picture(task.file, "", {}, problem=Problem("no_answer", silent))
    sha256 = answer[0]
    if not sha256:
        return Picture(task.file, "", {}, problem=problem)
    outcome = Outcome("decode", DECODE_VERSION, "failed", problem=problem)
    return Picture(task.file, sha256, {}, (outcome,), problem=problem)


def _digest(file: FoundFile) -> str:
    """The SHA-256 of a file that is still what the walk met, else nothing: other content must not be blamed."""
    try:
        with open(file.path, "rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        now = os.stat(file.path)
    except OSError:
        return ""
    return sha256 if (now.st_size, now.st_mtime_ns) == (file.size, file.mtime_ns) else ""


def _end(workers: Sequence[BaseProcess]) -> None:
    """End workers at once, with what their decoders started; a loader that shuts down in order waits for the files in
    work."""
    for process in workers:
        end_group(process.pid)
        process.kill()
