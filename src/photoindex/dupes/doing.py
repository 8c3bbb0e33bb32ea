"""One act upon one file, of whichever kind: doing it, putting right what a crash left, telling whether it is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable

from photoindex.dupes import replacing
from photoindex.dupes.disks import unplugged
from photoindex.dupes.journal import MOVE, SYMLINK, Act, Journal
from photoindex.dupes.moving import FileChanged, move, settle, sha256_of
from photoindex.store.library import Library


def do(act: Act, seen: os.stat_result, keeper: os.stat_result, journal: Journal) -> None:
    """Raises FileChanged, in words, where the file is left alone. `seen`, `keeper`: as `sha256_of` told of both."""
    try:
        if act.how == MOVE:
            move(act.path, act.place, act.sha256, seen)
            if not os.path.lexists(act.keeper):  # one file seen in two ways, as over two mounts
                raise FileChanged(f"it is the same file as {act.keeper}, seen in another way")
        else:
            replacing.replace(act, seen, keeper, lambda inode: journal.write({"made": act.path, "inode": inode}))
    except (OSError, FileChanged) as error:
        with contextlib.suppress(OSError, FileChanged):
            put_right(act)
            if isinstance(error, OSError) and is_done(act):
                return
            take_back(act, ())
        raise FileChanged(in_words(act, error)) from error


def in_words(act: Act, error: Exception) -> str:
    """Why an act came to nothing, and where the file is if it is not in its place."""
    told = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    where = [place for place in (act.place, replacing.held_name(act)) if os.path.isfile(place)]
    return f"{told}; the file is {where[0]}" if where and not os.path.lexists(act.path) else told


def put_right(act: Act) -> None:
    """After a crash: leave an act either done or not begun. Raises FileChanged and OSError."""
    if act.how == MOVE:
        settle(act.path, act.place, act.sha256)
    else:
        replacing.settle_replaced(act)


def is_done(act: Act) -> bool:
    """Whether an act is done, and not undone, once it was put right. Raises OSError."""
    return os.path.lexists(act.place) if act.how == MOVE else replacing.is_done(act)


def take_back(act: Act, copies: Iterable[str]) -> None:
    """Undo an act where it is done. `copies`: where else its bytes may be.

    What lies at `act.path` by then is never overwritten, unless the act put it there. Raises FileExistsError,
    FileChanged and OSError.
    """
    if not is_done(act):
        return
    if act.how != MOVE:
        replacing.bring_back(act, copies)
        return
    sha256, seen = sha256_of(act.place)
    if sha256 != act.sha256:
        raise FileChanged("its bytes changed in the quarantine")
    os.makedirs(os.path.dirname(act.path), exist_ok=True)
    move(act.place, act.path, sha256, seen)


def finish_runs(library: Library, tell: Callable[[Library, Journal, list[Act]], None]) -> None:
    """Put right what runs that were killed left, and tell the catalog. Raises OSError and the Library* errors.

    A run of which something could not be put right, as on a disk that is unplugged, stays open for the next time.
    """
    trouble_with = unplugged()
    for journal in Journal.all(library.folder):
        if journal.is_over():
            continue
        done, open_still = list[Act](), False
        for unit in journal.units():
            try:
                if trouble_with(unit, ""):
                    open_still = True
                else:
                    _finish(unit, done)
            except (FileChanged, OSError):  # `undo` tells; here something else lies in the way
                open_still = True
        tell(library, journal, done)
        if not open_still:
            journal.write({"ended": True, "killed": True})


def _finish(unit: list[Act], done: list[Act]) -> None:
    """Note the acts of a unit that are done. What goes along goes only with its picture.

    Raises FileChanged and OSError.
    """
    goes = False
    for act in unit:
        put_right(act)
        if is_done(act):
            goes = goes or act is unit[0]
            if goes:
                done.append(act)
            else:
                take_back(act, ())


def symlinks(library: Library) -> dict[str, str]:
    """What symbolic links of earlier runs lead to, with the id of the run."""
    found: dict[str, str] = {}
    for journal in Journal.all(library.folder):
        if journal.target() == SYMLINK:
            found |= {act.keeper: journal.id for unit in journal.units() for act in unit if is_done(act)}
    return found
