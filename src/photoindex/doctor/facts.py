"""The facts of this machine, gathered from their readers into one record."""

from __future__ import annotations

import platform
from importlib import metadata

from photoindex.config import Settings
from photoindex.doctor.gpus import read_gpus
from photoindex.doctor.machine import read_cpu, read_disks, read_memory
from photoindex.doctor.records import Machine
from photoindex.errors import DependencyBroken
from photoindex.runtimes.inventory import installed_runtimes, onnxruntime_packages
from photoindex.steps.opencv_guard import installed_opencvs, require_one_opencv

# Those whose version decides what works and how fast; the names are the distributions'.
_PACKAGES = (
    *("torch", "torchvision", "open-clip-torch", "timm", "transformers", "tokenizers", "openvino", "onnxruntime"),
    *("onnxruntime-gpu", "onnx", "rapidocr", "paddleocr", "paddlepaddle", "insightface", "opencv-python-headless"),
    *("lancedb", "pylance", "duckdb", "pyarrow", "numpy", "pillow", "pillow-heif", "rawpy", "pdqhash"),
)


def read_machine(settings: Settings) -> Machine:
    """Everything that the checks look at. torch is imported only where a GPU's driver answers."""
    gpus = read_gpus()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=read_cpu(),
        memory=read_memory(),
        gpus=gpus,
        runtimes=installed_runtimes(ask_torch=any(gpu.usable for gpu in gpus)),
        packages=package_versions(),
        onnxruntimes=tuple(onnxruntime_packages()),
        opencvs=tuple(installed_opencvs()),
        opencv_problem=_opencv_problem(),
        disks=read_disks(settings),
    )


def package_versions() -> dict[str, str]:
    """The versions of the main packages that are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _opencv_problem() -> str | None:
    """Why OpenCV does not work, if it is not because there are several."""
    try:
        require_one_opencv()
    except DependencyBroken as error:
        cause = error.__cause__
        return " ".join(str(cause or error).split())
    return None
