"""What measurements of runtimes depend on: the hardware and the packages. Found without importing any of them."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_PACKAGES = (
    "openvino", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "torch", "open_clip_torch", "paddlepaddle",
    "paddlepaddle-gpu", "paddleocr", "paddlex", "rapidocr",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`flags`: what the processor can do, in its own words; `gpus` with driver; `packages` name to version."""

    system: str
    cpu: str
    flags: tuple[str, ...]
    cores: int
    gpus: tuple[str, ...]
    packages: Mapping[str, str]

    @property
    def key(self) -> str:
        """Twelve hex digits that change when any of it does."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.cache
def fingerprint() -> Fingerprint:
    """This machine, as this process may use it."""
    cpu, flags = _processor()
    return Fingerprint(
        f"{platform.system()} {platform.machine()}", cpu, flags, usable_cores(), _gpus(), dict(_versions())
    )


def usable_cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> tuple[str, tuple[str, ...]]:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine(), ()
    first = info.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    flags = fields.get("flags") or fields.get("Features") or ""
    model = fields.get("model name") or platform.machine()
    return f"{model} ({fields.get('cpu family', '?')}/{fields.get('model', '?')})", tuple(sorted(flags.split()))


def _gpus() -> tuple[str, ...]:
    """NVIDIA's by name with the driver's version, from the driver's own files; others as the kernel lists them."""
    found = []
    for about in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = about.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    version = Path("/proc/driver/nvidia/version")
    if version.is_file():
        found.append(version.read_text(encoding="utf-8", errors="replace").splitlines()[0])
    for device in sorted(Path("/sys/class/drm").glob("renderD*/device/device")):
        found.append(f"{device.with_name('vendor').read_text().strip()}:{device.read_text().strip()}")
    return tuple(found)


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
