"""Opening the catalog file for the moment of one question or one commit.

DuckDB locks the file for a writing process and shuts every other process out meanwhile, so nobody keeps it
open: a scan that runs for days lets a search in between any two of its commits.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from photoindex.errors import LibraryBusy, LibraryCorrupt, LibraryNotFound, LibraryNotWritable, LibraryTooNew
from photoindex.store.migrations import SCHEMA, migrate, schema_version

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WAIT_S = 10.0
# A scan may have run for days: another program that looks into the catalog must not end it.
WRITER_WAIT_S = 600.0
_RETRY_S = 0.02
_CANNOT_WRITE = ("Permission denied", "Read-only file system", "No space left", "quota exceeded", "File too large")


class CatalogFile:
    """The DuckDB file of a library. One process may not mix read-only and writing connections, so a
    writing process opens all of them for writing; `_turn` keeps its threads from overlapping."""

    def __init__(self, path: Path, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self._turn = threading.RLock()
        self._known = False

    @contextlib.contextmanager
    def read(self) -> Iterator[DuckDBPyConnection]:
        """A connection for questions. Raises the Library* errors of `errors`."""
        with self._turn, self._explained(), contextlib.closing(self._open()) as con:
            yield con

    @contextlib.contextmanager
    def write(self) -> Iterator[DuckDBPyConnection]:
        """One transaction: committed (and on disk) when the block ends, rolled back when it raises."""
        import duckdb

        with self._turn, self._explained(), contextlib.closing(self._open()) as con:
            con.begin()
            try:
                yield con
                con.commit()
            except BaseException:
                with contextlib.suppress(duckdb.Error):  # a failed commit has already rolled back
                    con.rollback()
                raise

    def create(self) -> None:
        """Make the file, or bring an older one up to this program's schema."""
        import duckdb

        if not self.path.exists():
            # Under its own name it is whole: a full disk or a kill would else leave a file that nothing can open.
            part = self.path.with_suffix(".part")
            for left in (part, part.with_suffix(".part.wal")):
                left.unlink(missing_ok=True)
            with self._explained(), contextlib.closing(duckdb.connect(part)) as con:
                migrate(con)
            part.replace(self.path)
        with self._turn, self._explained(), contextlib.closing(self._open()) as con:
            if schema_version(con) < SCHEMA:
                migrate(con)

    def _open(self) -> DuckDBPyConnection:
        import duckdb

        if not self.writable and not self.path.is_file():
            raise LibraryNotFound(self.path.parent)
        deadline = time.monotonic() + (WRITER_WAIT_S if self.writable else WAIT_S)
        while True:
            try:
                con = duckdb.connect(self.path, read_only=not self.writable)
                break
            except duckdb.Error as error:
                if "Could not set lock" not in str(error):
                    raise self._explain(error) from error
                if time.monotonic() > deadline:
                    raise LibraryBusy(self.path.parent, _holder(str(error)), "a moment ago") from error
                time.sleep(_RETRY_S)
        if self._is_older(con):
            con.close()
            self._upgrade()
            return self._open()
        return con

    def _is_older(self, con: DuckDBPyConnection) -> bool:
        """Whether a reader has to bring the library up to date first. Raises LibraryTooNew.

        Once is enough: a program that upgrades the library meanwhile leaves what older ones read.
        """
        if self._known:
            return False
        version = schema_version(con)
        if version > SCHEMA:
            con.close()
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
        except (*unsound, duckdb.TransactionException) as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> Exception:
        text = _first_line(error)
        if any(words in text for words in _CANNOT_WRITE):
            return LibraryNotWritable(self.path.parent, text)
        return LibraryCorrupt(self.path.parent, text)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _holder(message: str) -> str:
    _, found, rest = message.partition("(PID ")
    return rest.partition(")")[0] if found else "of another program"
