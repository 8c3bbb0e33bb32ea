"""Keeping a library whole: backups and restoring them, checks and repairs, its least size, and forgetting photos.

from photoindex import Library, read_settings
from photoindex.keeping import backup, restore

folder = read_settings().library
backup(Library.open(folder), Path("photos.zip"))
restore(folder, Path("photos.zip"), force=True)
"""

from photoindex.keeping.backup import Backup, backup, backup_words
from photoindex.keeping.check import check
from photoindex.keeping.compact import Compacted, compact
from photoindex.keeping.findings import Finding, Repaired
from photoindex.keeping.forget import Forgetting, forget, forgetting_files, forgetting_photos
from photoindex.keeping.repair import repair
from photoindex.keeping.restore import Restored, put_words, read_words_file, restore, restore_words
from photoindex.keeping.words import Merged, Words

__all__ = [
    "Backup",
    "Compacted",
    "Finding",
    "Forgetting",
    "Merged",
    "Repaired",
    "Restored",
    "Words",
    "backup",
    "backup_words",
    "check",
    "compact",
    "forget",
    "forgetting_files",
    "forgetting_photos",
    "put_words",
    "read_words_file",
    "repair",
    "restore",
    "restore_words",
]
