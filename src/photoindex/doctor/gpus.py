"""Graphics processors: those on the PCI bus, and those whose driver answers. Neither torch nor a tool is needed."""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from pathlib import Path

from photoindex.doctor.records import Gpu

_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
# PCI class codes: 0x0300 VGA compatible, 0x0302 3D controller, 0x0380 other display controller.
_DISPLAY = ("0x0300", "0x0302", "0x0380")


def read_gpus() -> tuple[Gpu, ...]:
    """Every GPU of this machine; those that only the bus knows are not usable."""
    if sys.platform == "darwin":
        return (Gpu("Apple", "Apple GPU", usable=True),) if platform.machine() == "arm64" else ()
    answering = cuda_gpus()
    on_bus = pci_gpus()
    silent = [gpu for gpu in on_bus if gpu.vendor != "NVIDIA" or not answering]
    return (*answering, *silent)


def cuda_gpus() -> tuple[Gpu, ...]:
    """What the NVIDIA driver's own library reports (CUDA driver API: cuInit, cuDeviceGet and their kin)."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return ()
        return tuple(_cuda_gpu(driver, number) for number in range(count.value))
    except (OSError, AttributeError):
        return ()


def pci_gpus(bus: Path = Path("/sys/bus/pci/devices")) -> tuple[Gpu, ...]:
    """Display controllers on the PCI bus as Linux lists them, in the order of their slots."""
    found = []
    for device in sorted(bus.glob("*")):
        vendor = _VENDORS.get(_read(device / "vendor"))
        if vendor and _read(device / "class")[:6] in _DISPLAY:
            found.append(Gpu(vendor, f"{vendor} {_read(device / 'device')}", usable=False, driver=_bound(device)))
    return tuple(found)


def driver_version(said: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """The version of NVIDIA's kernel module, where one is loaded."""
    found = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)", _read(said))
    return found.group(1) if found else None


def _cuda_gpu(driver: ctypes.CDLL, number: int) -> Gpu:
    device, name, size = ctypes.c_int(0), ctypes.create_string_buffer(128), ctypes.c_size_t(0)
    driver.cuDeviceGet(ctypes.byref(device), number)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    return Gpu("NVIDIA", name.value.decode(errors="replace"), True, size.value or None, driver_version())


def _bound(device: Path) -> str | None:
    """The kernel driver that holds the device, if any."""
    link = device / "driver"
    return link.resolve().name if link.exists() else None


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
