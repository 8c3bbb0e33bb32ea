"""What a scan has to do: which files to read for which steps, and which photos need no reading at all."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, replace

from photoindex.media.reach import unreachable
from photoindex.records import Picture
from photoindex.scan.options import ScanOptions
from photoindex.scan.roots import Comparison
from photoindex.scan.steps import Steps
from photoindex.scan.task import DECODE_VERSION, Task
from photoindex.store.library import Library

_ANSWER_S = 2.0  # how long a network folder may take to answer before what is read with the sidecars there stays due


@dataclass(frozen=True, slots=True)
class Plan:
    """`tasks` go through the decode workers; `stored` are photos whose due steps build on saved facts alone."""

    tasks: Sequence[Task]
    stored: Sequence[Picture]
    every_step: frozenset[str]

    def __len__(self) -> int:
        return len(self.tasks) + len(self.stored)

    def steps(self) -> set[str]:
        """The names of the steps that something here is due for."""
        if any(task.due is None for task in self.tasks):
            return set(self.every_step)
        return {n for task in self.tasks for n in task.due or ()} | {n for photo in self.stored for n in photo.due}

    def photo_ids(self) -> set[int]:
        """The known photos here; of files never read nothing is known yet."""
        return {task.photo_id for task in self.tasks if task.photo_id is not None} | {p.photo_id for p in self.stored}

    def without(self, skipped: Container[str]) -> Plan:
        """The plan less the steps that turned out not to run, and less what was due for them only."""
        tasks = [
            replace(t, due=None if t.due is None else _less(t.due, skipped))
            for t in self.tasks
            if t.due is None or _less(t.due, skipped)
        ]
        stored = [Picture(p.file, p.sha256, {}, (), left) for p in self.stored if (left := _less(p.due, skipped))]
        return Plan(tasks, stored, _less(self.every_step, skipped))


def make_plan(
    library: Library,
    steps: Steps,
    compared: Sequence[Comparison],
    options: ScanOptions,
    only: Collection[int] | None = None,
) -> Plan:
    """The files never read, then what the ledger says is due; `only` limits it to due photos of these ids."""
    due = _due(library, steps, compared, options)
    if only is not None:
        due = {photo_id: names for photo_id, names in due.items() if photo_id in only}
    tasks = [Task(file) for c in compared for file in c.unread] if only is None else []
    changed = {task.file.path for task in tasks}  # the catalog still tells of their former content
    stored: list[Picture] = []
    patterns = options.include or options.exclude or options.only is not None
    seen = set().union(*(c.seen for c in compared)) if patterns else None
    pixels = {spec.name for spec in steps.specs if spec.needs_pixels}
    for root in (c.root for c in compared):
        places = library.catalog.places(list(due), root, excepted=changed, among=seen)
        for photo_id, (file, sha256) in places.items():
            names = frozenset(due.pop(photo_id))
            if names & pixels:
                tasks.append(Task(file, names, photo_id))
            else:
                stored.append(Picture(file, sha256, {}, (), names))
    of_sidecars = frozenset(s.name for s in steps.specs if s.name == "metadata" or "metadata" in s.needs)
    tasks = _with_sidecars(library, tasks, {c.root for c in compared}, changed, of_sidecars)
    left = options.limit if options.limit is not None else len(tasks) + len(stored)
    every = frozenset(spec.name for spec in steps.runnable)
    return Plan(tasks[:left], stored[: max(0, left - len(tasks))], every)


def _with_sidecars(
    library: Library,
    tasks: Sequence[Task],
    walked: Collection[str],
    changed: Collection[str],
    of_sidecars: frozenset[str],
) -> list[Task]:
    """The tasks with the sidecars of all copies where metadata is due.

    Where one lies in a folder that is away, the steps `of_sidecars` are left out and stay due: done without it, nobody
    would read it once it is back.
    """
    ids = {task.photo_id for task in tasks if task.photo_id is not None and task.due and "metadata" in task.due}
    found = library.catalog.sidecars(ids, excepted=changed) if ids else {}
    away = unreachable({root for mine in found.values() for root, _ in mine if root not in walked}, _ANSWER_S)
    partly = {i for i, mine in found.items() if any(root in away for root, _ in mine)}
    beside = {i: tuple(path for _, paths in mine for path in paths) for i, mine in found.items()}
    ready = [replace(t, due=_less(t.due, of_sidecars)) if t.due and t.photo_id in partly else t for t in tasks]
    ready = [t for t in ready if t.due is None or t.due]
    return [t if t.photo_id is None else replace(t, sidecars=beside.get(t.photo_id, ())) for t in ready]


def _due(library: Library, steps: Steps, compared: Sequence[Comparison], options: ScanOptions) -> dict[int, set[str]]:
    """What the ledger says is due. A dry run has not told it what is to be done again, so that is counted here."""
    wanted = steps.wanted()
    if not options.dry_run:
        return library.catalog.due(wanted, DECODE_VERSION)
    due = library.catalog.due(wanted, DECODE_VERSION, options.rescan, options.retry_failed)
    for photo_id in [i for c in compared for _, i in c.residecared]:
        if any(want.step == "metadata" for want in wanted):
            due.setdefault(photo_id, set()).add("metadata")
    return due


def _less(names: frozenset[str], skipped: Container[str]) -> frozenset[str]:
    return frozenset(name for name in names if name not in skipped)
