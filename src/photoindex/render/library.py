"""What status and show print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photoindex.records import LibraryStatus, PhotoDetails, PhotoFile
from photoindex.render.output import ObjectFormat, plain, print_json, print_table
from photoindex.render.photo_facts import metadata_facts
from photoindex.render.text import short_path, size, visible
from photoindex.steps import STEPS


def status_object(
    status: LibraryStatus, folder: Path, sizes: Mapping[str, int], offline: Mapping[str, str]
) -> dict[str, Any]:
    return {"library": str(folder), **plain(status), "offline": dict(offline), "bytes": dict(sizes)}


def print_status(
    status: LibraryStatus, folder: Path, sizes: Mapping[str, int], offline: Mapping[str, str], output: ObjectFormat
) -> None:
    """`offline`: the folders that cannot be reached just now, and why."""
    if output is ObjectFormat.json:
        print_json(status_object(status, folder, sizes, offline))
        return
    last = f"{status.last_scan:%Y-%m-%d %H:%M} UTC" if status.last_scan else "never"
    facts = [
        ("library", short_path(str(folder))),
        ("folders", ", ".join(short_path(root) for root in status.roots) or "none"),
        *(("offline", f"{short_path(root)}: {why}") for root, why in offline.items()),
        ("last scan", last),
        ("files", f"{status.files:,}  ({_file_counts(status)})"),
        ("photos", f"{status.photos:,}  ({_counts(status.states)})"),
        *([("failures", f"{status.failures:,}  see `photoindex failures`")] if status.failures else []),
        ("on disk", ", ".join(f"{name} {size(count)}" for name, count in sizes.items())),
    ]
    print_table(["", ""], facts)
    _print_steps(status)


def _file_counts(status: LibraryStatus) -> str:
    copies = "1 copy of another, " if status.copies == 1 else f"{status.copies:,} copies of others, "
    return f"{copies if status.copies else ''}{status.missing:,} missing, {status.unreadable:,} unreadable"


def _print_steps(status: LibraryStatus) -> None:
    """What each step has done. A photo that cannot be decoded is counted once, in a row of its own before them."""
    left = ["due"] if status.due else []
    columns = ["done", "failed", "skipped"]
    rows = [
        [
            name,
            *(f"{counts.get(state, 0):,}" for state in columns),
            *(f"{status.due.get(name, 0):,}" for _ in left),
            status.models.get(name, ""),
        ]
        for name in STEPS
        if (counts := status.steps.get(name, {})) or status.due.get(name)
    ]
    if rows and (failed := status.states.get("failed")):
        rows.insert(0, ["decode", "", f"{failed:,}", "", *("" for _ in left), ""])
    print_table(["step", *columns, *left, "model"], rows, right=(*columns, *left))


def _counts(states: Mapping[str, int]) -> str:
    order = ("completed", "partial", "failed", "missing", "pending")
    return ", ".join(f"{states[name]:,} {name}" for name in order if states.get(name)) or "none yet"


def details_object(details: PhotoDetails, thumbnail: Path) -> dict[str, Any]:
    found = plain(details)
    found["photo"] = found.pop("sha256")
    if found["hashes"]:
        del found["hashes"]["words"]  # a thousand bytes that tell nobody anything
    found["thumbnail"] = str(thumbnail) if thumbnail.is_file() else None
    return {"photo": found.pop("photo"), **found}


def print_details(details: PhotoDetails, thumbnail: Path, output: ObjectFormat) -> None:
    if output is ObjectFormat.json:
        print_json(details_object(details, thumbnail))
        return
    facts: list[tuple[str, str]] = [("photo", details.sha256), ("state", details.state), ("size", size(details.bytes))]
    facts += [("file", f"{short_path(file.path)}{_remark(file)}") for file in details.files]
    facts += [("thumbnail", short_path(str(thumbnail)))] if thumbnail.is_file() else []
    facts += metadata_facts(details.metadata) if details.metadata else []
    if details.place:
        parts = (details.place.city, details.place.metropolis, details.place.region, details.place.country)
        facts.append(("place", ", ".join(part for part in parts if part)))
    if details.hashes:
        facts.append(("pdq", f"{details.hashes.pdq.hex()}  quality {details.hashes.quality}"))
        facts.append(("pdq, own size", f"{details.hashes.pdq_own.hex()}  quality {details.hashes.quality_own}"))
    facts += [("caption", details.caption)] if details.caption else []
    facts += [("tags", ", ".join(f"{tag.name} {tag.score:.2f}" for tag in details.tags))] if details.tags else []
    facts += [("text", f"{line.text}  ({line.confidence:.2f})") for line in details.ocr]
    facts += [("face", _box(face.box) + f"  score {face.score:.2f}") for face in details.faces]
    facts += [(f"step {row.step}", _ledger_text(row)) for row in details.ledger]
    print_table(["", ""], [(name, visible(value)) for name, value in facts])


def _remark(file: PhotoFile) -> str:
    return "  (offline)" if file.offline else "  (missing)" if file.missing else ""


def _box(box: tuple[float, float, float, float]) -> str:
    left, top, right, bottom = (f"{side:.0%}" for side in box)
    return f"{left} to {right} across, {top} to {bottom} down"


def _ledger_text(row: Any) -> str:
    model = f" with {row.model} on {row.runtime}" if row.model and row.runtime else ""
    problem = f": {row.problem.message}" if row.problem else ""
    return f"{row.status}{model}, {row.ms:.0f} ms{problem}"
