"""The reading half of the catalog: every question that people's commands ask."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from photoindex.errors import PhotoAmbiguous, PhotoNotFound
from photoindex.records import (
    DateCandidate,
    DocumentParts,
    Face,
    Failure,
    Hashes,
    HashRow,
    LedgerRow,
    LibraryStatus,
    Metadata,
    PhotoDetails,
    PhotoFile,
    PhotoRow,
    Place,
    Problem,
    Status,
    Tag,
    TextLine,
)
from photoindex.store.arrow import decode_path, encode_path, ids_table, to_arrow
from photoindex.store.connection import CatalogFile
from photoindex.store.remembered import remembered

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Away = Callable[[Collection[str]], Collection[str]]  # those of some scanned folders that cannot be reached just now
_METADATA = [field.name for field in fields(Metadata)]
_PLACE = [field.name for field in fields(Place)]
# A photo is failed when it could not be decoded, completed when every step there is (as the last scan noted) is done.
_STATES = """
SELECT p.photo_id, CASE
    WHEN count(*) FILTER (l.step = 'decode' AND l.status = 'failed') > 0 THEN 'failed'
    WHEN count(l.step) = 0 THEN 'pending'
    WHEN count(*) FILTER (l.status = 'done' AND list_contains(e.steps, l.step)) >= any_value(len(e.steps))
        THEN 'completed'
    ELSE 'partial' END AS state
FROM photos p LEFT JOIN ledger l USING (photo_id)
LEFT JOIN (SELECT string_split(value, ',') AS steps FROM settings WHERE key = 'steps') e ON true GROUP BY p.photo_id
"""
# What could not be decoded and has gone is nobody's trouble any more.
_COUNTS = f"""
SELECT CASE WHEN state = 'failed' AND NOT present THEN 'missing' ELSE state END, count(*)
FROM ({_STATES}) JOIN (SELECT photo_id, bool_or(missing_since IS NULL) AS present FROM files GROUP BY 1)
    USING (photo_id) GROUP BY 1
"""  # noqa: S608
_DUE = """
WITH there AS (
    SELECT DISTINCT photo_id FROM files WHERE missing_since IS NULL AND photo_id IS NOT NULL
    AND photo_id NOT IN (SELECT photo_id FROM ledger WHERE step = 'decode' AND status = 'failed')),
tried AS (SELECT step, count(*) AS photos FROM ledger SEMI JOIN there USING (photo_id) GROUP BY step)
SELECT step, (SELECT count(*) FROM there) - coalesce(tried.photos, 0) AS left_over
FROM (SELECT unnest(string_split(value, ',')) AS step FROM settings WHERE key = 'steps') LEFT JOIN tried USING (step)
WHERE left_over > 0
"""
_FILE_COUNTS = """
SELECT count(*), count(*) FILTER (missing_since IS NOT NULL),
    count(*) FILTER (missing_since IS NULL AND (photo_id IS NULL OR code IS NOT NULL)) FROM files
"""
_PARTS_OF_NAME = 3  # the file's name and the two folders around it are searched
_ROW_COLUMNS = """
p.sha256, f.photo_id, f.path, f.size, m.width, m.height, m.format, m.taken_at,
nullif(trim(concat_ws(' ', CASE WHEN starts_with(lower(m.camera_model), lower(split_part(m.camera_make, ' ', 1)))
                           THEN NULL ELSE m.camera_make END, m.camera_model)), ''),
f.missing_since IS NOT NULL, m.taken_source, f.root, coalesce(len(f.sidecars), 0)
"""
_ROWS = f"""
SELECT {_ROW_COLUMNS} FROM files f JOIN wanted w USING (photo_id) JOIN photos p USING (photo_id)
LEFT JOIN metadata m USING (photo_id)
"""  # noqa: S608


def _none(_: Collection[str]) -> Collection[str]:
    return ()


class Queries:
    """Questions to the catalog. Each opens the file for its own moment only."""

    def __init__(self, file: CatalogFile) -> None:
        self._file = file

    def at_once(self) -> AbstractContextManager[object]:
        """For several questions to one state of the catalog, which is opened once for them."""
        return self._file.read()

    def rows(
        self, photo_ids: Sequence[int], away: Away = _none, fits: Callable[[str], int] = lambda _: 0
    ) -> dict[int, PhotoRow]:
        """One row a photo: the first of its files that is present and in reach, else one that is away, else a missing
        one; but before all else the file whose path `fits` best."""
        found = self._rows(_ROWS, photo_ids)
        gone = away({row.root for row in found})
        rows: dict[int, PhotoRow] = {}
        order = {row.path: (-fits(row.path), row.missing, row.root in gone, encode_path(row.path)) for row in found}
        for row in sorted(found, key=lambda row: order[row.path]):
            rows.setdefault(row.photo_id, row)
        return {i: replace(row, offline=True) if row.root in gone else row for i, row in rows.items()}

    def with_files(self, photo_ids: Collection[int]) -> set[int]:
        """Those of these photos that a file holds, present or missing; a file that was edited holds another photo."""
        with self._file.read() as con:
            con.register("asked", ids_table(photo_ids))
            found = con.execute("SELECT photo_id FROM files SEMI JOIN asked USING (photo_id)").fetchnumpy()
        return set(found["photo_id"].tolist())

    def file_rows(self, away: Away = _none) -> list[PhotoRow]:
        """A row for every present file of a known photo, by path; hard links to one file are that file once. Files of
        folders that are away are `offline`."""
        sql = f"""SELECT {_ROW_COLUMNS} FROM files f JOIN photos p USING (photo_id)
            LEFT JOIN metadata m USING (photo_id)
            WHERE f.missing_since IS NULL
            QUALIFY row_number() OVER (PARTITION BY f.photo_id, f.device, f.inode ORDER BY f.path) = 1
            ORDER BY f.path"""  # noqa: S608
        with self._file.read() as con:
            rows = [_photo_row(row) for row in con.execute(sql).fetchall()]
        gone = away({row.root for row in rows})
        return [replace(row, offline=True) if row.root in gone else row for row in rows] if gone else rows

    def hashes(self) -> list[HashRow]:
        """The PDQ hashes of every photo that has a present file."""
        sql = """SELECT photo_id, pdq, pdq_own, least(quality, quality_own) FROM hashes
            WHERE photo_id IN (SELECT photo_id FROM files WHERE missing_since IS NULL) ORDER BY photo_id"""
        with self._file.read() as con:
            return [HashRow(*row) for row in con.execute(sql).fetchall()]

    def roots(self) -> tuple[str, ...]:
        """The folders that were scanned."""
        with self._file.read() as con:
            return tuple(decode_path(row[0]) for row in con.execute("SELECT path FROM roots ORDER BY path").fetchall())

    def categories(self) -> dict[str, tuple[str, ...]]:
        """The tags of each category."""
        with self._file.read() as con:
            rows = con.execute(
                "SELECT category, list(tag ORDER BY rowid) FROM categories GROUP BY 1 ORDER BY 1"
            ).fetchall()
        return {category: tuple(tags) for category, tags in rows}

    def metadata(self, photo_ids: Collection[int]) -> dict[int, Metadata]:
        with self._file.read() as con:
            con.register("wanted", ids_table(photo_ids))
            sql = f"SELECT photo_id, {', '.join(_METADATA)} FROM metadata SEMI JOIN wanted USING (photo_id)"  # noqa: S608
            return {row[0]: _metadata(row[1:]) for row in con.execute(sql).fetchall()}

    def document_parts(self, photo_ids: Collection[int]) -> dict[int, DocumentParts]:
        """The texts of these photos, by field, for the full-text index and for `--explain`."""
        with self._file.read() as con:
            con.register("wanted", ids_table(set(photo_ids)))
            rows = con.execute(_DOCUMENT_PARTS).fetchall()
        return {
            row[0]: DocumentParts(
                names=tuple(" ".join(PurePath(decode_path(path)).parts[-_PARTS_OF_NAME:]) for path in row[1] or ()),
                ocr=tuple(row[2] or ()),
                tags=tuple(row[3] or ()),
                words=tuple(text for text in (*row[4:6], *(row[6] or ()), row[11]) if text),
                place=tuple(text for text in row[7:11] if text),
            )
            for row in rows
        }

    def tagged(
        self,
        names: Collection[str],
        shares_of: Callable[[set[str]], Mapping[str, float]],
        least: float,
        limit: int,
        among: Collection[int] | None = None,
    ) -> list[tuple[int, float, float, list[str]]]:
        """Photos with tags of these `names` (in lower case): id, sum of shares, best score, tags; best first.

        `shares_of` says what each of the names that some photo has counts; photos with less than `least` of it are
        left out, unless all of it is less.
        """
        lower: dict[str, list[str]] = {}
        for (tag,) in remembered(self._file, "SELECT DISTINCT tag FROM tags"):
            lower.setdefault(tag.lower(), []).append(tag)
        shares = shares_of({name for name in names if name in lower})
        if not shares:
            return []
        asked = [(tag, share) for name, share in shares.items() for tag in lower[name]]
        needed = least if sum(shares.values()) >= least else 0.0
        with self._file.read() as con:
            rows = [(*row, 1 << min(n, 62)) for n, row in enumerate(asked)]
            con.register("shares", to_arrow(["tag", "share", "bit"], rows))
            con.register("among", ids_table(among or ()))
            narrowed = "" if among is None else "SEMI JOIN among USING (photo_id)"
            found = con.execute(_TAGGED.format(narrowed), [needed, limit]).fetchall()
        return [(*row, sorted(tag for n, (tag, _) in enumerate(asked) if bits >> n & 1)) for *row, bits in found]

    def failures(self) -> list[Failure]:
        """What could not be read or analysed: folders, files, then steps."""
        with self._file.read() as con:
            rows = con.execute(_FAILURES).fetchall()
        return [Failure(decode_path(row[0]), *row[1:]) for row in rows]

    def status(self) -> LibraryStatus:
        """What the library holds: photos of files that are there or missing, not those that were edited away."""
        with self._file.read() as con:
            states = dict(con.execute(_COUNTS).fetchall())
            steps: dict[str, dict[str, int]] = {}
            for step, status, count in con.execute(
                "SELECT step, status, count(*) FROM ledger SEMI JOIN files USING (photo_id) WHERE step <> 'decode'"
                " AND (status <> 'failed' OR photo_id IN (SELECT photo_id FROM files WHERE missing_since IS NULL))"
                " GROUP BY ALL ORDER BY ALL"
            ).fetchall():
                steps.setdefault(step, {})[status] = count
            files = con.execute(_FILE_COUNTS).fetchall()[0]
            failures = con.execute(f"SELECT count(*) FROM ({_FAILURES})").fetchall()[0][0]  # noqa: S608
            due = dict(con.execute(_DUE).fetchall())
            photos = con.execute("SELECT count(DISTINCT photo_id), count(photo_id) FROM files").fetchall()[0]
            roots = con.execute("SELECT path, scanned_at FROM roots ORDER BY path").fetchall()
            models = dict(con.execute(_MODELS).fetchall())
        return LibraryStatus(
            roots=tuple(decode_path(row[0]) for row in roots),
            files=files[0],
            missing=files[1],
            unreadable=files[2],
            photos=photos[0],
            states=states,
            steps=steps,
            models=models,
            last_scan=max((row[1] for row in roots), default=None),
            failures=failures,
            copies=photos[1] - photos[0],
            due=due,
        )

    def find(self, text: str) -> tuple[int, str]:
        """The photo a person means by a path or the first characters of a SHA-256: its id and SHA-256."""
        with self._file.read() as con:
            at_path = con.execute(
                "SELECT p.photo_id, p.sha256 FROM files JOIN photos p USING (photo_id) WHERE path = ?",
                [encode_path(text)],
            ).fetchall()
            if at_path:
                return at_path[0][0], at_path[0][1]
            if len(text) < 6 or set(text.lower()) - set("0123456789abcdef"):
                raise PhotoNotFound(text)
            rows = con.execute(
                "SELECT photo_id, sha256 FROM photos WHERE starts_with(sha256, ?)", [text.lower()]
            ).fetchall()
        if len(rows) != 1:
            raise PhotoAmbiguous(text, len(rows)) if rows else PhotoNotFound(text)
        return rows[0][0], rows[0][1]

    def find_named(self, name: str) -> tuple[int, str]:
        """The only photo with a file of this name: its id and SHA-256. Raises PhotoNotFound, PhotoAmbiguous."""
        sql = """SELECT DISTINCT p.photo_id, p.sha256 FROM files JOIN photos p USING (photo_id)
            WHERE ends_with(hex(path), hex($end::BLOB))"""
        with self._file.read() as con:
            rows = con.execute(sql, {"end": encode_path(f"{os.sep}{name}")}).fetchall()
        if len(rows) != 1:
            raise PhotoAmbiguous(name, len(rows)) if rows else PhotoNotFound(name)
        return rows[0][0], rows[0][1]

    def details(self, photo_id: int, away: Away = _none) -> PhotoDetails:
        """Everything known of a photo; its files in the order of `rows`."""
        with self._file.read() as con:
            found = _details(con, photo_id)
            files = con.execute(_FILES_OF, [photo_id]).fetchall()
        return replace(found, files=_files(files, away))  # asked now: disks may take long, and hold up no writer

    def _rows(self, sql: str, photo_ids: Sequence[int]) -> list[PhotoRow]:
        with self._file.read() as con:
            con.register("wanted", ids_table(photo_ids))
            return [_photo_row(row) for row in con.execute(sql).fetchall()]


def _photo_row(row: Sequence[Any]) -> PhotoRow:
    *facts, root, sidecars = row
    found = PhotoRow(facts[0], facts[1], decode_path(facts[2]), *facts[3:])
    return replace(found, root=decode_path(root), sidecars=sidecars)


_DOCUMENT_PARTS = """
SELECT w.photo_id, f.paths, o.lines, t.tags, concat_ws(' ', m.title, m.camera_make, m.camera_model, m.lens),
    m.description, m.keywords, c.city, c.metropolis, c.region,
    c.country, s.caption
FROM wanted w
LEFT JOIN (SELECT photo_id, list(path ORDER BY path) AS paths FROM files SEMI JOIN wanted USING (photo_id) GROUP BY 1) f
    USING (photo_id)
LEFT JOIN (SELECT photo_id, list(text ORDER BY line) AS lines FROM ocr_lines SEMI JOIN wanted USING (photo_id)
           GROUP BY 1) o USING (photo_id)
LEFT JOIN (SELECT photo_id, list(tag ORDER BY score DESC) AS tags FROM tags SEMI JOIN wanted USING (photo_id)
           GROUP BY 1) t USING (photo_id)
LEFT JOIN metadata m USING (photo_id)
LEFT JOIN places c USING (photo_id)
LEFT JOIN captions s USING (photo_id)
"""
_TAGGED = """
SELECT photo_id, sum(share) AS held, max(score) AS best, bit_or(bit) FROM tags JOIN shares USING (tag) {}
GROUP BY photo_id HAVING held >= ? ORDER BY held DESC, best DESC, photo_id LIMIT ?
"""
_FAILURES = """
SELECT path, 'walk', code, message, NULL FROM walk_problems
UNION ALL
SELECT path, 'read', code, message, NULL FROM files WHERE code IS NOT NULL AND missing_since IS NULL
UNION ALL
SELECT f.path, l.step, l.code, l.message, p.sha256 FROM ledger l JOIN files f USING (photo_id)
    JOIN photos p USING (photo_id) WHERE l.status = 'failed' AND f.missing_since IS NULL
ORDER BY 1, 2
"""
_FILES_OF = "SELECT path, missing_since IS NOT NULL, root FROM files WHERE photo_id = ? ORDER BY path"
_MODELS = "SELECT step, arg_max(model, done_at) FROM ledger WHERE model IS NOT NULL AND status = 'done' GROUP BY step"


def _details(con: DuckDBPyConnection, photo_id: int) -> PhotoDetails:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        return con.execute(sql, [photo_id]).fetchall()

    (sha256, size) = rows("SELECT sha256, bytes FROM photos WHERE photo_id = ?")[0]
    metadata = rows(f"SELECT {', '.join(_METADATA)} FROM metadata WHERE photo_id = ?")  # noqa: S608
    place = rows(f"SELECT {', '.join(_PLACE)} FROM places WHERE photo_id = ?")  # noqa: S608
    hashes = rows("SELECT pdq, quality, pdq_own, quality_own, turn, words, sharpness FROM hashes WHERE photo_id = ?")
    ledger = rows(
        "SELECT step, status, model, runtime, ms, done_at, code, message FROM ledger"
        " WHERE photo_id = ? ORDER BY done_at, step"
    )
    return PhotoDetails(
        sha256=sha256,
        bytes=size,
        state=rows(f"SELECT state FROM ({_STATES}) WHERE photo_id = ?")[0][0],  # noqa: S608
        files=(),
        metadata=_metadata(metadata[0]) if metadata else None,
        place=Place(*place[0]) if place else None,
        hashes=_hashes(*hashes[0]) if hashes else None,
        ocr=tuple(
            TextLine(text, confidence, tuple(box))
            for text, confidence, box in rows(
                "SELECT text, confidence, box FROM ocr_lines WHERE photo_id = ? ORDER BY line"
            )
        ),
        caption=next((row[0] for row in rows("SELECT caption FROM captions WHERE photo_id = ?")), None),
        tags=tuple(Tag(*row) for row in rows("SELECT tag, score FROM tags WHERE photo_id = ? ORDER BY score DESC")),
        faces=tuple(
            Face(tuple(box), tuple(landmarks), score)
            for box, landmarks, score in rows(
                "SELECT box, landmarks, score FROM faces WHERE photo_id = ? ORDER BY face"
            )
        ),
        ledger=tuple(_ledger_row(*row) for row in ledger),
    )


def _files(rows: Sequence[tuple[bytes, bool, bytes]], away: Away) -> tuple[PhotoFile, ...]:
    roots = {root: decode_path(root) for _, _, root in rows}
    gone = away(set(roots.values()))
    files = [PhotoFile(decode_path(path), missing, roots[root] in gone) for path, missing, root in rows]
    return tuple(sorted(files, key=lambda file: (file.missing, file.offline)))


def _hashes(
    pdq: bytes, quality: int, own: bytes, quality_own: int, turn: bytes | None, words: bytes | None, sharp: float | None
) -> Hashes:
    """Photos hashed before a later version of the step have no more than PDQ."""
    return Hashes(pdq, quality, own, quality_own, turn or b"", words or b"", sharp)


def _ledger_row(
    step: str,
    status: Status,
    model: str | None,
    runtime: str | None,
    ms: float,
    done_at: datetime,
    code: str | None,
    message: str | None,
) -> LedgerRow:
    return LedgerRow(step, status, model, runtime, ms, Problem(code, message or "") if code else None, done_at)


def _metadata(row: Sequence[Any]) -> Metadata:
    values = dict(zip(_METADATA, row, strict=True))
    values["dates"] = tuple(DateCandidate(**date) for date in values["dates"] or ())
    values["keywords"] = tuple(values["keywords"] or ())
    values["warnings"] = tuple(values["warnings"] or ())
    return Metadata(**values)
