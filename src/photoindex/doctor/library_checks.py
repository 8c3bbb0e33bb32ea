"""What the facts of a library mean: facts in, findings out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from photoindex.doctor.library import LibraryFacts, Root
from photoindex.doctor.records import Finding, Level
from photoindex.errors import LibraryBusy, LibraryTooNew
from photoindex.store.health import TableHealth
from photoindex.store.vectors import DOCUMENTS, image_table

_SHOWN_REASONS = 4


def check_library(facts: LibraryFacts) -> list[Finding]:
    """Every check of a library, in the order in which they are shown."""
    if facts.error is not None:
        return [_cannot_open(facts, facts.error)]
    return [
        _catalog(facts),
        *_runs(facts),
        *(_root(facts, root) for root in facts.roots),
        _originals(facts),
        *(_table(facts, table) for table in facts.tables),
        *_searched_model(facts),
        *_documents(facts),
        _thumbnails(facts),
        _failures(facts),
    ]


def _finding(level: Level, code: str, message: str, advice: str = "", *commands: str) -> Finding:
    return Finding(level, "library", code, message, advice, commands)


def _cannot_open(facts: LibraryFacts, error: Exception) -> Finding:
    said, _, advice = str(error).partition(". ")
    if isinstance(error, LibraryBusy):
        return _finding("warning", "library_busy", f"{said}.", "Ask again when it is done.")
    if isinstance(error, LibraryTooNew):
        return _finding("problem", "library_too_new", f"{said}.", advice)
    again = facts.command("scan", "FOLDER")
    return _finding(
        "problem",
        "catalog_unreadable",
        f"{said}.",
        advice,
        f"mv {shlex.quote(facts.folder)} {shlex.quote(facts.folder)}.old",
        again,
    )


def _catalog(facts: LibraryFacts) -> Finding:
    text = f"The catalog can be read: {facts.photos:,} photos in {facts.files:,} files, schema {facts.schema}."
    return _finding("ok", "catalog", text)


def _runs(facts: LibraryFacts) -> Iterator[Finding]:
    run = facts.last_run
    if run is None:
        return
    if run.outcome is None and facts.writer is not None:
        text = f"A scan is running (process {facts.writer}); what it has not saved yet may look damaged here."
        yield _finding("ok", "scan_running", text)
    elif run.outcome is None:
        text = f"The last scan, of {run.started_at:%Y-%m-%d %H:%M} UTC, was killed. What it had saved is kept."
        yield _finding("warning", "scan_killed", text, "The same scan goes on from there.", facts.scan_command())
    elif run.outcome == "failed":
        text = f"The last scan, of {run.started_at:%Y-%m-%d %H:%M} UTC, ended by an error. What it had saved is kept."
        yield _finding("warning", "scan_failed", text, "The same scan goes on, or tells why not:", facts.scan_command())
    else:
        yield _finding("ok", "last_scan", f"The last scan, of {run.started_at:%Y-%m-%d %H:%M} UTC, {run.outcome}.")


def _root(facts: LibraryFacts, root: Root) -> Finding:
    if root.problem:
        text = f"The folder {root.path} cannot be read: {root.problem}. {root.known:,} files are known there."
        advice = "Is the disk plugged in and mounted? Nothing is lost: its photos stay searchable."
        return _finding("warning", "root_unreachable", text, advice)
    if root.empty:
        text = f"The folder {root.path} is empty, but {root.known:,} files are known there."
        gone = facts.command("scan", root.path, "--accept-missing")
        return _finding("warning", "root_empty", text, "Is a disk unplugged? If they are really gone, say so:", gone)
    return _finding("ok", "root", f"The folder {root.path} can be read; {root.known:,} files are known there.")


def _originals(facts: LibraryFacts) -> Finding:
    looked, marked = facts.originals, f"; {facts.missing:,} were gone at the last scan" if facts.missing else ""
    if looked.gone:
        text = f"{looked.gone:,} of {looked.at:,} photo files looked for are not there, such as {looked.first}."
        return _finding("warning", "files_gone", text, "A scan finds them if they moved.", facts.scan_command())
    return _finding("ok", "files", f"All of {looked.at:,} photo files looked for are there{marked}.")


def _table(facts: LibraryFacts, table: TableHealth) -> Finding:
    if table.problem:
        return _unreadable(facts, table)
    if table.lacking:
        text = f"{table.lacking:,} photos that the catalog calls done have no row in {table.name}."
        return _finding("problem", "rows_lacking", text, _effect(table.name), _again(facts, table.name))
    if table.orphans and not (facts.writer and facts.last_run and facts.last_run.outcome is None):
        text = f"{table.orphans:,} rows of {table.name} belong to photos that the catalog does not know."
        advice = "Searches leave them out; the next scan removes them."
        return _finding("warning", "rows_orphaned", text, advice, facts.scan_command())
    return _finding("ok", "table", f"The table {table.name} can be read: {table.rows:,} rows.")


def _unreadable(facts: LibraryFacts, table: TableHealth) -> Finding:
    folder = Path(facts.folder) / "vectors" / f"{table.name}.lance"
    text = f"The table {table.name} cannot be read: {table.problem}"
    commands = (f"mv {_quoted(folder)} {_quoted(folder)}.broken", _again(facts, table.name))
    return _finding("problem", "table_unreadable", text, "Move it away and have it made again:", *commands)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _effect(table: str) -> str:
    if table == DOCUMENTS:
        return "A search for words does not find them. Have them written again:"
    if table.startswith("face-"):
        return "Their faces cannot be compared. Have them found again:"
    return "A search by meaning does not find them. Have them computed again:"


def _again(facts: LibraryFacts, table: str) -> str:
    """The scan that fills a table again. Documents follow from every photo that is looked at anew."""
    step = "metadata" if table == DOCUMENTS else "faces" if table.startswith("face-") else "embedding"
    return facts.scan_command("--rescan", step)


def _searched_model(facts: LibraryFacts) -> Iterator[Finding]:
    """The vectors that a search looks at must be there as soon as others are."""
    images = [table.name for table in facts.tables if table.name.startswith("image-")]
    model = facts.embedding_model
    if model and images and image_table(model) not in images:
        text = f"Searches use the vectors of {model}, and this library has none; it has {', '.join(images)}."
        yield _finding("problem", "searched_vectors_missing", text, "Have them computed:", facts.scan_command())


def _documents(facts: LibraryFacts) -> Iterator[Finding]:
    if facts.documents_due and not (facts.writer and facts.last_run and facts.last_run.outcome is None):
        text = f"The searchable texts of {facts.documents_due:,} photos are not written yet."
        yield _finding("warning", "documents_due", text, "The next scan writes them.", facts.scan_command())


def _thumbnails(facts: LibraryFacts) -> Finding:
    looked = facts.thumbnails
    if looked.gone:
        text = f"{looked.gone:,} of {looked.at:,} thumbnails looked for are not there."
        command = facts.scan_command("--rescan", "thumbnail")
        return _finding("warning", "thumbnails_missing", text, "Have them made again:", command)
    return _finding("ok", "thumbnails", f"All of {looked.at:,} thumbnails looked for are there.")


def _failures(facts: LibraryFacts) -> Finding:
    total = sum(failure.count for failure in facts.failures)
    if not total:
        return _finding("ok", "failures", "No file and no step failed.")
    reasons = [f"{each.count:,} {each.code} ({each.step})" for each in facts.failures[:_SHOWN_REASONS]]
    more = f" and {len(facts.failures) - _SHOWN_REASONS} other reasons" if len(facts.failures) > _SHOWN_REASONS else ""
    text = f"{total:,} files or steps failed: {', '.join(reasons)}{more}."
    return _finding("warning", "failures", text, "Each one with its reason:", facts.command("failures"))
