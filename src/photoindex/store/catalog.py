"""The writing half of the catalog: what a scan asks and saves. Reading for people is in `queries`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photoindex.records import Analysed, FoundFile, KnownFile, Outcome, Problem, photo_id_of
from photoindex.store.arrow import decode_path, delete_matching, encode_path, insert, to_arrow
from photoindex.store.connection import CatalogFile
from photoindex.store.facts import FACT_TABLES, fact_rows
from photoindex.store.other_models import set_aside, take_back
from photoindex.store.remembered import remembered
from photoindex.store.tag_scores import derive_tags

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DECODE = "decode"
_FILE_COLUMNS = [
    "path",
    "root",
    "size",
    "mtime_ns",
    "device",
    "inode",
    "sidecars",
    "sidecar_sig",
    "photo_id",
    "missing_since",
    "code",
    "message",
]
_LEDGER_COLUMNS = [
    "photo_id",
    "step",
    "version",
    "status",
    "model",
    "runtime",
    "ms",
    "code",
    "message",
    "done_at",
    "run_id",
    "fingerprint",
]
_DUE = """
SELECT p.photo_id FROM photos p
SEMI JOIN (SELECT photo_id FROM files WHERE missing_since IS NULL) f USING (photo_id)
ANTI JOIN (SELECT photo_id FROM ledger WHERE step = $step AND version = $version AND status <> 'skipped'
           AND model IS NOT DISTINCT FROM $model AND coalesce(fingerprint = $fingerprint, true)
           AND NOT $again AND NOT ($retry AND status = 'failed')) l
    USING (photo_id)
ANTI JOIN (SELECT photo_id FROM ledger WHERE step = 'decode' AND status = 'failed' AND version = $decode
           AND NOT $retry) d USING (photo_id)
"""
_PLACES = """
SELECT photo_id, sha256, path, root, size, mtime_ns, device, inode, sidecars, sidecar_sig
FROM files SEMI JOIN wanted USING (photo_id) JOIN photos USING (photo_id)
WHERE missing_since IS NULL AND path >= $first AND path < $last
AND path NOT IN (SELECT path FROM excepted) AND ($all OR path IN (SELECT path FROM chosen))
QUALIFY row_number() OVER (PARTITION BY photo_id ORDER BY path) = 1
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A step as the ledger must show it to be up to date; `fingerprint` says which version of the model."""

    step: str
    version: int
    model: str | None
    fingerprint: str | None = None


def now() -> datetime:
    """UTC without a zone, as all time stamps of the catalog are."""
    return datetime.now(UTC).replace(tzinfo=None)


def span(root: str) -> dict[str, bytes]:
    """Every path below `root` sorts from the root and a separator up to the root and the byte after a separator."""
    base, separator = encode_path(root).rstrip(os.sep.encode()), ord(os.sep)
    return {"first": base + bytes([separator]), "last": base + bytes([separator + 1])}


class Catalog:
    """Files, photos, ledger and facts in DuckDB."""

    def __init__(self, path: Path, writable: bool = False) -> None:
        self.file = CatalogFile(path, writable)

    # -- settings

    def settings(self) -> dict[str, str]:
        return dict(remembered(self.file, "SELECT key, value FROM settings"))

    def set_setting(self, key: str, value: str) -> None:
        self.set_settings({key: value})

    def set_settings(self, changes: Mapping[str, str | None]) -> None:
        """Set these settings, and forget those whose value is None, all or nothing."""
        with self.file.write() as con:
            delete_matching(con, "settings", ["key"], [(key,) for key in changes])
            insert(con, "settings", ["key", "value"], [(k, v) for k, v in changes.items() if v is not None])

    def set_categories(self, categories: Mapping[str, Sequence[str]]) -> None:
        """Replace the table that says which tags make up a category."""
        rows = [(category, tag) for category, tags in categories.items() for tag in dict.fromkeys(tags)]
        with self.file.write() as con:
            con.execute("DELETE FROM categories")
            insert(con, "categories", ["category", "tag"], rows)

    # -- files

    def known_files(self, root: str, deep: bool = True) -> dict[str, KnownFile]:
        """Every file ever seen below `root`, by path; missing ones too. Not `deep`: only those in the folder itself."""
        with self.file.read() as con:
            rows = con.execute(
                "SELECT path, root, size, mtime_ns, device, inode, sidecar_sig, photo_id, missing_since IS NOT NULL,"
                " code IS NOT NULL FROM files WHERE path >= $first AND path < $last"
                " AND ($deep OR NOT contains(substr(path::VARCHAR, length($first::VARCHAR) + 1), '/'))",
                {"deep": deep, **span(root)},
            ).fetchall()
        return {
            (path := decode_path(row[0])): KnownFile(
                FoundFile(path, decode_path(row[1]), row[2], row[3], row[4], row[5], (), row[6]), *row[7:]
            )
            for row in rows
        }

    def photo_ids(self) -> list[int]:
        with self.file.read() as con:
            return [row[0] for row in con.execute("SELECT photo_id FROM photos ORDER BY photo_id").fetchall()]

    def all_shas(self) -> list[str]:
        """The SHA-256 of every photo."""
        with self.file.read() as con:
            return [row[0] for row in con.execute("SELECT sha256 FROM photos").fetchall()]

    def only_at(self, paths: Collection[str]) -> list[str]:
        """The SHA-256 of the photos at these paths that have no file elsewhere."""
        sql = """SELECT sha256 FROM photos SEMI JOIN (SELECT photo_id FROM files SEMI JOIN asked USING (path)) h
            USING (photo_id) WHERE photo_id NOT IN (SELECT photo_id FROM files
            WHERE photo_id IS NOT NULL AND path NOT IN (SELECT path FROM asked)) ORDER BY sha256"""
        with self.file.read() as con:
            con.register("asked", to_arrow(["path"], [(encode_path(path),) for path in paths]))
            return [row[0] for row in con.execute(sql).fetchall()]

    def place_files(self, found: Iterable[tuple[FoundFile, int]], gone: Collection[str]) -> None:
        """Record files whose photo is known without reading them: renamed, linked, come back. Drop `gone` paths."""
        with self.file.write() as con:
            delete_matching(con, "files", ["path"], [(encode_path(path),) for path in gone])
            _place(con, list(found))

    def mark_missing(self, paths: Collection[str]) -> None:
        """These files have gone. Those that were never read are forgotten: nobody can say what they were."""
        with self.file.write() as con:
            con.register("lost", to_arrow(["path"], [(encode_path(path),) for path in paths]))
            con.execute("DELETE FROM files WHERE photo_id IS NULL AND path IN (SELECT path FROM lost)")
            con.execute(
                "UPDATE files SET missing_since = ? WHERE path IN (SELECT path FROM lost) AND missing_since IS NULL",
                [now()],
            )

    def sidecars_changed(self, files: Sequence[tuple[FoundFile, int]], steps: Collection[str]) -> None:
        """A sidecar came, went or changed: these steps (metadata and what builds on it) are due again."""
        with self.file.write() as con:
            _place(con, files)
            delete_matching(con, "ledger", ["photo_id", "step"], [(i, step) for _, i in files for step in steps])

    def replace_walk_problems(self, root: str, problems: Mapping[str, Problem], deep: bool = True) -> None:
        """What the walk met in the folder `root` now. Not `deep`: those of folders below it, which it did not enter,
        stay."""
        base = encode_path(root)
        rows = [(encode_path(path), p.code, p.message) for path, p in problems.items()]
        with self.file.write() as con:
            con.execute(
                "DELETE FROM walk_problems WHERE path = $base OR (path >= $first AND path < $last AND ($deep"
                " OR (code <> 'folder_unreadable'"
                " AND NOT contains(substr(path::VARCHAR, length($first::VARCHAR) + 1), '/'))))",
                {"base": base, "deep": deep, **span(root)},
            )
            insert(con, "walk_problems", ["path", "code", "message"], rows)

    # -- what is due

    def present_among(self, photo_ids: Collection[int]) -> list[int]:
        """Those of these photos that have a file which is not missing."""
        sql = "SELECT DISTINCT photo_id FROM files SEMI JOIN asked USING (photo_id) WHERE missing_since IS NULL"
        with self.file.read() as con:
            con.register("asked", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
            return [row[0] for row in con.execute(sql).fetchall()]

    def has_aside(self, model: str) -> bool:
        """Whether vectors of this model were made before those of another took their place."""
        with self.file.read() as con:
            return con.execute("SELECT 1 FROM ledger_aside WHERE model = ? LIMIT 1", [model]).fetchall() != []

    def take_back(self, want: Wanted, have: Collection[int]) -> int:
        """Count vectors of a model used before as done where they are still there (`have`). Returns how many."""
        with self.file.write() as con:
            return take_back(con, want.version, want.model or "", want.fingerprint, have)

    def forget_aside(self, step: str) -> None:
        """The vectors of other models for this step are gone."""
        with self.file.write() as con:
            con.execute("DELETE FROM ledger_aside WHERE step = ?", [step])

    def due(
        self, wanted: Sequence[Wanted], decode_version: int, again: Collection[str] = (), retry: bool = False
    ) -> dict[int, set[str]]:
        """Photo ids with the names of their due steps; as if the steps `again` were not done, and failures not there
        where `retry`."""
        due: dict[int, set[str]] = {}
        with self.file.read() as con:
            for want in wanted:
                values = {"step": want.step, "version": want.version, "model": want.model, "decode": decode_version}
                values |= {"again": want.step in again, "retry": retry, "fingerprint": want.fingerprint}
                for (photo_id,) in con.execute(_DUE, values).fetchall():
                    due.setdefault(photo_id, set()).add(want.step)
        return due

    def adopt(self, wanted: Sequence[Wanted]) -> None:
        """Rows of a program that did not yet note fingerprints count as made by the versions in use now."""
        with self.file.write() as con:
            for want in wanted:
                if want.fingerprint is not None:
                    con.execute(
                        "UPDATE ledger SET fingerprint = ? WHERE step = ? AND model = ? AND fingerprint IS NULL",
                        [want.fingerprint, want.step, want.model],
                    )

    def places(
        self,
        photo_ids: Collection[int],
        root: str,
        *,
        excepted: Collection[str] = (),
        among: Collection[str] | None = None,
    ) -> dict[int, tuple[FoundFile, str]]:
        """One present file below `root`, and the SHA-256, of each of the photos that has a file there, by path.

        Files in `excepted` do not count; only those in `among` do, where that is given.
        """
        with self.file.read() as con:
            con.register("wanted", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
            con.register("excepted", to_arrow(["path"], [(encode_path(path),) for path in excepted]))
            con.register("chosen", to_arrow(["path"], [(encode_path(path),) for path in among or ()]))
            rows = con.execute(_PLACES + " ORDER BY path", {"all": among is None, **span(root)}).fetchall()
        return {row[0]: (_found_file(*row[2:]), row[1]) for row in rows}

    def sidecars(
        self, photo_ids: Collection[int], *, excepted: Collection[str] = ()
    ) -> dict[int, list[tuple[str, tuple[str, ...]]]]:
        """The XMP files beside each of these photos' present files, without those in `excepted`: the root and the paths
        of each file that has any, the file whose sidecar changed last first."""
        sql = """SELECT photo_id, root, sidecars, sidecar_sig, path FROM files SEMI JOIN wanted USING (photo_id)
            WHERE missing_since IS NULL AND len(sidecars) > 0 AND path NOT IN (SELECT path FROM excepted)"""
        with self.file.read() as con:
            con.register("wanted", to_arrow(["photo_id"], [(i,) for i in photo_ids]))
            con.register("excepted", to_arrow(["path"], [(encode_path(path),) for path in excepted]))
            rows = con.execute(sql).fetchall()
        found: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
        for photo_id, root, paths, *_ in sorted(rows, key=lambda row: (-_changed_at(row[3]), row[4])):
            found.setdefault(photo_id, []).append((decode_path(root), tuple(map(decode_path, paths))))
        return found

    def make_due(
        self, root: str, *, step: str | None = None, failed: bool = False, among: Collection[str] | None = None
    ) -> None:
        """Forget ledger rows of the files below `root` (only those in `among`): of one step, or all that failed."""
        condition = "status = 'failed'" if failed else "step = $step"
        values: dict[str, Any] = {} if failed else {"step": step}
        chosen = "" if among is None else " AND path IN (SELECT path FROM chosen)"
        with self.file.write() as con:
            con.register("chosen", to_arrow(["path"], [(encode_path(path),) for path in among or ()]))
            con.execute(
                f"DELETE FROM ledger WHERE {condition} AND photo_id IN"  # noqa: S608 - constants of this function
                f" (SELECT photo_id FROM files WHERE path >= $first AND path < $last{chosen})",
                {**values, **span(root)},
            )

    # -- saving

    def known_shas(self, shas: Collection[str]) -> dict[int, str]:
        """The SHA-256 that the catalog holds for the ids of `shas`, to notice two photos with one id."""
        with self.file.read() as con:
            con.register("asked", to_arrow(["photo_id"], [(photo_id_of(sha),) for sha in shas]))
            return dict(con.execute("SELECT photo_id, sha256 FROM photos SEMI JOIN asked USING (photo_id)").fetchall())

    def save(self, batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]], run_id: int) -> None:
        """The commit point of a batch: files, photos, ledger rows and facts, all or nothing."""
        with self.file.write() as con:
            _save_files(con, batch, unreadable)
            _save_photos(con, batch)
            outcomes = [(item.photo_id, outcome) for item in batch for outcome in item.outcomes]
            _save_ledger(con, outcomes, run_id)
            delete_matching(con, "ledger", ["photo_id", "step"], [(i.photo_id, s) for i in batch for s in i.again])
            _save_facts(con, [(i, o) for i, o in outcomes if o.status == "done"])
            _documents_due(con, [item.photo_id for item in batch])

    # -- full-text documents

    def documents_due(self) -> list[int]:
        with self.file.read() as con:
            return [row[0] for row in con.execute("SELECT DISTINCT photo_id FROM documents_due").fetchall()]

    def make_documents_due(self) -> None:
        """All of them, as when what is written into them has changed."""
        with self.file.write() as con:
            con.execute(
                "INSERT INTO documents_due SELECT photo_id FROM photos ANTI JOIN documents_due USING (photo_id)"
            )

    def documents_done(self, photo_ids: Collection[int]) -> None:
        with self.file.write() as con:
            delete_matching(con, "documents_due", ["photo_id"], [(i,) for i in photo_ids])


def _found_file(
    path: bytes,
    root: bytes,
    size: int,
    mtime_ns: int,
    device: int,
    inode: int,
    sidecars: Sequence[bytes] | None,
    sidecar_sig: str,
) -> FoundFile:
    names = tuple(map(decode_path, sidecars or ()))
    return FoundFile(decode_path(path), decode_path(root), size, mtime_ns, device, inode, names, sidecar_sig)


def _changed_at(sidecar_sig: str) -> int:
    """When the last of these sidecars changed, in nanoseconds (see `media.walk`)."""
    return max(int(mark.partition(":")[2] or 0) for mark in sidecar_sig.split("|"))


def _one(con: DuckDBPyConnection, sql: str) -> Any:
    return con.execute(sql).fetchall()[0][0]


def touch_root(con: DuckDBPyConnection, root: str) -> None:
    path = encode_path(root)
    if con.execute("UPDATE roots SET scanned_at = ? WHERE path = ?", [now(), path]).fetchall() == [(0,)]:
        con.execute("INSERT INTO roots VALUES (?, ?, ?)", [path, now(), now()])


def _file_row(file: FoundFile, photo_id: int | None, problem: Problem | None = None) -> tuple[Any, ...]:
    code, message = (problem.code, problem.message) if problem else (None, None)
    sidecars = [encode_path(path) for path in file.sidecars]
    place = (encode_path(file.path), encode_path(file.root), file.size, file.mtime_ns, file.device, file.inode)
    return (*place, sidecars, file.sidecar_sig, photo_id, None, code, message)


def _place(con: DuckDBPyConnection, files: Sequence[tuple[FoundFile, int]]) -> None:
    rows = [_file_row(file, photo_id) for file, photo_id in files]
    delete_matching(con, "files", ["path"], [(row[0],) for row in rows])
    insert(con, "files", _FILE_COLUMNS, rows)
    _documents_due(con, [photo_id for _, photo_id in files])


def _save_files(
    con: DuckDBPyConnection, batch: Sequence[Analysed], unreadable: Sequence[tuple[FoundFile, Problem]]
) -> None:
    rows = [_file_row(item.file, item.photo_id) for item in batch]
    trouble = [(encode_path(file.path), problem.code, problem.message) for file, problem in unreadable]
    known = _note_trouble(con, trouble)
    rows += [_file_row(file, None, problem) for file, problem in unreadable if encode_path(file.path) not in known]
    delete_matching(con, "files", ["path"], [(row[0],) for row in rows])
    insert(con, "files", _FILE_COLUMNS, rows)


def _note_trouble(con: DuckDBPyConnection, trouble: Sequence[tuple[bytes, str, str]]) -> set[bytes]:
    """Files of known photos that cannot be read just now keep their photo, and are only marked. Returns their paths."""
    if not trouble:
        return set()
    con.register("trouble", to_arrow(["path", "code", "message"], trouble))
    con.execute(
        "UPDATE files SET code = t.code, message = t.message FROM trouble t"
        " WHERE files.path = t.path AND files.photo_id IS NOT NULL"
    )
    known = con.execute("SELECT path FROM files SEMI JOIN trouble USING (path) WHERE photo_id IS NOT NULL").fetchall()
    con.unregister("trouble")
    return {row[0] for row in known}


def _save_photos(con: DuckDBPyConnection, batch: Sequence[Analysed]) -> None:
    rows = {item.photo_id: (item.photo_id, item.sha256, item.file.size, now()) for item in batch}
    if not rows:
        return
    con.register("arrived", to_arrow(["photo_id", "sha256", "bytes", "added_at"], list(rows.values())))
    con.execute("INSERT INTO photos BY NAME SELECT * FROM arrived ANTI JOIN photos USING (photo_id)")
    con.unregister("arrived")


def _save_ledger(con: DuckDBPyConnection, outcomes: Sequence[tuple[int, Outcome]], run_id: int) -> None:
    """Rows of these steps are replaced; a decoding that failed once is over when the photo has come through."""
    set_aside(con, outcomes)
    done = {(i, DECODE) for i, _ in outcomes}
    delete_matching(con, "ledger", ["photo_id", "step"], [*done, *((i, o.step) for i, o in outcomes)])
    rows = [
        (i, o.step, o.version, o.status, o.model, o.runtime, o.ms, *_problem(o.problem), now(), run_id, o.fingerprint)
        for i, o in outcomes
    ]
    insert(con, "ledger", _LEDGER_COLUMNS, rows)


def _problem(problem: Problem | None) -> tuple[str | None, str | None]:
    return (problem.code, problem.message) if problem else (None, None)


def _save_facts(con: DuckDBPyConnection, outcomes: Sequence[tuple[int, Outcome]]) -> None:
    for step, table in FACT_TABLES.items():
        mine = [(i, o) for i, o in outcomes if o.step == step]
        delete_matching(con, table.name, ["photo_id"], [(i,) for i, _ in mine])
        insert(con, table.name, table.columns, [row for i, o in mine for row in fact_rows(i, o)])
    derive_tags(con, [i for i, o in outcomes if o.step == "tags"])


def _documents_due(con: DuckDBPyConnection, photo_ids: Sequence[int]) -> None:
    insert(con, "documents_due", ["photo_id"], [(i,) for i in set(photo_ids)])
