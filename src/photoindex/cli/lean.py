"""Starting a short command fast."""

from __future__ import annotations

import sys
import types
import warnings


def leave_out_pandas() -> None:
    """Keep pyarrow from importing pandas in this process: half the import of what reads the vectors, and unused here.

    pyarrow does without pandas where it finds a version older than it can use, so it is shown one. For commands
    that read only; a scan has libraries that use pandas.
    """
    if "pandas" not in sys.modules:
        stand_in = types.ModuleType("pandas")
        stand_in.__version__ = "0"  # type: ignore[attr-defined]
        sys.modules["pandas"] = stand_in
        warnings.filterwarnings("ignore", "pyarrow requires pandas")
