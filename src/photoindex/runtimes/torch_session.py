"""PyTorch: OpenCLIP's own modules, on CUDA or Apple's GPU, or on the CPU as the last resort."""

from __future__ import annotations

import ctypes
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.openclip import Recipe, load_openclip
from photoindex.runtimes.session import Arrays

Device = Literal["cuda", "mps", "cpu"]
Precision = Literal["f16", "bf16", "f32"]
Variant = Literal["", "channelslast", "compiled"]
_ON_GPU: tuple[Precision, ...] = ("f16", "f32")


class TorchSession:
    """The image tower of an OpenCLIP model. `path` is its ONNX form; forms.json beside it tells how to build it.

    Input `pixels`: uint8 (batch, height, width, 3). Output `vectors`: float32 (batch, width), L2-normalised.
    `variant`: `channelslast` keeps what convolutions work on with the colours of a pixel side by side; `compiled` has
    torch.compile write kernels at the first run, which takes from seconds to minutes and needs a compiler.
    """

    def __init__(
        self, path: Path, *, device: Device, precision: Precision, threads: int | None = None, variant: Variant = ""
    ) -> None:
        import torch

        if path.stem != "visual":
            raise RuntimeUnavailable(path.name, "torch runs image towers only")
        if threads and device == "cpu":
            torch.set_num_threads(threads)
        self._path, self._device = path, device
        self._runtime = "-".join(filter(None, ("torch", device, precision, variant)))
        self._dtype = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}[precision]
        model = load_openclip(read_recipe(path.with_name("forms.json")))
        self._tower: Any = ImageTower(model, self._dtype, channels_last=variant == "channelslast").module.to(device)
        if variant == "compiled":
            self._tower = torch.compile(self._tower, dynamic=True)  # one set of kernels for batches of any size

    @property
    def runtime(self) -> str:
        return self._runtime

    @property
    def inputs(self) -> Sequence[str]:
        return ("pixels",)

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """One batch. Raises RuntimeUnavailable where torch gives up, out of memory included."""
        import torch

        try:
            with torch.inference_mode():
                pixels = torch.from_numpy(np.ascontiguousarray(inputs["pixels"])).to(self._device)
                return {"vectors": self._tower(pixels).cpu().numpy()}
        except RuntimeError as error:  # what torch.compile raises is one, too
            raise RuntimeUnavailable(self._path.name, f"{self._runtime}: {error}") from error

    def close(self) -> None:
        self._tower = None


class ImageTower:
    """`module`: OpenCLIP's image tower with the normalisation of pixels before it and of vectors after it."""

    def __init__(self, model: Any, dtype: Any = None, channels_last: bool = False) -> None:
        import torch

        config = model.visual.preprocess_cfg
        dtype = dtype or torch.float32

        class Tower(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.visual = model.visual.to(dtype)
                if channels_last:
                    self.visual.to(memory_format=torch.channels_last)
                self.register_buffer("mean", 255.0 * torch.tensor(config["mean"]).view(1, 3, 1, 1))
                self.register_buffer("std", 255.0 * torch.tensor(config["std"]).view(1, 3, 1, 1))

            def forward(self, pixels: Any) -> Any:
                scaled = (pixels.permute(0, 3, 1, 2).to(torch.float32) - self.mean) / self.std
                scaled = scaled.to(dtype)
                if channels_last:
                    scaled = scaled.contiguous(memory_format=torch.channels_last)
                return torch.nn.functional.normalize(self.visual(scaled).to(torch.float32), dim=-1)

        self.module = Tower().eval()


def accelerators() -> list[Device]:
    """Devices worth torch's two seconds of import, found without importing it."""
    if sys.platform == "darwin":
        return ["mps"] if platform.machine() == "arm64" else []
    return ["cuda"] if _cuda_devices() else []


def whole_model_rungs() -> list[tuple[Device, Precision]]:
    """How models that only torch runs are tried, best first: float16 on a GPU, float32, the CPU."""
    on_gpu: list[tuple[Device, Precision]] = [(gpu, precision) for gpu in accelerators() for precision in _ON_GPU]
    return [*on_gpu, ("cpu", "f32")]


def read_recipe(forms: Path) -> Recipe:
    """The recipe in forms.json, its files relative to that file's folder. Raises RuntimeUnavailable without one."""
    if not forms.is_file():
        raise RuntimeUnavailable(forms.parent.name, "no recipe for torch lies beside it")
    kept = json.loads(forms.read_text(encoding="utf-8"))["recipe"]
    return Recipe(
        architecture=kept["architecture"],
        checkpoint=(forms.parent / kept["checkpoint"]).resolve(),
        config=(forms.parent / kept["config"]).resolve() if kept["config"] else None,
        preprocess=kept["preprocess"],
    )


def _cuda_devices() -> int:
    """How many CUDA devices the driver reports; 0 without a driver."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        if driver.cuInit(0) == 0:
            driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return 0
    return count.value
