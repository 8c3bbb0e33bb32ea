"""Duplicates: candidates by their hashes and corners, settled by looking, grouped by tier, with one to keep.

from photoindex.dupes import DupeOptions, dupes

for group in dupes(library, DupeOptions(tiers=("identical", "same-pixels"))):
    print(group.tier, group.reason, [member.photo.path for member in group.members])
"""

from __future__ import annotations

from photoindex.dupes.against import Arrival, against
from photoindex.dupes.apply import Done, apply_plan
from photoindex.dupes.deciding import (
    Settled,
    decide,
    decide_group,
    export_decisions,
    import_decisions,
    revoke,
    take_back,
)
from photoindex.dupes.find import dupes
from photoindex.dupes.options import CONFIDENT_THRESHOLD, DupeOptions
from photoindex.dupes.plan import make_plan
from photoindex.dupes.targets import ApplyOptions
from photoindex.dupes.undoing import AppliedRun, applied_runs, undo

__all__ = [
    "CONFIDENT_THRESHOLD",
    "AppliedRun",
    "ApplyOptions",
    "Arrival",
    "Done",
    "DupeOptions",
    "Settled",
    "against",
    "applied_runs",
    "apply_plan",
    "decide",
    "decide_group",
    "dupes",
    "export_decisions",
    "import_decisions",
    "make_plan",
    "revoke",
    "take_back",
    "undo",
]
