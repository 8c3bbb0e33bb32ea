"""BLIP's captioner (Li et al. 2022, arXiv 2201.12086) on torch, as transformers has it: pictures to token ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.openclip import CannotBuild
from photoindex.runtimes.selection import select
from photoindex.runtimes.session import Arrays
from photoindex.runtimes.torch_session import Device, Precision, accelerators

PREPROCESSING = "preprocessor_config.json"


def load_blip(folder: Path) -> Any:
    """A BlipForConditionalGeneration from a folder as the hub has it, on the CPU, float32, for inference.

    Safetensors first; a `pytorch_model.bin` is read without running anything in it. Raises CannotBuild where a file
    is not there or not sound, and where weights and architecture do not match.
    """
    from transformers import BlipForConditionalGeneration
    from transformers.utils import logging

    reports: Any = logging
    reports.disable_progress_bar()
    reports.set_verbosity_error()
    build: Any = BlipForConditionalGeneration.from_pretrained
    try:
        model, told = build(folder, local_files_only=True, weights_only=True, output_loading_info=True)
    except Exception as error:  # broken files fail in as many ways as there are readers of files
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise CannotBuild(f"{folder} holds no BLIP captioner ({said})") from error
    wrong = [str(key) for key in (*told["missing_keys"], *told["mismatched_keys"])]
    if wrong:
        raise CannotBuild(f"{folder} holds no BLIP captioner (its weights lack {wrong[0]}, or have another shape)")
    return model.float().eval().requires_grad_(False)


class BlipSession:
    """A loaded captioner. Input `pixels`: uint8 (n, side, side, 3), RGB. Output `ids`: int64 (n, tokens), padded.

    Decoding is beam search without sampling, so that a picture gets the same caption every time.
    """

    def __init__(
        self, folder: Path, *, device: Device, precision: Precision, beams: int, tokens: int, threads: int | None = None
    ) -> None:
        """Raises CannotBuild, or what torch raises where the device cannot hold the model."""
        import torch

        if threads and device == "cpu":
            torch.set_num_threads(threads)
        self._name, self._device, self._beams, self._tokens = folder.name, device, beams, tokens
        self._dtype = torch.float16 if precision == "f16" else torch.float32
        self._runtime = f"torch-{device}-{precision}"
        self._mean, self._std = _normalisation(folder)
        self._model = load_blip(folder).to(device, self._dtype)
        self.side = int(self._model.config.vision_config.image_size)

    @property
    def runtime(self) -> str:
        return self._runtime

    @property
    def inputs(self) -> Sequence[str]:
        return ("pixels",)

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """One batch. Raises RuntimeUnavailable where torch gives up, out of memory included."""
        import torch

        if self._model is None:
            raise RuntimeUnavailable(self._name, "the session is closed")
        try:
            with torch.inference_mode():
                pixels = torch.from_numpy(np.ascontiguousarray(inputs["pixels"])).to(self._device)
                views = (pixels.permute(0, 3, 1, 2).float().div(255) - self._of(self._mean)) / self._of(self._std)
                ids = self._model.generate(
                    pixel_values=views.to(self._dtype),
                    num_beams=self._beams,
                    max_new_tokens=self._tokens,
                    do_sample=False,
                )
                return {"ids": ids.cpu().numpy()}
        except RuntimeError as error:
            raise RuntimeUnavailable(self._name, f"{self._runtime}: {error}") from error

    def before_each_block(self, call: Callable[[], None]) -> None:
        """`call` will be called several times a second during a run; what it raises ends that run."""
        if self._model is not None:
            for name, module in self._model.named_modules():
                if name.rsplit(".", 1)[-1].isdigit():
                    module.register_forward_pre_hook(lambda *_: call())

    def close(self) -> None:
        import torch

        self._model = None
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _of(self, values: Sequence[float]) -> Any:
        import torch

        return torch.tensor(values, device=self._device).view(1, 3, 1, 1)


def open_blip(
    folder: Path, *, beams: int, tokens: int, threads: int | None = None, runtime: str | None = None
) -> BlipSession:
    """The session on the first device and precision that it runs on: float16 on a GPU, float32, the CPU.

    `runtime` overrides the choice. Raises CannotBuild, RuntimeRefused, and RuntimeUnavailable with the reason of every
    rung that failed.
    """
    failures = []
    rungs: list[tuple[Device, Precision]] = [(gpu, p) for gpu in accelerators() for p in ("f16", "f32")]
    load = partial(BlipSession, folder, beams=beams, tokens=tokens, threads=threads)
    found = [
        Candidate(f"torch-{device}-{precision}", partial(load, device=device, precision=precision))
        for device, precision in [*rungs, ("cpu", "f32")]
    ]
    for rung in select(found, runtime, folder.name):
        try:
            session = cast(BlipSession, rung.open())
            session.run({"pixels": np.full((1, session.side, session.side, 3), 128, np.uint8)})
        except (RuntimeError, AssertionError, RuntimeUnavailable) as error:  # torch asserts that CUDA was compiled in
            failures.append(f"{rung.name}: {' '.join(str(error).split())[:300]}")
            continue
        return session
    raise RuntimeUnavailable(folder.name, "; ".join(failures))


def _normalisation(folder: Path) -> tuple[list[float], list[float]]:
    try:
        told = json.loads((folder / PREPROCESSING).read_text("utf-8"))
        mean, std = ([float(value) for value in told[key]] for key in ("image_mean", "image_std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotBuild(f"{folder / PREPROCESSING} does not say how pictures are prepared ({error})") from error
    if len(mean) != 3 or len(std) != 3 or not all(std):
        raise CannotBuild(f"{folder / PREPROCESSING} does not say how pictures are prepared")
    return mean, std
