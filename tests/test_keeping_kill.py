"""kill -9 in backup, restore, compact, forget, repair and upgrade: nothing half, and it can be done again."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kept_library as kept
from photoindex.errors import LibraryNotFound
from photoindex.keeping import backup, check, compact, forget, forgetting_photos, repair, restore
from photoindex.models.registry import load_registry
from photoindex.store.library import Library
from test_migrations import make_old

# What changes the disk, and what makes it last: a process is killed before such a call.
_ACTS: tuple[tuple[Any, str], ...] = (
    (os, "fsync"),
    *((pathlib.Path, name) for name in ("replace", "rename", "unlink", "write_bytes", "mkdir")),
    (shutil, "rmtree"),
)


def act(name: str, folder: Path) -> None:
    """One of the commands on `folder`/library."""
    library = folder / "library"
    if name == "backup":
        backup(Library.open(library), folder / "backup.zip", force=True)
    elif name == "restore":
        restore(library, folder / "other.zip", force=True)
    elif name == "compact":
        compact(library)
    elif name == "repair":
        list(repair(library))
    elif name == "upgrade":
        with Library.writing(library):
            pass
    else:
        with Library.writing(library) as opened:
            forget(opened, forgetting_photos(opened, [kept.photo_id(n) for n in range(4)]), words=True)


def act_until(name: str, folder: Path, nth: int) -> None:
    """`act`, but the process dies as if by kill -9 before the n-th call of those above; 0 counts and prints them."""
    calls = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **named)

        return call

    for owner, function in _ACTS:
        setattr(owner, function, counted(getattr(owner, function)))
    act(name, folder)
    print(calls)


def run(name: str, folder: Path, nth: int) -> subprocess.CompletedProcess[str]:
    call = f"act_until({name!r}, pathlib.Path({str(folder)!r}), {nth})"
    script = f"import pathlib\nfrom test_keeping_kill import act_until\n{call}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parent)


def problems(library: Path) -> set[str]:
    return {f.code for f in check(library, load_registry(), library / "none") if f.level == "problem"}


def prepared(folder: Path, name: str) -> Path:
    """A folder with a library, and with what else the command needs."""
    if name == "upgrade":
        make_old(folder / "library", 2)
        return folder
    kept.make(folder / "library")
    with Library.writing(folder / "library") as library:
        if name == "restore":
            backup(library, folder / "other.zip")
            kept.fill(library, 50, 60)
        if name == "backup":
            backup(library, folder / "backup.zip")
        if name == "repair":
            library.thumbnail_path(kept.sha(0)).unlink()
            library.vectors.remove("image-m", [kept.photo_id(1)])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["backup", "restore", "compact", "forget", "repair", "upgrade"])
def test_whenever_it_is_killed_it_can_be_done_again(name: str, tmp_path: Path) -> None:
    base = prepared(tmp_path / "base", name)
    before = kept.state(Library(base / "library")) if name != "upgrade" else None
    shutil.copytree(base, tmp_path / "undisturbed")
    done = run(name, tmp_path / "undisturbed", 0)
    assert done.returncode == 0, done.stderr
    total, after = int(done.stdout), kept.state(Library.open(tmp_path / "undisturbed" / "library"))
    assert total > 3
    for nth in sorted({total, *(1 + total * part // 5 for part in range(5))}):
        folder = tmp_path / f"{nth}"
        shutil.copytree(base, folder)
        assert run(name, folder, nth).returncode == -signal.SIGKILL, f"{nth} of {total}"
        if name != "repair":
            assert problems(folder / "library") == set(), f"{nth} of {total}"
        if name in ("backup", "restore", "compact"):
            assert kept.state(Library.open(folder / "library")) in (before, after), f"{nth} of {total}"
        if name == "backup":
            assert zipfile.ZipFile(folder / "backup.zip").testzip() is None  # the older one or the new
        act(name, folder)
        if name == "forget":  # what was forgotten in the catalog alone is nobody's any more
            list(repair(folder / "library"))
        assert kept.state(Library.open(folder / "library")) == after, f"{nth} of {total}"
        assert problems(folder / "library") == set()
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
        shutil.rmtree(folder)


def test_a_library_that_lay_ready_is_put_in_place_by_whoever_comes_next(tmp_path: Path) -> None:
    """Killed between the old catalog's going and the new one's coming, which is the worst moment."""
    base = prepared(tmp_path, "restore")
    before = kept.state(Library.open(base / "library"))
    original, moved = pathlib.Path.rename, []

    def rename(self: Path, target: Path) -> Path:
        if self.name == "catalog.duckdb" and self.parent.name == "restoring":
            raise KeyboardInterrupt
        moved.append(self.name)
        return original(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pathlib.Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            act("restore", base)
    assert "catalog.duckdb" in moved
    assert not (base / "library" / "catalog.duckdb").exists()
    restored = kept.state(Library.open(base / "library"))
    assert len(restored["photos"]) == kept.PHOTOS < len(before["photos"])
    assert problems(base / "library") == set()
    with pytest.raises(LibraryNotFound):
        Library.open(tmp_path / "none")
