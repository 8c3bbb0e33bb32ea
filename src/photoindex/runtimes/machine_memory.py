"""How much memory this process may take: the machine's, or less where a container has a limit."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from photoindex.runtimes.control_groups import MOUNTED, OWN, control_groups

_UNLIMITED = 1 << 60  # version 1 of control groups writes "no limit" as a number near 2**63
_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """Bytes: all that there is for this process and its like, and what of it is free now or given back on demand."""

    total: int
    available: int


def default_budget(memory: MachineMemory) -> int:
    """What a scan may take where nobody said: three quarters, less where others take more, but at least half."""
    return max(memory.total // 2, min(memory.total * 3 // 4, memory.available * 9 // 10))


def read_machine_memory(
    mounted: Path = MOUNTED,
    own: Path = OWN,
    meminfo: Path = Path("/proc/meminfo"),
) -> MachineMemory:
    """The machine's memory within the tightest control group around this process."""
    total, available = _physical(meminfo)
    for folder in control_groups("memory", mounted, own):
        for limit_file, used_file in _FILES:
            limit = _number(folder / limit_file)
            if limit is not None and limit < min(total, _UNLIMITED):
                total = limit
                available = min(available, max(0, limit - (_number(folder / used_file) or 0) + _reclaimable(folder)))
    return MachineMemory(total, min(total, available))


def _reclaimable(folder: Path) -> int:
    """Bytes of files that were read and can be dropped."""
    try:
        rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    names = ("inactive_file", "active_file") if "total_inactive_file" not in rows else ("total_inactive_file",)
    return sum(int(rows.get(name, 0)) for name in names)


def _number(file: Path) -> int | None:
    """The number in a file; None where there is no file, or it says "max"."""
    try:
        word = file.read_text().strip()
    except OSError:
        return None
    return int(word) if word.isdigit() else None


def _physical(meminfo: Path) -> tuple[int, int]:
    try:
        rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        total, free = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
        return total, free
    except (OSError, KeyError, ValueError):
        return _of_windows() if sys.platform == "win32" else _by_pages()


def _by_pages() -> tuple[int, int]:
    """macOS tells its processes no free memory that means anything, because it compresses: all of it counts."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total, total


def _of_windows() -> tuple[int, int]:
    """GlobalMemoryStatusEx (Microsoft, sysinfoapi.h): a MEMORYSTATUSEX of two 32-bit and seven 64-bit numbers."""
    status = (ctypes.c_uint64 * 8)()
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined, unused-ignore]
    return int(status[1]), int(status[2])
