"""The two towers of an OpenCLIP model as ONNX files, each run once and compared with torch."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.runtimes.onnx_session import OnnxSession
from photoindex.runtimes.session import Session
from photoindex.runtimes.torch_session import ImageTower

OPSET = 17


def may_be_trimmed(model: Any) -> bool:
    """With a causal mask and the vector taken at the end token, what comes after that token changes nothing."""
    import open_clip

    return isinstance(model, open_clip.CLIP) and model.text_pool_type == "argmax" and model.attn_mask is not None


def export_image_tower(model: Any, path: Path, pixels: npt.NDArray[np.uint8], reference: Any) -> float:
    """Write the image tower to `path`; the smallest cosine of its vectors of `pixels` with `reference` (n, width)."""
    _plain_attention(model)
    _export(ImageTower(model).module, pixels[:2], path, "pixels", {"pixels": {0: "n"}, "vectors": {0: "n"}})
    session = OnnxSession(path)
    return min(_agreement(session, {"pixels": pixels[:n]}, reference[:n]) for n in (1, len(pixels)))


def export_text_tower(model: Any, path: Path, ids: npt.NDArray[np.int64], reference: Any) -> float:
    """Write the text tower, its graph already optimised, to `path`; the smallest cosine as above.

    `ids` (n, context) end with 0s where the model may be trimmed: then batches of any length are exported.
    """
    _plain_attention(model)
    trim = may_be_trimmed(model)
    dynamic = {"ids": {0: "n", 1: "tokens"} if trim else {0: "n"}, "vectors": {0: "n"}}
    plain = path.with_name("plain.onnx")
    _export(_text_tower(model, trim), ids, plain, "ids", dynamic)
    _optimise(plain, path)
    for left in path.parent.glob("plain.onnx*"):
        left.unlink()
    session = OnnxSession(path, threads=1, latency=True)
    shortest = ids[:1, : int(ids[0].argmax()) + 1] if trim else ids[:1]
    return min(_agreement(session, {"ids": ids}, reference), _agreement(session, {"ids": shortest}, reference[:1]))


def _agreement(session: Session, inputs: dict[str, Any], reference: Any) -> float:
    return float(np.sum(session.run(inputs)["vectors"] * reference, axis=1).min())


def _text_tower(model: Any, trim: bool) -> Any:
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any) -> Any:
            return self.model.encode_text(ids, normalize=True)

    class Trimmed(Whole):
        """CLIP's text tower for a batch of any length: position embeddings and mask are cut to it."""

        def forward(self, ids: Any) -> Any:
            own = self.model
            # Looked up rather than sliced: the exporter would turn a slice's length into a constant.
            at = torch.ones_like(ids).cumsum(dim=1) - 1
            x = own.token_embedding(ids) + own.positional_embedding[at]
            x = own.ln_final(own.transformer(x, attn_mask=own.attn_mask[at[0]][:, at[0]]))
            x = x[torch.arange(x.shape[0]), ids.argmax(dim=-1)]
            projection = own.text_projection
            if projection is not None:
                x = projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection
            return torch.nn.functional.normalize(x, dim=-1)

    return (Trimmed if trim else Whole)().eval()


def _plain_attention(model: Any) -> None:
    """Write the self-attention of OpenCLIP's blocks out, with the same weights.

    torch's MultiheadAttention exports lengths as constants and some twenty shape operators a block; written out,
    batch and length stay free and runtimes recognise the pattern.
    """
    import torch
    from open_clip.transformer import ResidualAttentionBlock

    class Plain(torch.nn.Module):
        def __init__(self, origin: Any) -> None:
            super().__init__()
            self.heads, self.size, self.batch_first = origin.num_heads, origin.head_dim, origin.batch_first
            self.weight, self.bias, self.out = origin.in_proj_weight, origin.in_proj_bias, origin.out_proj

        def forward(self, x: Any, _keys: Any, _values: Any, need_weights: bool, attn_mask: Any = None) -> Any:
            assert not need_weights
            x = x if self.batch_first else x.transpose(0, 1)
            n, length = x.shape[0], x.shape[1]
            joined = torch.nn.functional.linear(x, self.weight, self.bias)
            split = joined.view(n, length, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
            scores = (split[0] * self.size**-0.5) @ split[1].transpose(-2, -1)
            scores = scores if attn_mask is None else scores + attn_mask
            mixed = (scores.softmax(dim=-1) @ split[2]).transpose(1, 2).reshape(n, length, self.heads * self.size)
            out = self.out(mixed)
            return (out if self.batch_first else out.transpose(0, 1), None)

    for block in model.modules():
        own = getattr(block, "attn", None)
        of_itself = type(block) is ResidualAttentionBlock and not hasattr(block, "ln_1_kv")
        if of_itself and isinstance(own, torch.nn.MultiheadAttention):
            block.attn = Plain(own)


def _export(tower: Any, example: Any, path: Path, name: str, dynamic: dict[str, dict[int, str]]) -> None:
    """One ONNX file with its weights in a file beside it (a protobuf holds at most 2 GB)."""
    import onnx
    import torch

    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no ONNX form
    raw = path.with_name("raw")
    raw.mkdir()
    with torch.no_grad(), warnings.catch_warnings():
        # The tracing exporter is old but needs no further package; what it writes is compared with torch below.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower, (torch.from_numpy(example),), str(raw / path.name), input_names=[name], output_names=["vectors"],
            dynamic_axes=dynamic, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    onnx.save_model(
        onnx.load_model(raw / path.name), str(path), save_as_external_data=True,
        all_tensors_to_one_file=True, location=f"{path.name}.data", size_threshold=1024,
    )  # fmt: skip
    shutil.rmtree(raw)


def _optimise(source: Path, target: Path) -> None:
    """ONNX Runtime's own rewriting of the graph, done now so that no search command has to wait for it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{target.name}.data")
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
