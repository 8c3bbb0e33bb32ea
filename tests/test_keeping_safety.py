"""What backup, restore, check and compact must never do: lose what was there, or trust a file that they were given."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

import kept_library as kept
from photoindex.errors import BackupNotWritten, LibraryNotWritable
from photoindex.keeping import backup, compact
from photoindex.store import snapshot
from photoindex.store.library import Library


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("safe")
    kept.make(folder / "library")
    backup(Library.open(folder / "library"), folder / "backup.zip")
    return folder


@pytest.fixture
def made(_made: Path, tmp_path: Path) -> Path:
    """A folder with a full `library`, of this test alone, and its `backup.zip`."""
    shutil.copytree(_made, tmp_path / "made")
    return tmp_path / "made"


# --- copies of the catalog -------------------------------------------------------------------------------------------


class _ShortCopy:
    """A connection that copies as DuckDB 1.x does on a full disk: without an error, and not all."""

    def __init__(self, con: duckdb.DuckDBPyConnection, how: str) -> None:
        self._con, self._how = con, how

    def execute(self, sql: str, *given: Any) -> Any:
        if sql.startswith("CHECKPOINT copied") and self._how == "a table lacks rows":
            self._con.execute("DELETE FROM copied.main.photos WHERE rowid = 0")
        if sql.startswith("COPY FROM DATABASE") and self._how == "nothing is there":
            return None
        return self._con.execute(sql, *given)


@pytest.mark.parametrize("how", ["a table lacks rows", "nothing is there"])
def test_a_copy_of_the_catalog_that_is_not_whole_takes_no_place(
    made: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, whole = kept.state(Library.open(made / "library")), snapshot.copy_database
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "copy_database", lambda con, to: whole(_ShortCopy(con, how), to))  # type: ignore[arg-type]
        with pytest.raises(LibraryNotWritable, match="not whole"):
            compact(made / "library")
        with pytest.raises(BackupNotWritten, match="not whole"):
            backup(Library.open(made / "library"), made / "new.zip")
    assert kept.state(Library.open(made / "library")) == before
    assert not list((made / "library").glob("catalog.compact*"))
    assert sorted(path.name for path in made.iterdir()) == ["backup.zip", "library"]
