"""The facts of this machine: processor, cores and memory that a container leaves us, disks. Nothing is imported."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from photoindex.config import Settings
from photoindex.doctor.records import Cpu, Disk, Memory
from photoindex.runtimes.control_groups import MOUNTED, OWN, control_groups
from photoindex.runtimes.machine_memory import default_budget, read_machine_memory

# Linux's words for what models gain from; ARM's flags are listed under "Features".
_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_fp16": "AVX-512 FP16",
    "amx_bf16": "AMX BF16",
    "amx_int8": "AMX INT8",
    "asimd": "NEON",
    "asimddp": "dot product",
    "bf16": "BF16",
    "i8mm": "I8MM",
    "sve": "SVE",
    "sve2": "SVE2",
}


def read_cpu() -> Cpu:
    name, features = _described()
    cores = os.cpu_count() or 1
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    allowed = core_limit()
    usable = min(float(mine), allowed) if allowed else float(mine)
    return Cpu(name or platform.processor() or "unknown", platform.machine(), features, cores, usable)


def parse_cpuinfo(text: str) -> tuple[str, tuple[str, ...]]:
    """The processor's name and its features, as /proc/cpuinfo describes the first core."""
    rows = dict(line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    rows = {key.strip(): value.strip() for key, value in rows.items()}
    flags = set((rows.get("flags") or rows.get("Features") or "").split())
    name = rows.get("model name") or rows.get("Model") or rows.get("Hardware") or ""
    return " ".join(name.split()), tuple(label for flag, label in _FEATURES.items() if flag in flags)


def read_load() -> float | None:
    """How many cores were busy in the last minute on average; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def read_memory() -> Memory:
    """What there is and what is free now, within the limit of a container, and what a scan takes of it by default."""
    memory = read_machine_memory()
    limited = memory.total < _physical()
    shm = Path("/dev/shm")  # noqa: S108 - looked at, never written
    shared = shutil.disk_usage(shm).total if shm.is_dir() else None
    return Memory(memory.total, memory.available, limited, shared, default_budget(memory))


def _physical() -> int:
    """Bytes of memory that the machine itself has; 0 where the system does not tell."""
    names: Callable[[str], int] | None = getattr(os, "sysconf", None)
    return names("SC_PAGE_SIZE") * names("SC_PHYS_PAGES") if names else 0


def core_limit(mounted: Path = MOUNTED, own: Path = OWN) -> float | None:
    """The cores that control groups leave this process, such as 1.5 (Linux's scheduler/sched-bwc.rst); None: all."""
    groups = control_groups("cpu", mounted, own)
    return min((cores for folder in groups for cores in _cores(folder)), default=None)


def _cores(folder: Path) -> list[float]:
    match _words(folder / "cpu.max"):
        case [quota, period] if quota.isdigit():
            return [int(quota) / int(period)]
    match _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us"):
        case [[quota], [period]] if quota.isdigit():
            return [int(quota) / int(period)]
    return []


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _described() -> tuple[str, tuple[str, ...]]:
    if platform.system() == "Darwin":
        return _asked("machdep.cpu.brand_string"), tuple(
            label for name, label in _APPLE.items() if _asked(f"hw.optional.{name}") == "1"
        )
    try:
        return parse_cpuinfo(Path("/proc/cpuinfo").read_text())
    except OSError:
        return "", ()


_APPLE = {"avx2_0": "AVX2", "neon": "NEON", "arm.FEAT_BF16": "BF16", "arm.FEAT_I8MM": "I8MM"}


def _asked(key: str) -> str:
    """What macOS says of a key, or nothing."""
    command = ["/usr/sbin/sysctl", "-n", key]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout.strip()  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""


def read_disks(settings: Settings) -> tuple[Disk, ...]:
    """The file systems that a scan writes to."""
    places = {"library": settings.library, "models": settings.models_dir, "temporary": Path(tempfile.gettempdir())}
    return tuple(_disk(use, path) for use, path in places.items())


def _disk(use: str, path: Path) -> Disk:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    usage = shutil.disk_usage(there)
    return Disk(use, str(path), usage.free, usage.total)
