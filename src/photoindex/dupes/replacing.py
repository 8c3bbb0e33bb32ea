"""Acts after which a file's bytes are left in another file only: a link in its place, the desktop's trash, deletion.

While an act goes on, the file has a second name beside it (`held_name`). As long as that name is there the act is not
done, and `settle_replaced` takes it back whatever was reached; when it is gone the act is done.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import replace as changed

from photoindex.dupes import trash
from photoindex.dupes.attributes import put_attributes
from photoindex.dupes.cloning import clone
from photoindex.dupes.journal import DELETE, HARDLINK, REFLINK, SYMLINK, TRASH, Act
from photoindex.dupes.moving import (
    NO_LINKS,
    FileChanged,
    copy_bytes,
    identity,
    part_name,
    publish,
    remove,
    sha256_of,
)
from photoindex.durable import sync_folder

LINKS = (HARDLINK, REFLINK, SYMLINK)


def held_name(act: Act) -> str:
    return part_name(act.path, act.sha256, "held")


def replace(act: Act, seen: os.stat_result, keeper: os.stat_result, made: Callable[[int], None]) -> None:
    """Do the act, if the file and the one that stays still are what they were seen to be.

    `made` is called with the inode of a clone, to note it before it is put in its place. Raises FileChanged and
    OSError, and then the file is where it was, or is put back by `settle_replaced` once that can be done.
    """
    new, held = part_name(act.path, act.sha256), held_name(act)
    try:
        if act.how in LINKS:
            remove(new)
            _make(act, new)
        if act.how == REFLINK:
            act = changed(act, inode=os.lstat(new).st_ino)
            made(act.inode)
        _hold(act, held)
        _check(held, seen)
        _let_go(act, new)
        sync_folder(os.path.dirname(act.path))
        _check(held, seen)
        if identity(os.lstat(act.keeper)) != identity(keeper):
            raise FileChanged(f"it is the same file as {act.keeper}, seen in another way")
        if act.how == TRASH and trash.can_bring_back():
            _is_in_trash(act)
    except (FileChanged, OSError):
        settle_replaced(act)
        raise
    remove(held)
    sync_folder(os.path.dirname(act.path))


def _make(act: Act, new: str) -> None:
    if act.how == HARDLINK:
        os.link(act.keeper, new, follow_symlinks=False)
    elif act.how == SYMLINK:
        os.symlink(act.place, new)
        if not os.path.samefile(new, act.keeper):
            raise FileChanged(f"a link to {act.keeper} would lead elsewhere")
    else:
        clone(act.keeper, new)
        if sha256_of(new)[0] != act.sha256:
            raise FileChanged("its clone did not read as it should")
        put_attributes(new, act.was)


def _hold(act: Act, held: str) -> None:
    try:
        os.link(act.path, held)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if act.how != TRASH:  # a file system without hard links; the trash takes a file by its name
            os.rename(act.path, held)


def _check(held: str, seen: os.stat_result) -> None:
    with contextlib.suppress(FileNotFoundError):  # see `_hold`
        if identity(os.lstat(held)) != identity(seen):
            raise FileChanged("it changed while it was looked at")


def _let_go(act: Act, new: str) -> None:
    if act.how in LINKS:
        os.rename(new, act.path)
    elif act.how == TRASH:
        trash.send(act.path)
    else:
        remove(act.path)


def _is_in_trash(act: Act) -> None:
    """Raises FileChanged where it could not be brought back from there."""
    entries = trash.entries_of(act.path)
    if not any(os.path.lexists(entry.file) and sha256_of(entry.file)[0] == act.sha256 for entry in entries):
        raise FileChanged("the trash does not hold it as it was")
    for entry in entries[:1]:
        sync_folder(os.path.dirname(entry.file))
        sync_folder(os.path.dirname(entry.info))


def settle_replaced(act: Act) -> None:
    """After a crash or an error: take back an act that was not done. Raises FileChanged and OSError."""
    held = held_name(act)
    remove(part_name(act.path, act.sha256))
    if os.path.lexists(held):
        if not os.path.lexists(act.path):
            publish(held, act.path)
        elif os.path.samestat(os.lstat(act.path), os.lstat(held)):
            os.unlink(held)
        elif act.how in LINKS and _is_ours(act):
            os.rename(held, act.path)
        else:
            raise FileChanged(f"something else lies there now; what was there before is {held}")
        sync_folder(os.path.dirname(act.path))
    if act.how == TRASH:
        trash.drop_spares(act.path)


def is_done(act: Act) -> bool:
    """Whether the act is done and not undone, once `settle_replaced` was there. Raises OSError."""
    if act.how == DELETE:
        return not os.path.lexists(act.path)
    if act.how == TRASH:
        return not _lies_there(act) and trash.find(act.path, act.sha256) is not None
    return os.path.lexists(act.path) and _is_ours(act)


def _lies_there(act: Act) -> bool:
    """Whether the file, or a copy of it, is in its place: what the trash holds is not of this act then."""
    with contextlib.suppress(OSError, FileChanged):
        return sha256_of(act.path)[0] == act.sha256
    return False


def _is_ours(act: Act) -> bool:
    """Whether what lies there is what the act put there."""
    if act.how == SYMLINK:
        return os.path.islink(act.path) and os.readlink(act.path) == act.place
    return os.lstat(act.path).st_ino == act.inode


def bring_back(act: Act, copies: Iterable[str]) -> None:
    """Undo an act that is done: the file with its bytes, times and permissions, as a file of its own.

    `copies`: where the bytes may still be, asked in order. Raises FileExistsError, FileChanged and OSError, and then
    what lies there is untouched.
    """
    if act.how == TRASH:
        trash.bring_back(act.path, act.sha256)
        return
    new = part_name(act.path, act.sha256)
    remove(new)
    source = _whole([act.path] if act.how in (HARDLINK, REFLINK) else [act.keeper, *copies], act)
    os.makedirs(os.path.dirname(act.path), exist_ok=True)
    try:
        copy_bytes(source, new, act.sha256)
        put_attributes(new, act.was)
        if act.how == DELETE:
            publish(new, act.path)
        elif os.path.lexists(act.path) and _is_ours(act):
            os.rename(new, act.path)
        else:
            raise FileExistsError(errno.EEXIST, "Something lies there", act.path)
    finally:
        with contextlib.suppress(OSError):
            remove(new)
    sync_folder(os.path.dirname(act.path))


def _whole(places: Iterable[str], act: Act) -> str:
    """The first place where the bytes are as they were."""
    for place in places:
        with contextlib.suppress(OSError, FileChanged):
            if sha256_of(place)[0] == act.sha256:
                return place
    if act.how in (HARDLINK, REFLINK):
        raise FileChanged("its bytes were changed since")
    raise FileChanged(f"no copy of its bytes is left; they were those of {act.keeper}")
