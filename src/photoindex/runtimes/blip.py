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
from photoindex.records import AUTOMATIC, RuntimeOptions
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.ladder import Ladder
from photoindex.runtimes.openclip import CannotBuild
from photoindex.runtimes.selection import select
from photoindex.runtimes.session import Arrays, Session
from photoindex.runtimes.torch_session import Device, Precision, whole_model_rungs

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
    """A loaded captioner. Input `pixels`: uint8 (n, side, side, 3), RGB. Output `ids`: int64 (n, tokens + 1), padded.

    Decoding is beam search without sampling, so that a picture gets the same caption every time. Ids say nothing of
    the numbers behind them, so the scores of every word are looked at: what is no number ends the run.
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
        self._pad = int(self._model.config.text_config.pad_token_id or 0)

    @property
    def runtime(self) -> str:
        return self._runtime

    @property
    def inputs(self) -> Sequence[str]:
        return ("pixels",)

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[np.generic]]:
        """One batch. Raises RuntimeUnavailable where torch gives up, out of memory included, or gives no numbers."""
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
                    logits_processor=[self._believable],
                )
                return {"ids": self._padded(ids.cpu().numpy())}
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

    def _believable(self, _: Any, scores: Any) -> Any:
        """Called with the scores of all words for each next place: torch (n * beams, words). Returns them."""
        if bool((scores.isnan() | scores.isposinf()).any()):
            raise RuntimeUnavailable(self._name, "scores is not a number")
        return scores

    def _padded(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Of one width whatever was said, so that the parts of a batch can be put together again."""
        padded = np.full((len(ids), max(self._tokens + 1, ids.shape[1])), self._pad, np.int64)
        padded[:, : ids.shape[1]] = ids
        return padded

    def _of(self, values: Sequence[float]) -> Any:
        import torch

        return torch.tensor(values, device=self._device).view(1, 3, 1, 1)


def open_blip(
    folder: Path,
    *,
    beams: int,
    tokens: int,
    options: RuntimeOptions = AUTOMATIC,
    before_block: Callable[[], None] = lambda: None,
) -> Ladder:
    """The session on the first device and precision that it runs on: float16 on a GPU, float32, the CPU.

    `options.runtime` overrides the choice. `before_block` is called several times a second during a run; what it raises
    ends that run. Raises CannotBuild, RuntimeRefused, and RuntimeUnavailable with the reason of every rung that failed.
    """

    def load(device: Device, precision: Precision) -> BlipSession:
        session = BlipSession(
            folder, device=device, precision=precision, beams=beams, tokens=tokens, threads=options.threads
        )
        session.before_each_block(before_block)
        return session

    found = [
        Candidate(f"torch-{device}-{precision}", partial(load, device, precision))
        for device, precision in whole_model_rungs()
    ]
    return Ladder(
        folder.name, select(found, options.runtime, folder.name), _trial, tell=options.tell, fatal=(CannotBuild,)
    )


def _trial(session: Session) -> str | None:
    """A run on plain grey: it raises where the scores are no numbers."""
    side = cast(BlipSession, session).side
    session.run({"pixels": np.full((1, side, side, 3), 128, np.uint8)})
    return None


def _normalisation(folder: Path) -> tuple[list[float], list[float]]:
    try:
        told = json.loads((folder / PREPROCESSING).read_text("utf-8"))
        mean, std = ([float(value) for value in told[key]] for key in ("image_mean", "image_std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotBuild(f"{folder / PREPROCESSING} does not say how pictures are prepared ({error})") from error
    if len(mean) != 3 or len(std) != 3 or not all(std):
        raise CannotBuild(f"{folder / PREPROCESSING} does not say how pictures are prepared")
    return mean, std
