"""RAM++ on torch: its published checkpoint loaded without a second copy in memory, and a session that runs it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.records import AUTOMATIC, RuntimeOptions
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.faults import not_numbers
from photoindex.runtimes.ladder import Ladder
from photoindex.runtimes.openclip import CannotBuild
from photoindex.runtimes.selection import select
from photoindex.runtimes.session import Arrays, Session
from photoindex.runtimes.torch_session import Device, Precision, whole_model_rungs

if TYPE_CHECKING:
    from photoindex.runtimes.ram_plus_module import RamPlus

# ImageNet's mean and standard deviation of red, green and blue, on a scale of 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Checkpoints published without the scale were trained with the value it starts from, CLIP's.
LOG_SCALE = math.log(1 / 0.07)
# What the encoder computes from its own sizes.
_COMPUTED = ("relative_position_index", "attn_mask")
_ATTENTION = r"tagging_head\.encoder\.layer\.(\d+)\.crossattention"
_RENAMED = (
    (_ATTENTION + r"\.self\.(query|key|value)\.", r"layers.\1.\2."),
    (_ATTENTION + r"\.output\.dense\.", r"layers.\1.attended."),
    (_ATTENTION + r"\.output\.LayerNorm\.", r"layers.\1.attended_norm."),
    (r"tagging_head\.encoder\.layer\.(\d+)\.intermediate\.dense\.", r"layers.\1.widen."),
    (r"tagging_head\.encoder\.layer\.(\d+)\.output\.dense\.", r"layers.\1.narrow."),
    (r"tagging_head\.encoder\.layer\.(\d+)\.output\.LayerNorm\.", r"layers.\1.norm."),
    (r"visual_encoder\.", "encoder."),
    (r"wordvec_proj\.", "query_proj."),
    (r"fc\.", "score."),
    (r"label_embed$", "descriptions"),
    (r"reweight_scale$", "log_scale"),
)


def load_ram_plus(checkpoint: Path) -> RamPlus:
    """The model of a published checkpoint on the CPU, float32, for inference; all its sizes are read off the weights.

    The weights stay in the file until they are used. Raises CannotBuild where file and architecture do not match
    key for key; only what the encoder computes itself may be there or not, and the scale of the descriptions.
    """
    import torch

    from photoindex.runtimes.ram_plus_module import RamPlus, sizes_of

    weights = _read(checkpoint)
    try:
        sizes = sizes_of({name: tuple(tensor.shape) for name, tensor in weights.items()})
        with torch.device("meta"):
            model = RamPlus(sizes)
        mapped = {_own_name(name): tensor for name, tensor in weights.items()}
        model.load_state_dict({"log_scale": torch.tensor(LOG_SCALE), **mapped}, strict=True, assign=True)
    except KeyError as error:
        raise CannotBuild(f"{checkpoint.name} is no RAM++ checkpoint: it has no {error.args[0]}") from error
    except (RuntimeError, IndexError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise CannotBuild(f"{checkpoint.name} is no RAM++ checkpoint ({said})") from error
    _compute_buffers(model)
    return model.float().eval().requires_grad_(False)


def _read(checkpoint: Path) -> dict[str, Any]:
    """The model's tensors by their published names, mapped from the file; the optimizer's are never touched."""
    import torch

    try:
        kept = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # broken files fail in as many ways as there are readers of files
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise CannotBuild(f"{checkpoint.name} cannot be read ({said})") from error
    weights = kept.get("model", kept) if isinstance(kept, Mapping) else {}
    return {name: tensor for name, tensor in weights.items() if name.rsplit(".", 1)[-1] not in _COMPUTED}


def _own_name(published: str) -> str:
    for pattern, own in _RENAMED:
        name, found = re.subn(f"^{pattern}", own, published)
        if found:
            # timm merges patches at the start of a stage, the checkpoint at the end of the one before.
            return re.sub(r"(?<=\.layers\.)\d+(?=\.downsample\.)", lambda stage: str(int(stage[0]) + 1), name)
    return published


def _compute_buffers(model: RamPlus) -> None:
    """Real storage and values for what the encoder computes: built on the meta device, they have neither."""
    import torch

    for module in model.encoder.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                module.register_buffer(name, torch.empty_like(buffer, device="cpu"), persistent=False)
    for module in model.encoder.modules():
        compute: Any = getattr(module, "init_non_persistent_buffers", None)
        if compute is not None:
            compute()


class RamPlusSession:
    """A loaded RAM++.

    Input `pixels`: uint8 (n, side, side, 3), RGB. Outputs `logits` and `scores` (their sigmoid): float32 (n, tags).
    """

    def __init__(self, checkpoint: Path, *, device: Device, precision: Precision, threads: int | None = None) -> None:
        """Raises CannotBuild, or what torch raises where the device cannot hold the model."""
        import torch

        if threads and device == "cpu":
            torch.set_num_threads(threads)
        self._name, self._device = checkpoint.name, device
        self._dtype = torch.float16 if precision == "f16" else torch.float32
        self._runtime = f"torch-{device}-{precision}"
        model = load_ram_plus(checkpoint)
        self.side, self.tags = model.sizes.picture, model.sizes.tags
        self._model: RamPlus | None = model.to(device, self._dtype)

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
                logits = self._model(normalise(pixels).to(self._dtype))
                return {"logits": logits.cpu().numpy(), "scores": logits.sigmoid().cpu().numpy()}
        except RuntimeError as error:
            raise RuntimeUnavailable(self._name, f"{self._runtime}: {error}") from error

    def before_each_block(self, call: Callable[[], None]) -> None:
        """`call` will be called several times a second during a run; what it raises ends that run."""
        if self._model is not None:
            for block in self._model.blocks():
                block.register_forward_pre_hook(lambda *_: call())

    def close(self) -> None:
        import torch

        self._model = None
        if self._device == "cuda":
            torch.cuda.empty_cache()


def normalise(pixels: Any) -> Any:
    """uint8 (n, side, side, 3) to float32 (n, 3, side, side), as torchvision's ToTensor and Normalize do it."""
    import torch

    mean, std = (torch.tensor(each, device=pixels.device).view(1, 3, 1, 1) for each in (MEAN, STD))
    return (pixels.permute(0, 3, 1, 2).float().div(255) - mean) / std


def open_ram_plus(
    checkpoint: Path, options: RuntimeOptions = AUTOMATIC, before_block: Callable[[], None] = lambda: None
) -> Ladder:
    """The session on the first device and precision that gives finite numbers: float16 on a GPU, float32, the CPU.

    bfloat16 is not tried: it changes three times as many tags as float16 does. `options.runtime` overrides the choice.
    `before_block` is called several times a second during a run; what it raises ends that run. Raises CannotBuild,
    RuntimeRefused, and RuntimeUnavailable with the reason of every rung that failed.
    """

    def load(device: Device, precision: Precision) -> RamPlusSession:
        session = RamPlusSession(checkpoint, device=device, precision=precision, threads=options.threads)
        session.before_each_block(before_block)
        return session

    found = [
        Candidate(f"torch-{device}-{precision}", partial(load, device, precision))
        for device, precision in whole_model_rungs()
    ]
    rungs = select(found, options.runtime, checkpoint.name)
    return Ladder(checkpoint.name, rungs, _trial, tell=options.tell, fatal=(CannotBuild,))


def _trial(session: Session) -> str | None:
    side = cast(RamPlusSession, session).side
    return not_numbers(session.run({"pixels": np.full((1, side, side, 3), 128, np.uint8)}))
