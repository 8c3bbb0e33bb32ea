"""Trains the small OpenCLIP model of tests/tiny_clip on drawn scenes: minutes on two cores, the same every time.

    uv run python scripts/train_tiny_clip.py              train, write tests/tiny_clip, report retrieval
    uv run python scripts/train_tiny_clip.py --check      report retrieval of the weights that are there

An eighth of the pairs of colour and thing is never shown in training; retrieval is measured on those.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file
from scenes import COLOURABLE, COLOURS, FIXED, SETTINGS, THINGS, Scene, render_scene

HOME = Path(__file__).parents[1] / "tests" / "tiny_clip"
CONFIG = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 48, "patch_size": 8, "layers": 3, "width": 96, "head_width": 24},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2},
    },
    "preprocess_cfg": {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}
TEMPLATES = ("{}", "{}", "a photo of {}", "a picture of {}", "a drawing of {}")
SIDE = 48
WORDS = 16
THREADS = 1  # small matrices gain little from more, and the result depends on it
CLASHES = {("white", "in the snow"), ("black", "at night"), ("green", "in a meadow"), ("blue", "on the sea")}


def held_out(scene: Scene) -> bool:
    """Whether the pair of colour and thing is kept out of training: one in eight."""
    pair = f"{scene.colour} {scene.thing}"
    return scene.colour is not None and hashlib.sha256(pair.encode()).digest()[0] % 8 == 0


def any_scene(rng: random.Random) -> Scene:
    while True:
        thing, setting = rng.choice(list(THINGS)), rng.choice((None, None, None, *SETTINGS))
        colour = rng.choice(list(COLOURS)) if thing in COLOURABLE else None
        if (colour, setting) not in CLASHES:
            return Scene(thing, colour, setting)


def crop(picture: Image.Image) -> np.ndarray:
    """What OpenCLIP's preprocessing makes of it, before normalisation: uint8 (SIDE, SIDE, 3)."""
    scale = SIDE / min(picture.size)
    resized = picture.resize((int(picture.width * scale), int(picture.height * scale)), Image.Resampling.BICUBIC)
    left, top = round((resized.width - SIDE) / 2), round((resized.height - SIDE) / 2)
    return np.asarray(resized.crop((left, top, left + SIDE, top + SIDE)))


def draw(job: tuple[Scene, int]) -> np.ndarray:
    sizes = ((112, 84), (96, 96), (84, 112), (128, 72))
    return crop(render_scene(job[0], job[1], sizes[job[1] % len(sizes)]))


def told(scene: Scene, rng: random.Random) -> Scene:
    """A part of what is to be seen, as a caption would mention it."""
    kept = rng.random()
    if kept < 0.5:
        return Scene(scene.thing, scene.colour)
    if kept < 0.75 and scene.setting:
        return scene
    return Scene(scene.thing)


def wording(scene: Scene, rng: random.Random) -> str:
    words = scene.caption()
    if rng.random() < 0.3:
        words = words.split(" ", 1)[1]
    return rng.choice(TEMPLATES).format(words)


def matches(captions: list[Scene], scenes: list[Scene]) -> torch.Tensor:
    """(captions, scenes): 1 where everything the caption says is true of the scene."""
    rows = [[float(_true(said, seen)) for seen in scenes] for said in captions]
    return torch.tensor(rows)


def _true(said: Scene, seen: Scene) -> bool:
    right_colour = said.colour in (None, seen.colour)
    return said.thing == seen.thing and right_colour and said.setting in (None, seen.setting)


def build() -> Any:
    named = HOME / "open_clip_config.json"
    named.parent.mkdir(parents=True, exist_ok=True)
    named.write_text(json.dumps(CONFIG, indent=2) + "\n")
    torch.manual_seed(0)
    return open_clip.CLIP(**CONFIG["model_cfg"])  # type: ignore[arg-type]


def normalise(pixels: np.ndarray) -> torch.Tensor:
    prepared = CONFIG["preprocess_cfg"]
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(prepared[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (scaled - mean) / std


def train(scenes: list[Scene], pixels: np.ndarray, steps: int, batch: int) -> Any:
    model, tokenizer, rng = build(), open_clip.SimpleTokenizer(context_length=WORDS), random.Random(1)
    positions, mask = model.positional_embedding, model.attn_mask
    shorten(model, WORDS)
    teacher = Teacher(CONFIG["model_cfg"]["embed_dim"])  # type: ignore[arg-type]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": [*decayed, *teacher.parameters()], "weight_decay": 0.05},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=2e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        picked = rng.sample(range(len(scenes)), batch)
        shown = normalise(pixels[picked]) * rng.uniform(0.9, 1.1)
        if rng.random() < 0.5:
            shown = shown.flip(-1)
        said = [told(scenes[index], rng) for index in picked]
        seen = [scenes[index] for index in picked]
        features = model.encode_image(shown)
        images = torch.nn.functional.normalize(features, dim=-1)
        texts = model.encode_text(tokenizer([wording(each, rng) for each in said]), normalize=True)
        scores = model.logit_scale.exp() * texts @ images.T
        loss = contrast(scores, matches(said, seen)) + 0.5 * teacher(features, seen)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.3f}", flush=True)
    lengthen(model, positions, mask)
    return model.eval()


class Teacher(torch.nn.Module):
    """Asks the image tower for thing, colour and setting outright: shapes are learnt in half the time. Not kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.words = {"thing": list(THINGS), "colour": [None, *COLOURS], "setting": [None, *SETTINGS]}
        self.heads = torch.nn.ModuleDict({key: torch.nn.Linear(width, len(all_)) for key, all_ in self.words.items()})

    def forward(self, features: torch.Tensor, seen: list[Scene]) -> torch.Tensor:
        losses = []
        for key, words in self.words.items():
            wanted = torch.tensor([words.index(getattr(scene, key)) for scene in seen])
            losses.append(torch.nn.functional.cross_entropy(self.heads[key](features), wanted))
        return torch.stack(losses).sum()


def contrast(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """CLIP's loss, where a caption may be true of several pictures of the batch."""
    both = []
    for scores, wanted in ((logits, true), (logits.T, true.T)):
        both.append(-(wanted / wanted.sum(1, keepdim=True) * scores.log_softmax(1)).sum(1).mean())
    return sum(both) / 2  # type: ignore[return-value]


def shorten(model: Any, length: int) -> None:
    """Let the model take `length` tokens while it trains: captions are short, and time is."""
    model.positional_embedding = torch.nn.Parameter(model.positional_embedding[:length].detach().clone())
    model.attn_mask = model.attn_mask[:length, :length].clone()


def lengthen(model: Any, positions: torch.nn.Parameter, mask: torch.Tensor) -> None:
    with torch.no_grad():
        positions[:WORDS] = model.positional_embedding
    model.positional_embedding, model.attn_mask = positions, mask


def save(model: Any) -> None:
    """Weights in float16; embeddings of tokens that training never met are zero, so that they pack well."""
    state = {name: value.detach().half().contiguous() for name, value in model.state_dict().items()}
    seen = {token for line in every_caption() for token in open_clip.tokenize([line])[0].tolist()}
    mask = torch.zeros(49408, 1, dtype=torch.float16)
    mask[sorted(seen)] = 1
    state["token_embedding.weight"] *= mask
    save_file(state, HOME / "open_clip_model.safetensors")


def every_caption() -> list[str]:
    scenes = [Scene(t, c, s) for t in THINGS for c in (None, *COLOURS) for s in (None, *SETTINGS)]
    return [template.format(scene.caption()) for scene in scenes for template in TEMPLATES]


def check(model: Any) -> None:
    """Retrieval among fresh pictures, one of every pair of colour and thing that was never shown."""
    tokenizer = open_clip.SimpleTokenizer()
    unseen = [scene for c in COLOURS for t in COLOURABLE if held_out(scene := Scene(t, c))]
    everything = [Scene(t, c) for c in COLOURS for t in COLOURABLE] + [Scene(t) for t in FIXED]
    for name, scenes in (("unseen pairs", unseen), ("all pairs", everything)):
        hits, trials = 0, 5
        for trial in range(trials):
            pixels = np.stack([draw((scene, 1_000_000 + trial)) for scene in scenes])
            with torch.inference_mode():
                images = model.encode_image(normalise(pixels), normalize=True)
                texts = model.encode_text(tokenizer([scene.caption() for scene in scenes]), normalize=True)
            hits += int(((texts @ images.T).argmax(1) == torch.arange(len(scenes))).sum())
        print(f"{name}: top-1 recall {hits / (trials * len(scenes)):.3f} among {len(scenes)} pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--scenes", type=int, default=14000)
    asked = parser.parse_args()
    if not asked.check:
        started, rng = time.time(), random.Random(0)
        torch.set_num_threads(THREADS)
        scenes = [scene for scene in (any_scene(rng) for _ in range(asked.scenes)) if not held_out(scene)]
        with ProcessPoolExecutor(2) as pool:
            pixels = np.stack(list(pool.map(draw, [(s, i) for i, s in enumerate(scenes)], chunksize=200)))
        print(f"{len(scenes)} scenes drawn in {time.time() - started:.0f} s")
        save(train(scenes, pixels, asked.steps, asked.batch))
        print(f"trained in {time.time() - started:.0f} s")
    model = build()
    open_clip.load_checkpoint(model, str(HOME / "open_clip_model.safetensors"))
    check(model.eval())


if __name__ == "__main__":
    main()
