"""Duplicates: candidates by their hashes and corners, settled by looking, grouped by tier, with one to keep.

from photoindex.dupes import DupeOptions, dupes

for group in dupes(library, DupeOptions(tiers=("identical", "same-pixels"))):
    print(group.tier, group.reason, [member.photo.path for member in group.members])
"""

from __future__ import annotations

from photoindex.dupes.against import Arrival, against
from photoindex.dupes.apply import apply_plan, undo
from photoindex.dupes.deciding import decide, export_decisions, import_decisions, revoke
from photoindex.dupes.find import dupes
from photoindex.dupes.options import CONFIDENT_THRESHOLD, DupeOptions
from photoindex.dupes.plan import make_plan

__all__ = [
    "CONFIDENT_THRESHOLD",
    "Arrival",
    "DupeOptions",
    "against",
    "apply_plan",
    "decide",
    "dupes",
    "export_decisions",
    "import_decisions",
    "make_plan",
    "revoke",
    "undo",
]
