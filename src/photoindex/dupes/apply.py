"""Doing what a plan says, reversibly: nothing leaves its place before it and what stays were read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from photoindex.dupes.attributes import attributes_of
from photoindex.dupes.cloning import CANNOT, UNKNOWN, foreseen
from photoindex.dupes.companions import companions
from photoindex.dupes.disks import OutOfReach, mount_of
from photoindex.dupes.doing import do, finish_runs, symlinks, take_back
from photoindex.dupes.journal import HARDLINK, MOVE, REFLINK, SYMLINK, TRASH, Act, Journal
from photoindex.dupes.moving import FileChanged, put_on_disk, reserved, same_bytes, sha256_of
from photoindex.dupes.targets import TARGETS, ApplyOptions, check_options
from photoindex.dupes.telling import finish, tell
from photoindex.errors import LibraryNotWritable, PlanOutOfReach, UsageError
from photoindex.media.reach import IS_EMPTY
from photoindex.pure.plans import Plan, PlannedFile, PlannedGroup
from photoindex.pure.tiers import IDENTICAL
from photoindex.store.library import Library

_TELL_EVERY = 200
QUARANTINED = ApplyOptions()


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a file of a plan.

    `bytes`: its size; `problem`: in words why it was left alone, or None; `note`: what else there is to say of it, or
    empty; `along`: paths of what went with it; `disk`: where it is mounted, if all of that disk have this problem or
    note, else empty; `away`: the problem is that a folder cannot be reached, which it names.
    """

    path: str
    bytes: int
    problem: str | None = None
    note: str = ""
    along: tuple[str, ...] = ()
    disk: str = ""
    away: bool = False


def apply_plan(library: Library, plan: Plan, options: ApplyOptions = QUARANTINED) -> Iterator[Done | str]:
    """Let go what the plan lets go, one file after the other; first yields the run's id, empty for a dry run.

    Before each act the bytes of the file and of the one that stays are read again; what is not as the plan says is
    left alone. The catalog learns what went, also where the iteration is left early. `library` must be open for
    writing. Raises UsageError, PlanOutOfReach where not one file can be reached, LibraryNotWritable and other Library*
    errors.
    """
    if PurePath(plan.library) != library.folder:
        raise UsageError(f"This plan is of the library at {plan.library}, not of {library.folder}.")
    check_options(options, plan)
    try:
        run = _Run(library, plan, options)
        yield run.journal.id if run.journal else ""
        try:
            for group in plan.groups:
                for file in group.go:
                    yield run.let_go(file, group)
        finally:
            run.tell()
        if run.journal:
            run.journal.write({"ended": True})
    except OSError as error:
        raise LibraryNotWritable(library.folder, error.strerror or str(error)) from error


class _Run:
    """An application of a plan. `journal` is None for a dry run."""

    def __init__(self, library: Library, plan: Plan, options: ApplyOptions) -> None:
        self._library, self._options = library, options
        self._how = TARGETS[options.to]
        self._planned = {file.path for group in plan.groups for file in (*group.keep, *group.go)}
        if not options.dry_run:
            finish_runs(library, finish)  # one that was killed may have emptied a folder
        self._away = OutOfReach(library.queries.roots(), self._planned)
        self._check_reach(plan)
        self._untold: list[Act] = []
        self.journal: Journal | None = None
        if not options.dry_run:
            self.journal = Journal.begin(library.folder, options.to, sum(len(group.go) for group in plan.groups))
        self._linked = symlinks(library)
        self._foreseen = foreseen(library.folder)

    def _check_reach(self, plan: Plan) -> None:
        """Raises PlanOutOfReach where nothing at all could be done.

        A folder that is empty may be one that this plan has emptied: its files are told one by one.
        """
        why = [self._why_away(file, group, self._away.why) for group in plan.groups for file in group.go]
        if why and all(why) and not any(IS_EMPTY in one for one in why):
            raise PlanOutOfReach("; ".join(dict.fromkeys(why)))

    def _why_away(self, file: PlannedFile, group: PlannedGroup, why: Callable[[str], str]) -> str:
        return why(file.path) or why(_stays_for(file, group).path)

    def let_go(self, file: PlannedFile, group: PlannedGroup) -> Done:
        """Raises OSError where the journal cannot be written."""
        if away := self._why_away(file, group, self._away.why):
            return Done(file.path, file.size, _once_back(away), away=True)
        try:
            with reserved(file.path, _stays_for(file, group).path):
                return self._let_go(file, group)
        except FileChanged as error:
            if away := self._why_away(file, group, self._away.why_now):
                return Done(file.path, file.size, _once_back(away), away=True)
            return Done(file.path, file.size, str(error), disk=mount_of(file.path) if str(error) == CANNOT else "")

    def _let_go(self, file: PlannedFile, group: PlannedGroup) -> Done:
        try:
            keeper, seen, kept = _checked(file, group)
            self._refuse(file.path, seen, keeper, kept)
            unit, looks, note = self._unit(file, group, keeper, seen, kept)
            if self._how == REFLINK and not self.journal and (note := self._foreseen(seen, kept)) == CANNOT:
                raise FileChanged(note)
            if self.journal and self._how not in (MOVE, TRASH):
                put_on_disk(keeper)  # from now on it alone holds these bytes
        except OSError as error:
            raise FileChanged(error.strerror or str(error)) from error
        if self.journal:
            self.journal.announce(unit)
            _do_all(unit, looks, kept, self.journal)
            self._untold += unit
            if len(self._untold) >= _TELL_EVERY:
                self.tell()
        disk = mount_of(file.path) if note == UNKNOWN else ""
        return Done(file.path, file.size, note=note, along=tuple(act.path for act in unit[1:]), disk=disk)

    def tell(self) -> None:
        """Tell the catalog what went since it was told last."""
        acts, self._untold = self._untold, []
        if self.journal:
            tell(self._library, self.journal, acts)

    def _refuse(self, path: str, seen: os.stat_result, keeper: str, kept: os.stat_result) -> None:
        """Raises FileChanged where this target is not right for this file."""
        if path in self._linked:
            raise FileChanged(f"a symbolic link of the run {self._linked[path]} leads to it; undo that first")
        if self._how in (MOVE, TRASH):
            return
        if seen.st_nlink > 1:
            raise FileChanged("it has other hard links, which undo could not tie again; take --to quarantine")
        if self._how in (HARDLINK, SYMLINK) and seen.st_uid != kept.st_uid:
            raise FileChanged(f"it belongs to another user than {keeper}; take --to quarantine")
        if self._how == HARDLINK and seen.st_dev != kept.st_dev:
            raise FileChanged(f"it lies on another disk than {keeper}; take --to symlink or quarantine")

    def _unit(
        self, file: PlannedFile, group: PlannedGroup, keeper: str, seen: os.stat_result, kept: os.stat_result
    ) -> tuple[list[Act], list[os.stat_result], str]:
        """The acts for a picture, first, and what goes along; what their files are now; and what stays behind."""
        contents = {kept.sha256 for kept in group.keep}
        into = file.sha256 if file.tier == IDENTICAL else next(iter(contents)) if len(contents) == 1 else ""
        unit = [self._act(file.path, file.sha256, self._how, keeper, into, seen, kept)]
        if self._how in (HARDLINK, REFLINK, SYMLINK):
            return unit, [seen], ""
        along = companions(file.path, keeper, self._options.along, self._planned)
        found = [(path, *sha256_of(path)) for path in along.go]
        how = TRASH if self._how == TRASH else MOVE
        unit += [self._act(path, sha256, how, keeper, "", mine, kept) for path, sha256, mine in found]
        looks = [seen, *(mine for _, _, mine in found)]
        told = f"{', '.join(along.stay)} stays: no other copy is beside {keeper}" if along.stay else ""
        return unit, looks, told

    def _act(
        self, path: str, sha256: str, how: str, keeper: str, into: str, seen: os.stat_result, kept: os.stat_result
    ) -> Act:
        place = self.journal.new_place(path) if how == MOVE and self.journal else ""
        if how == SYMLINK:  # relative: a library that is moved as a whole, or mounted elsewhere, keeps its links
            place = _relative(keeper, os.path.dirname(path))
        was = {} if how in (MOVE, TRASH) else attributes_of(path, seen)
        inode = kept.st_ino if how == HARDLINK else 0
        return Act(path, sha256, how, place, keeper, inode, was, into, mount_of(path))


def _once_back(away: str) -> str:
    return f"{away}, and it holds the file or what stays for it; plug its disk in and apply the plan again"


def _relative(path: str, folder: str) -> str:
    try:
        return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    except ValueError:  # another drive of Windows
        return path


def _stays_for(file: PlannedFile, group: PlannedGroup) -> PlannedFile:
    """A plan that was checked has one."""
    stays = [k for k in group.keep if k.sha256 == file.sha256] if file.tier == IDENTICAL else group.keep
    return stays[0]


def _do_all(unit: list[Act], looks: list[os.stat_result], kept: os.stat_result, journal: Journal) -> None:
    """A picture and what goes along, all or none; the picture last, because it may turn out to be the one that stays.

    Raises FileChanged, where none went.
    """
    done: list[Act] = []
    try:
        for act, seen in [*zip(unit, looks, strict=True)][::-1]:
            done.append(act)
            do(act, seen, kept, journal)
    except FileChanged as error:
        for act in reversed(done[:-1]):
            try:
                take_back(act, ())
            except (OSError, FileChanged) as other:
                raise FileChanged(f"{error}; and {act.path} could not come back, `undo` tries again: {other}") from None
        if done[-1] is not unit[0]:
            raise FileChanged(f"{os.path.basename(done[-1].path)}: {error}") from None
        raise


def _checked(file: PlannedFile, group: PlannedGroup) -> tuple[str, os.stat_result, os.stat_result]:
    """The path that stays for this file, and what the file and that one are now. Raises OSError and FileChanged."""
    sha256, seen = sha256_of(file.path)
    if (sha256, seen.st_size) != (file.sha256, file.size):
        raise FileChanged("its bytes are not those of the plan any more")
    keeper = _stays_for(file, group)
    try:
        kept, found = sha256_of(keeper.path)
    except OSError as error:
        raise FileChanged(f"what stays cannot be read: {keeper.path}: {error.strerror}") from None
    if kept != keeper.sha256:
        raise FileChanged(f"what stays is not as the plan says any more: {keeper.path}")
    if os.path.samestat(seen, found):
        raise FileChanged(f"it is the same file as {keeper.path}, which stays")
    if file.tier == IDENTICAL and not same_bytes(file.path, keeper.path):
        raise FileChanged(f"its bytes are not those of {keeper.path}")
    return keeper.path, seen, found
