"""What `photoindex dupes decisions list` prints: the JSON objects of docs/json.md, and text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from photoindex.dupes.deciding import decision_object
from photoindex.records import Decision
from photoindex.render.output import RowFormat, print_rows, print_table
from photoindex.render.text import short_path

_COLUMNS = ("id", "decision", "decided_at", "keeper", "photos", "paths")


def print_decisions(decisions: Sequence[Decision], paths: Mapping[str, Sequence[str]], output: RowFormat) -> None:
    """`paths`: where the contents lie now, by SHA-256."""
    rows = [{**decision_object(d), "paths": _paths(d, paths)} for d in decisions]

    def table() -> None:
        cells = [
            (d.id[:8], d.kind, f"{d.decided_at:%Y-%m-%d}", ", ".join(map(short_path, _paths(d, paths))) or "(gone)")
            for d in decisions
        ]
        print_table(["id", "decision", "decided", "files"], cells)

    print_rows(rows, output, _COLUMNS, table)


def _paths(decision: Decision, paths: Mapping[str, Sequence[str]]) -> list[str]:
    """Where its contents lie, what to keep first."""
    order = sorted(decision.photos, key=lambda sha256: sha256 != decision.keeper)
    return [path for sha256 in order for path in paths.get(sha256, ())]
