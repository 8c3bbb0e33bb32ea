"""The main job: from folders to a searchable library. `scan` is its one entry."""

from photoindex.scan.options import ScanOptions, ScanProgress
from photoindex.scan.run import scan

__all__ = ["ScanOptions", "ScanProgress", "scan"]
