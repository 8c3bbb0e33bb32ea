"""Checkpoints of RAM++ in the published form, with random weights, and a small one as a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.pure.tag_rules import in_force
from photoindex.records import FoundFile, Picture, Tag
from photoindex.steps.ram_plus import rule_of
from tag_rule import lets_through

SMALL = {"channels": 16, "depths": (2, 2, 2, 2), "heads": (2, 4, 8, 16), "window": 2, "hidden": 32, "tags": 6}
LARGE = {"channels": 192, "depths": (2, 2, 18, 2), "heads": (6, 12, 24, 48), "window": 12, "hidden": 768, "tags": 4585}
NAMES = ["cloud", "dog", "red", "sky", "street", "tree"]


def published_shapes(sizes: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a checkpoint, without what the encoder computes itself."""

    def linear(name: str, rows: int, columns: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from ((f"{name}.weight", (rows, columns)), (f"{name}.bias", (rows,)))

    def norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from ((f"{name}.weight", (width,)), (f"{name}.bias", (width,)))

    wide, encoder, head = sizes["channels"], "visual_encoder", "tagging_head.encoder.layer"
    yield from (("label_embed", (51 * sizes["tags"], 512)), ("reweight_scale", ()))
    yield from ((f"{encoder}.patch_embed.proj.weight", (wide, 3, 4, 4)), (f"{encoder}.patch_embed.proj.bias", (wide,)))
    yield from norm(f"{encoder}.patch_embed.norm", wide)
    for stage, (depth, heads) in enumerate(zip(sizes["depths"], sizes["heads"], strict=True)):
        for number in range(depth):
            block = f"{encoder}.layers.{stage}.blocks.{number}"
            yield f"{block}.attn.relative_position_bias_table", ((2 * sizes["window"] - 1) ** 2, heads)
            yield from (*norm(f"{block}.norm1", wide), *norm(f"{block}.norm2", wide))
            yield from (*linear(f"{block}.attn.qkv", 3 * wide, wide), *linear(f"{block}.attn.proj", wide, wide))
            yield from (*linear(f"{block}.mlp.fc1", 4 * wide, wide), *linear(f"{block}.mlp.fc2", wide, 4 * wide))
        if stage < len(sizes["depths"]) - 1:
            yield f"{encoder}.layers.{stage}.downsample.reduction.weight", (2 * wide, 4 * wide)
            yield from norm(f"{encoder}.layers.{stage}.downsample.norm", 4 * wide)
            wide *= 2
    hidden = sizes["hidden"]
    for layer in range(2):
        cross = f"{head}.{layer}.crossattention"
        yield from linear(f"{cross}.self.query", hidden, hidden)
        yield from (*linear(f"{cross}.self.key", hidden, 512), *linear(f"{cross}.self.value", hidden, 512))
        yield from (*linear(f"{cross}.output.dense", hidden, hidden), *norm(f"{cross}.output.LayerNorm", hidden))
        yield from linear(f"{head}.{layer}.intermediate.dense", 4 * hidden, hidden)
        yield from linear(f"{head}.{layer}.output.dense", hidden, 4 * hidden)
        yield from norm(f"{head}.{layer}.output.LayerNorm", hidden)
    yield from (*norm(f"{encoder}.norm", wide), *linear("image_proj", 512, wide))
    yield from (*linear("wordvec_proj", hidden, 512), *linear("fc", 1, hidden))


def random_weights(sizes: dict[str, Any]) -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(5)
    weights = {name: 0.05 * torch.randn(shape, generator=chance) for name, shape in published_shapes(sizes)}
    for name in weights:
        if "norm" in name.lower() and name.endswith(".weight"):
            weights[name] += 1
    return weights | {"reweight_scale": torch.tensor(3.0)}


def installed(folder: Path, **changes: Any) -> InstalledModel:
    options = {"weights": "weights.pth", "tags": "tags.txt", "thresholds": "thresholds.txt"}
    changes["options"] = options | changes.get("options", {})
    spec = ModelSpec("small-ram", "tags", "ram-plus", "Apache-2.0", True, path=folder)
    return InstalledModel(dataclasses.replace(spec, **changes), folder)


def resave(small: Path, tmp_path: Path, change: Any) -> Path:
    kept = torch.load(small / "weights.pth", weights_only=True)
    change(kept["model"])
    torch.save(kept, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def above(model: InstalledModel, kept: Any) -> list[Tag]:
    """The tags that the model's own rule shows of what the step keeps."""
    return lets_through(in_force(rule_of(model), {}), kept)


def shown(pixels: np.ndarray) -> Picture:
    return Picture(FoundFile("a.jpg", "", 1, 1, 1, 1), "0" * 64, {"tags": pixels})


def noise(count: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), np.uint8)
