"""`installed.json`, beside the weights: what was installed, from where, and who vouched for it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photoindex.models.spec import ModelSpec

RECORD = "installed.json"


def read_record(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """What `installed.json` says of each file: sha256, size, url and `trust` (see Fetched). Empty where none is."""
    try:
        files = json.loads((folder / RECORD).read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: entry for name, entry in files.items() if _sound(entry)} if isinstance(files, dict) else {}


def write_record(spec: ModelSpec, folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Add or replace `entries`, durably and at once."""
    record = {"model": spec.name, "revision": spec.revision, "files": {**read_record(folder), **entries}}
    part = folder / f".part-{RECORD}"
    with part.open("w", encoding="utf-8") as out:
        json.dump(record, out, indent=2, sort_keys=True)
        out.flush()
        os.fsync(out.fileno())
    part.replace(folder / RECORD)


def _sound(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("size"), int)
