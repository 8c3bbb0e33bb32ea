"""A backup of the catalog before its schema changes. Vectors and thumbnails are not touched by that."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import photoindex
from photoindex.errors import BackupNotWritten
from photoindex.events import tell
from photoindex.store.backup_file import CATALOG, writing_backup
from photoindex.store.migrations import SCHEMA
from photoindex.store.snapshot import copy_database

if TYPE_CHECKING:
    from photoindex.store.connection import CatalogFile

BACKUPS = "backups"
UPGRADED = "library_upgraded"
_KEPT = 3


def keep_before_upgrade(file: CatalogFile, schema: int) -> Path:
    """Back up the catalog to `backups` in the library's folder, and tell of it by the event `library_upgraded`.

    The newest few are kept. `photoindex restore` takes them. Raises BackupNotWritten.
    """
    library = file.path.parent
    folder = library / BACKUPS
    target = folder / f"before-schema-{SCHEMA}-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BackupNotWritten(target, error.strerror or str(error)) from error
    with writing_backup(target, force=True) as backup:
        copy = backup.scratch / CATALOG
        with file.copying(copy) as con:
            copy_database(con, copy)
        backup.add_file(CATALOG, copy)
        made = {"made_at": datetime.now(UTC).isoformat(timespec="seconds"), "photoindex": photoindex.__version__}
        backup.finish({"kind": "catalog", "schema": schema, "library": str(library), **made})
    keep_newest(folder, "before-schema-*.zip", _KEPT)
    tell(UPGRADED, logging.WARNING, before=schema, after=SCHEMA, backup=str(target))
    return target


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Delete all but the newest files of a pattern."""
    by_age = sorted(folder.glob(pattern), key=lambda path: (path.stat().st_mtime_ns, path.name))
    for path in by_age[:-count]:
        path.unlink(missing_ok=True)
