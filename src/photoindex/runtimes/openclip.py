"""Builds an OpenCLIP model from files on disk, never from a hub."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode")


class CannotBuild(Exception):
    """Why a model cannot be built, in words that complete "the model X cannot be used: "."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is needed to build a model again.

    `architecture`: OpenCLIP's name, or any name when `config` (a JSON file with OpenCLIP's `model_cfg`) describes it.
    `pretrained`: OpenCLIP's tag of these weights, only to learn how their pictures are prepared.
    `preprocess`: OpenCLIP's words for that (mean, std, interpolation, resize_mode), which win over everything else.
    """

    architecture: str
    checkpoint: Path
    config: Path | None = None
    pretrained: str | None = None
    preprocess: Mapping[str, Any] | None = None


def load_openclip(recipe: Recipe) -> Any:
    """The model on the CPU in float32, in evaluation mode, without gradients, `visual.preprocess_cfg` set.

    Raises CannotBuild for architectures whose parts only a hub holds, and for weights that do not fit.
    """
    import open_clip
    import torch

    _register(recipe)
    _refuse_foreign(recipe.architecture)
    try:
        model = open_clip.create_model(
            recipe.architecture,
            pretrained=str(recipe.checkpoint),
            force_preprocess_cfg=_preprocess(recipe),
            weights_only=True,
        )
    except Exception as error:  # broken files fail in as many ways as there are readers of files
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise CannotBuild(f"{recipe.checkpoint.name} does not load as {recipe.architecture} ({said})") from error
    return model.eval().requires_grad_(False).to(torch.float32)


def model_config(recipe: Recipe) -> dict[str, Any]:
    """OpenCLIP's `model_cfg` of this architecture. Raises CannotBuild where there is none on this machine."""
    import open_clip

    if ":" in recipe.architecture:  # OpenCLIP would ask a hub
        raise CannotBuild(f"{recipe.architecture!r} is an address; give OpenCLIP's architecture name and the files")
    found: dict[str, Any] | None = open_clip.get_model_config(recipe.architecture)
    if found is None:
        raise CannotBuild(f"OpenCLIP knows no architecture {recipe.architecture!r}")
    return found


def _refuse_foreign(architecture: str) -> None:
    found = model_config(Recipe(architecture, Path()))
    if "multimodal_cfg" in found:
        raise CannotBuild("captioning models (CoCa) are not supported")
    if found["text_cfg"].get("hf_model_name"):
        raise CannotBuild("its text tower's configuration lies on a hub and not in OpenCLIP")


def _register(recipe: Recipe) -> None:
    """Teach OpenCLIP the architecture of `recipe.config` under its name; it reads it at once and keeps it."""
    import open_clip

    if recipe.config is None:
        return
    described = json.loads(recipe.config.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / f"{recipe.architecture}.json"
        named.write_text(json.dumps(described.get("model_cfg", described)), encoding="utf-8")
        open_clip.add_model_config(named)


def _preprocess(recipe: Recipe) -> dict[str, Any]:
    """How pictures are prepared: the recipe's words, the config file's, the tag's, or what all tags agree on."""
    found = dict(_from_tags(recipe))
    for beside in (recipe.checkpoint.with_name("open_clip_config.json"), recipe.config):
        if beside is not None and beside.is_file():
            found |= json.loads(beside.read_text(encoding="utf-8")).get("preprocess_cfg", {})
    found |= recipe.preprocess or {}
    if not found.keys() & set(_PREPROCESS_KEYS):
        raise CannotBuild(
            f"OpenCLIP lists weights of {recipe.architecture} that want different preprocessing; "
            "say which in the model's options: `pretrained` (OpenCLIP's tag) or `preprocess`"
        )
    return {key: value for key, value in found.items() if key in _PREPROCESS_KEYS}


def _from_tags(recipe: Recipe) -> dict[str, Any]:
    """The preprocessing of OpenCLIP's own weights of this architecture; nothing where they disagree."""
    from open_clip import get_pretrained_cfg, list_pretrained_tags_by_model
    from open_clip.transform import PreprocessCfg

    tags = [recipe.pretrained] if recipe.pretrained else list_pretrained_tags_by_model(recipe.architecture)
    standard = PreprocessCfg()
    variants = []
    for tag in tags:
        listed = get_pretrained_cfg(recipe.architecture, tag)
        variants.append({key: listed.get(key) or getattr(standard, key) for key in _PREPROCESS_KEYS})
    if not variants and recipe.config is None:
        variants.append({key: getattr(standard, key) for key in _PREPROCESS_KEYS})
    return variants[0] if variants and all(each == variants[0] for each in variants) else {}
