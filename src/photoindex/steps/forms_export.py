"""Makes the forms that photoindex.steps.forms describes; runs as a process of its own: `python -m ... FOLDER`."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.errors import PhotoindexError
from photoindex.runtimes.faults import MIN_COSINE
from photoindex.runtimes.openclip import CannotBuild, Recipe, load_openclip, model_config
from photoindex.runtimes.torch_session import ImageTower
from photoindex.steps.forms import as_forms
from photoindex.steps.quick_tokenizer import write_tables
from photoindex.steps.text_encoder import Tokenizer
from photoindex.steps.tokenizer_export import write_tokenizer
from photoindex.steps.towers_export import export_image_tower, export_text_tower, may_be_trimmed

TEXTS = (
    "a photo of a dog",
    "Zwei Kätzchen &amp; ein Hündchen im Schnee, 2 cafés",
    "it's o'clock, THEY'LL say: 日本語のレシート 😀🍕 №5",
    "antidisestablishmentarianism_42",
    "receipt " * 120,
    "",
)
_MODES = {"shortest": "crop", "squash": "squash"}


def main(folder: Path) -> int:
    """Export what `order.json` in `folder` asks for. 0 done, 3 refused with the reason in refused.txt."""
    try:
        export_forms(folder, json.loads((folder / "order.json").read_text(encoding="utf-8")))
    except CannotBuild as refusal:
        (folder / "refused.txt").write_text(str(refusal), encoding="utf-8")
        return 3
    return 0


def export_forms(folder: Path, order: dict[str, Any]) -> None:
    """Write all forms into `folder`. Raises CannotBuild for what can never work."""
    recipe = _recipe(order)
    config = model_config_of(recipe)
    model = load_openclip(recipe)
    described = {
        "format": order["format"],
        "model": order["model"],
        "recipe": _relative(recipe, model, folder),
        "view": view_of(model),
        "width": int(config["embed_dim"]),
        "logit_scale": math.exp(float(model.logit_scale)),
        "logit_bias": None if model.logit_bias is None else float(model.logit_bias),
        "text": _text_facts(config["text_cfg"], model),
        "checks": {},
        "refused": {},
    }
    tokens = _tokenizer(folder, recipe, config, described)
    _towers(folder, model, tokens, described)
    described["sizes"] = {file.name: file.stat().st_size for file in folder.iterdir() if file.name != "order.json"}
    (folder / "forms.json").write_text(json.dumps(described, indent=1, sort_keys=True), encoding="utf-8")


def view_of(model: Any) -> dict[str, Any]:
    """The view that gives this model the pixels OpenCLIP itself would. Raises CannotBuild where no view does."""
    config = model.visual.preprocess_cfg
    sizes = config["size"] if isinstance(config["size"], tuple | list) else (config["size"],) * 2
    if sizes[0] != sizes[1] or config["resize_mode"] not in _MODES:
        raise CannotBuild(f"pictures of {sizes} pixels, resize mode {config['resize_mode']!r}, are not supported")
    return {"mode": _MODES[config["resize_mode"]], "size": sizes[0], "interpolation": config["interpolation"]}


def check_pictures(size: int, seed: int = 7, count: int = 4) -> npt.NDArray[np.uint8]:
    """Pictures, uint8 (count, size, size, 3), with soft and hard structure: what runtimes are compared on."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[0:size, 0:size] / size
    pictures = []
    for _ in range(count):
        fx, fy, phase = rng.uniform(1, 9), rng.uniform(1, 9), rng.uniform(0, 6, 3)
        waves = np.sin(2 * np.pi * (fx * right + fy * down))[..., None] + np.cos(6 * (right - down))[..., None] * phase
        disc = ((right - rng.uniform()) ** 2 + (down - rng.uniform()) ** 2 < 0.05)[..., None] * rng.uniform(-3, 3, 3)
        pictures.append(np.clip(128 + 40 * (waves + disc) + rng.normal(0, 6, (size, size, 3)), 0, 255))
    return np.stack(pictures).astype(np.uint8)


def model_config_of(recipe: Recipe) -> dict[str, Any]:
    if recipe.config is None:
        return model_config(recipe)
    described: dict[str, Any] = json.loads(recipe.config.read_text(encoding="utf-8"))
    found: dict[str, Any] = described.get("model_cfg", described)
    return found


def _recipe(order: dict[str, Any]) -> Recipe:
    return Recipe(
        architecture=order["architecture"],
        checkpoint=Path(order["checkpoint"]),
        config=Path(order["config"]) if order["config"] else None,
        pretrained=order["pretrained"],
        preprocess=order["preprocess"],
    )


def _relative(recipe: Recipe, model: Any, folder: Path) -> dict[str, Any]:
    """The recipe as forms.json keeps it: files relative to the folder, preprocessing settled."""
    settled = {key: model.visual.preprocess_cfg[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    return {
        "architecture": recipe.architecture,
        "checkpoint": _portable(recipe.checkpoint, folder),
        "config": _portable(recipe.config, folder) if recipe.config else None,
        "preprocess": settled,
    }


def _portable(path: Path, folder: Path) -> str:
    """Relative where the forms lie inside the model's folder, so that both may be moved together."""
    inside = path.is_relative_to(folder.parent)
    return Path(os.path.relpath(path, folder)).as_posix() if inside else str(path)


def _text_facts(config: dict[str, Any], model: Any) -> dict[str, Any]:
    hugging_face = bool(config.get("hf_tokenizer_name"))
    usual = "whitespace" if hugging_face else "lower"
    return {
        "context": int(config.get("context_length", 77)),
        "trim": may_be_trimmed(model),
        "clean": (config.get("tokenizer_kwargs") or {}).get("clean", usual),
        "start": None,
        "end": None,
        "pad": int(config.get("pad_id", 0)),
    }


def _tokenizer(folder: Path, recipe: Recipe, config: dict[str, Any], described: dict[str, Any]) -> Any:
    """Write tokenizer.json and compare it with OpenCLIP's; the reference ids (n, context) of TEXTS, int64."""
    try:
        facts, reference = write_tokenizer(folder / "tokenizer.json", recipe.checkpoint.parent, config["text_cfg"])
    except CannotBuild as refusal:
        described["refused"]["text"] = str(refusal)
        return None
    described["text"] |= facts
    ids = np.asarray(reference(list(TEXTS)), np.int64)
    known = int(config["text_cfg"].get("vocab_size", 49408))
    if ids.max() >= known:
        described["refused"]["text"] = f"its tokenizer has more than the {known} tokens of its text tower"
        return None
    if not _same_ids(folder, described, ids):
        described["refused"]["text"] = "its tokenizer gives other token ids than OpenCLIP's"
        return None
    if write_tables(folder / "tokenizer.json", folder) and not _same_ids(folder, described, ids):
        (folder / "quick.json").unlink()
    return ids


def _same_ids(folder: Path, described: dict[str, Any], ids: npt.NDArray[np.int64]) -> bool:
    """Whether our tokenizer, each text for itself, gives OpenCLIP's `ids` (n, context) of TEXTS."""
    own = Tokenizer(as_forms(folder, described))
    rows = [own.pad(own.encode([text]))[0] for text in TEXTS]
    return all(np.array_equal(row, whole[: len(row)]) for row, whole in zip(rows, ids, strict=True))


def _towers(folder: Path, model: Any, ids: Any, described: dict[str, Any]) -> None:
    """Both towers, exported and compared; what torch gave for a few inputs is kept for runtimes to be compared with."""
    import torch

    pixels = check_pictures(described["view"]["size"])
    checks: dict[str, Any] = {"pixels": pixels}
    with torch.inference_mode():
        checks["visual_vectors"] = ImageTower(model).module(torch.from_numpy(pixels)).numpy()
        if ids is not None:
            checks["text_vectors"] = model.encode_text(torch.from_numpy(ids), normalize=True).numpy()
            checks["ids"] = ids
    np.savez(folder / "check.npz", **checks)
    if ids is not None:
        text = folder / "text.onnx"
        _attempt("text", described, lambda: export_text_tower(model, text, ids, checks["text_vectors"]))
    visual = folder / "visual.onnx"
    _attempt("visual", described, lambda: export_image_tower(model, visual, pixels, checks["visual_vectors"]))


def _attempt(form: str, described: dict[str, Any], export: Callable[[], float]) -> None:
    """Export one form; one that fails or deviates from torch is not used, and the reason is kept."""
    try:
        cosine = export()
    except (PhotoindexError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        described["refused"][form] = f"it could not be exported ({' '.join(str(error).split())[:300]})"
        return
    described["checks"][form] = {"cosine": cosine}
    if not cosine >= MIN_COSINE:
        described["refused"][form] = f"its exported form deviates from torch (cosine {cosine:.4f})"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
