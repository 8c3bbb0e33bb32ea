"""What backup, restore, check, compact and forget print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from photoindex.keeping.findings import Finding, Repaired, worst
from photoindex.keeping.forget import Forgetting
from photoindex.keeping.merging import counted
from photoindex.keeping.words import Merged
from photoindex.render.output import ObjectFormat, print_json, print_table
from photoindex.render.text import note, short_path, size, visible

_SHOWN = 20


def print_checked(
    library: str, findings: Sequence[Finding], repaired: Sequence[Repaired], output: ObjectFormat
) -> None:
    """What was mended, and what was found after that."""
    if output is ObjectFormat.json:
        print_json(
            {"library": library, "level": worst(findings), "findings": list(findings), "repaired": list(repaired)}
        )
        return
    print_repaired(repaired)
    rows = []
    for finding in findings:
        advice = f"\n{visible(finding.advice)}" if finding.advice and finding.level != "ok" else ""
        rows.append((finding.level, visible(finding.message) + advice))
    print_table(["", ""], rows)


def print_repaired(repaired: Sequence[Repaired]) -> None:
    for one in repaired:
        print_table(["", ""], [("mended", visible(f"{one.message} ({one.count:,})" if one.count > 1 else one.message))])


def print_merged(merged: Sequence[Merged], output: ObjectFormat) -> None:
    if output is ObjectFormat.json:
        print_json(list(merged))
        return
    print_table(["", ""], [(one.kind, ", ".join(counted(one))) for one in merged])
    for one in merged:
        for conflict in one.conflicts:
            note(f"{one.kind}: {conflict}.")


def print_sizes(before: dict[str, int], after: dict[str, int], output: ObjectFormat) -> None:
    if output is ObjectFormat.json:
        print_json({"before": before, "after": after})
        return
    rows = [(name, size(before[name]), size(after.get(name, 0))) for name in before]
    rows.append(("together", size(sum(before.values())), size(sum(after.values()))))
    print_table(["", "before", "after"], rows, right=("before", "after"))


def print_counts(what: dict[str, Any], counts: dict[str, int], output: ObjectFormat) -> None:
    """What a backup holds."""
    if output is ObjectFormat.json:
        print_json({**what, "counts": counts})
        return
    print_table(["", ""], [(visible(name), f"{count:,}") for name, count in counts.items()])


def print_forgetting(what: Forgetting, output: ObjectFormat) -> None:
    if output is ObjectFormat.json:
        print_json(what)
        return
    for path in what.paths[:_SHOWN]:
        print(short_path(path))
    if len(what.paths) > _SHOWN:
        print(f"... and {len(what.paths) - _SHOWN:,} more files")
