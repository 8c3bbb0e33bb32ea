"""What tests of scans look at before and after: folders, the ledger, what is found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from conftest import Shell

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>{}</rdf:li></rdf:Bag>
</dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""


def snapshot(folder: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything that a program could change in a folder, but for the times of access."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for where, folders, files in os.walk(os.fsencode(folder)):
        for name in [*folders, *files]:
            path = os.path.join(where, name)
            stat = os.lstat(path)
            content = Path(os.fsdecode(path)).read_bytes() if name in files else None
            found[path] = (content, stat.st_mtime_ns, stat.st_mode, stat.st_ino, stat.st_nlink, stat.st_uid)
    return found


def ledger(run: Shell, where: str = "true") -> list[tuple[Any, ...]]:
    return run.rows(f"SELECT photo_id, step, status, version, done_at FROM ledger WHERE {where} ORDER BY ALL")


def found(run: Shell, *query: str | Path) -> list[str]:
    return [hit["path"] for hit in run("search", *query, "--mode", "keyword", "--format", "json").json]


def status(run: Shell) -> Any:
    return run("status", "--format", "json").json
