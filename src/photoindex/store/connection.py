"""Opening the catalog file for the moment of one question or one commit.

DuckDB locks the file for a writing process and shuts every other process out meanwhile, so nobody keeps it
open: a scan that runs for days lets a search in between any two of its commits. What is slow about opening is to start
DuckDB, ten times the rest, so a reading process keeps an engine without a file, to which the file is attached for the
moment of a question. Neither reaches any other file, whatever the catalog holds: somebody else may have made it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from photoindex.errors import (
    LibraryBusy,
    LibraryCorrupt,
    LibraryForeign,
    LibraryNotFound,
    LibraryNotWritable,
    LibraryTooNew,
    LibraryUnreadable,
    UsageError,
)
from photoindex.store.migrations import SCHEMA, migrate, schema_version

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WAIT_S = 10.0
# A scan may have run for days: another program that looks into the catalog must not end it.
WRITER_WAIT_S = 600.0
# How long those who would read stand back for one who waits to write, and how soon its mark is an old one.
_COURTESY_S, _FRESH_S = 2.0, 0.5
_RETRY_S = 0.02
_IN_USE = ("Could not set lock", "Unique file handle conflict", "different configuration")
_NAME = "library"  # of the attached file
# DuckDB's own files beside a database: nothing else can be read, written or loaded while it is open.
_BESIDE = ("", ".wal", ".wal.recovery", ".wal.checkpoint")
Opened = TypeVar("Opened")
_CANNOT_WRITE = ("Permission denied", "Read-only file system", "No space left", "quota exceeded", "File too large")


class CatalogFile:
    """The DuckDB file of a library. One process may not mix read-only and writing connections, so a
    writing process opens all of them for writing; `_turn` keeps its threads from overlapping. Raises UsageError for a
    path that DuckDB cannot open."""

    def __init__(self, path: Path, writable: bool) -> None:
        _check_name(path)
        self.path = path
        self.writable = writable
        self._turn = threading.RLock()
        self._known = False
        self._engine: DuckDBPyConnection | None = None
        self._readers = 0
        self._copy: Path | None = None  # see `copying`
        self._wanted = path.with_suffix(".wanted")  # there, and touched again and again, while a writer waits
        self.answers: dict[str, tuple[Any, list[tuple[Any, ...]]]] = {}  # see `remembered`

    @contextlib.contextmanager
    def read(self) -> Iterator[DuckDBPyConnection]:
        """A connection for questions. Raises the Library* errors of `errors`."""
        opened = self._opened_to_write if self.writable else self._attached
        with self._turn, self._explained(), opened() as con:
            yield con

    @contextlib.contextmanager
    def write(self) -> Iterator[DuckDBPyConnection]:
        """One transaction: committed (and on disk) when the block ends, rolled back when it raises."""
        import duckdb

        with self._turn, self._explained(), self._opened_to_write() as con:
            con.begin()
            try:
                yield con
                con.commit()
            except BaseException:
                with contextlib.suppress(duckdb.Error):  # a failed commit has already rolled back
                    con.rollback()
                raise

    @contextlib.contextmanager
    def copying(self, to: Path) -> Iterator[DuckDBPyConnection]:
        """As `read`, but `to` can be reached too, to write a copy."""
        _check_name(to)
        other = CatalogFile(self.path, self.writable)
        other._copy = to
        with self._turn, other.read() as con:
            yield con

    def create(self) -> None:
        """Make the file, or bring an older one up to this program's schema, of which a backup is kept.

        Raises BackupNotWritten, and then the older one is as it was.
        """
        import duckdb

        if not self.path.exists():
            # Under its own name it is whole: a full disk or a kill would else leave a file that nothing can open.
            part = self.path.with_suffix(".part")
            for left in (part, part.with_suffix(".part.wal")):
                left.unlink(missing_ok=True)
            with self._explained(), contextlib.closing(duckdb.connect(part)) as con:
                migrate(con)
            part.replace(self.path)
        with self._turn:
            with self._explained(), self._opened_to_write() as con:
                before = schema_version(con)
            if 0 < before < SCHEMA:
                from photoindex.store.upgrade import keep_before_upgrade

                keep_before_upgrade(self, before)
            if before < SCHEMA:
                with self._explained(), self._opened_to_write() as con:
                    migrate(con)

    @contextlib.contextmanager
    def _opened_to_write(self) -> Iterator[DuckDBPyConnection]:
        import duckdb

        free = "false" if self._copy is None else "true"
        config: dict[str, str | bool | int | float | list[str]] = {"enable_external_access": free}
        with contextlib.closing(self._patiently(lambda: duckdb.connect(self.path, config=config))) as con:
            if self._copy is not None:
                self._shut_in(con)
            self._is_older(con)
            yield con

    def _shut_in(self, con: DuckDBPyConnection) -> None:
        """Leave in reach the files of the catalog, and of the copy that is made, before the catalog is asked."""
        paths = [f"{path}{end}" for path in (self.path, self._copy) if path is not None for end in _BESIDE]
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        con.execute(f"SET allowed_paths = [{listed}]")
        con.execute("SET enable_external_access = false")

    @contextlib.contextmanager
    def _attached(self) -> Iterator[DuckDBPyConnection]:
        """A connection of the engine with the file attached for reading. One within another shares the file."""
        engine = self._idle_engine()
        if not self._readers:
            self._attach(engine)
        self._readers += 1
        try:
            with contextlib.closing(engine.cursor()) as con:
                con.execute(f"USE {_NAME}")
                yield con
        finally:
            self._readers -= 1
            if not self._readers:
                engine.execute(f"DETACH {_NAME}")

    def _attach(self, engine: DuckDBPyConnection) -> None:
        """Raises LibraryNotFound, LibraryBusy, LibraryTooNew and what `_upgrade` does."""
        if not self.path.is_file():
            raise LibraryNotFound(self.path.parent)
        self._stand_back()
        path = str(self.path).replace("'", "''")
        self._patiently(lambda: engine.execute(f"ATTACH '{path}' AS {_NAME} (READ_ONLY, TYPE duckdb)"))
        older = True
        try:
            with contextlib.closing(engine.cursor()) as con:
                con.execute(f"USE {_NAME}")
                older = self._is_older(con)
        finally:
            if older:
                engine.execute(f"DETACH {_NAME}")
        if older:
            self._upgrade()
            self._attach(engine)

    def _idle_engine(self) -> DuckDBPyConnection:
        """DuckDB without a file, and with none but ours in reach."""
        import duckdb

        if self._engine is None:
            # What a question has no memory for goes beside the catalog, not into the folder that somebody is in.
            self._engine = duckdb.connect(":memory:", config={"temp_directory": f"{self.path}.tmp"})
            weakref.finalize(self, self._engine.close)  # also where the process ends at once
            self._shut_in(self._engine)
        return self._engine

    def _patiently(self, act: Callable[[], Opened]) -> Opened:
        """Try again while another process has the file, or another part of this one. Raises LibraryBusy.

        Readers that come one upon another could keep a writer out for ever, so those that come later wait for it.
        """
        import duckdb

        deadline = time.monotonic() + (WRITER_WAIT_S if self.writable else WAIT_S)
        waiting = False
        try:
            while True:
                try:
                    return act()
                except duckdb.Error as error:
                    if not any(words in str(error) for words in _IN_USE):
                        raise self._explain(error) from error
                    if time.monotonic() > deadline:
                        raise LibraryBusy(self.path.parent, _holder(str(error)), "a moment ago") from error
                waiting = self.writable
                with contextlib.suppress(OSError):  # it must manage without being seen, then
                    if waiting:
                        self._wanted.touch()
                time.sleep(_RETRY_S)
        finally:
            if waiting:
                with contextlib.suppress(OSError):
                    self._wanted.unlink(missing_ok=True)

    def _stand_back(self) -> None:
        """Let a writer that waits go first; one that was killed meanwhile is soon seen not to wait any more."""
        deadline = time.monotonic() + _COURTESY_S
        while time.monotonic() < deadline:
            try:
                if abs(time.time() - self._wanted.stat().st_mtime) > _FRESH_S:
                    return
            except OSError:
                return
            time.sleep(_RETRY_S)

    def _is_older(self, con: DuckDBPyConnection) -> bool:
        """Whether a reader has to bring the library up to date first. Raises LibraryTooNew.

        Once is enough: a program that upgrades the library meanwhile leaves what older ones read.
        """
        if self._known:
            return False
        version = schema_version(con)
        if version > SCHEMA:
            raise LibraryTooNew(self.path.parent, version, SCHEMA)
        self._known = self.writable or version == SCHEMA
        return not self._known

    def _upgrade(self) -> None:
        """Bring an older library up to this program's schema, as its writer. Raises LibraryBusy, LibraryNotWritable."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.path.parent / "writer.lock", timeout=0):
                CatalogFile(self.path, writable=True).create()
        except Timeout as error:
            raise LibraryBusy(self.path.parent, "of another program", "before this version was installed") from error
        except OSError as error:
            raise LibraryNotWritable(self.path.parent, error.strerror or str(error)) from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what an error of the disk or the file means; errors of the program's own SQL pass."""
        import duckdb

        unsound = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
        try:
            yield
        except duckdb.PermissionException as error:
            raise LibraryForeign(self.path.parent, _first_line(error)) from error
        except (*unsound, duckdb.TransactionException) as error:
            raise self._explain(error) from error
        except duckdb.Error as error:
            if "orrupt" not in str(error):  # a block that is not as its checksum says has no error of its own
                raise
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> Exception:
        text = _first_line(error)
        if not self.writable and "Permission denied" in text:
            return LibraryUnreadable(self.path.parent, text)
        if any(words in text for words in _CANNOT_WRITE):
            return LibraryNotWritable(self.path.parent, text)
        return LibraryCorrupt(self.path.parent, text)


def _check_name(path: Path) -> None:
    """DuckDB takes what follows a question mark for options, and a backslash for a slash."""
    if wrong := next((char for char in ("?", "\\") if char in str(path) and char != os.sep), None):
        raise UsageError(f"DuckDB cannot open a file with {wrong} in the names of its folders: {path}. Choose others.")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _holder(message: str) -> str:
    _, found, rest = message.partition("(PID ")
    return rest.partition(")")[0] if found else "of another program"
