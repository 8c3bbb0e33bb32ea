"""How good the choice of runtime is, and what it gains, on this machine.

    uv run python scripts/bench_choice.py            # the choice: a grid of tasks, about 15 minutes
    uv run python scripts/bench_choice.py --small    # the smallest model, to see that it works
    uv run python scripts/bench_choice.py --gain     # the chosen runtime beside torch, for ViT-B-32

A task of the grid is a model, at most so many rows a run, and a purpose: most pictures a second (scan), or shortest
time from the start of a process (search). The choice is made from a calibration as photoindex makes it; what it picked
is then looked up in a second, longer measurement, beside the best that has. Weights are random: speed does not depend
on them. Nothing else should run meanwhile; everything is told as a ratio within one run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from photoindex.runtimes.calibration import RUN_S, calibrate, pick, rank
from photoindex.runtimes.candidates import Candidate, Purpose, candidates
from photoindex.runtimes.faults import agreement
from photoindex.runtimes.measure import Measurement
from photoindex.runtimes.selection import select
from photoindex.runtimes.session import Arrays

BATCHES = (1, 2, 4, 8)
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}


def vit(width: int, layers: int, patch: int = 32, side: int = 224) -> dict[str, Any]:
    sizes = {"image_size": side, "patch_size": patch, "layers": layers, "width": width, "head_width": 64}
    return {"embed_dim": 256, "vision_cfg": sizes, "text_cfg": TEXT}


GRID = {
    "tiny ViT": vit(128, 4, side=96),
    "small ViT": vit(256, 8),
    "medium ViT": vit(512, 12),
    "ViT-B/32": vit(768, 12),
    "medium ViT/16": vit(384, 12, patch=16),
}
SMALL = {"tiny ViT": GRID["tiny ViT"]}
CLOSE = 0.05
PURPOSES: tuple[Purpose, ...] = ("scan", "search")
# The second measurement ends by its number of looks, not by this.
LONG_S = 600.0
TRUTH_TURNS = 2


@dataclass(frozen=True, slots=True)
class Task:
    """`loss`: how much worse the picked runtime is than the best, both by the second measurement; 0.05 is 5 %."""

    model: str
    purpose: str
    batch: int
    picked: str
    best: str
    loss: float


def make_form(folder: Path, config: dict[str, Any]) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """visual.onnx of a model with random weights, with its recipe for torch; its probe and torch's outputs."""
    import open_clip
    import torch

    from photoindex.runtimes.torch_session import ImageTower
    from photoindex.steps.forms_export import check_pictures
    from photoindex.steps.towers_export import export_image_tower

    folder.mkdir(parents=True)
    torch.manual_seed(1)
    model = open_clip.CLIP(**config).eval().requires_grad_(False)
    torch.save(model.state_dict(), folder / "weights.bin")
    (folder / "config.json").write_text(json.dumps(config))
    told = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    recipe = {"architecture": folder.name, "checkpoint": "weights.bin", "config": "config.json", "preprocess": told}
    (folder / "forms.json").write_text(json.dumps({"recipe": recipe}))
    model.visual.preprocess_cfg = told
    pixels = check_pictures(config["vision_cfg"]["image_size"])
    with torch.inference_mode():
        vectors = ImageTower(model).module(torch.from_numpy(pixels)).numpy()
    export_image_tower(model, folder / "visual.onnx", pixels, vectors)
    return folder / "visual.onnx", {"pixels": pixels}, {"vectors": vectors}


def scores(measured: Sequence[Measurement], purpose: Purpose, rows: int) -> dict[tuple[str, int], float]:
    """By runtime and batch size: rows a second, or one over the seconds from the start of a process."""
    if purpose == "search":
        return {(each.runtime, rows): -1 / each.score for each in rank(measured, purpose, batch=rows)}
    return {
        (each.runtime, size): size / took
        for each in measured
        for size, took in each.seconds.items()
        if each.refused is None and size <= rows and (size == 1 or took <= RUN_S)
    }


def judge(
    model: str, purpose: Purpose, calibrated: Sequence[Measurement], truth: Sequence[Measurement]
) -> Iterator[Task]:
    for rows in BATCHES:
        known = scores(truth, purpose, rows)
        names = {name for name, _ in known}
        chosen = pick([each for each in calibrated if each.runtime in names], purpose, batch=rows)
        if chosen is None:
            raise SystemExit(f"{model}: nothing could be measured; {[each.refused for each in truth]}")
        best = max(known, key=lambda key: known[key])
        got = known[chosen.runtime, chosen.batch_size]
        picked = f"{chosen.runtime} x{chosen.batch_size}"
        yield Task(model, purpose, rows, picked, f"{best[0]} x{best[1]}", 1 - got / known[best])


def measured_well(
    path: Path, rungs: Sequence[Candidate], probe: Arrays, expected: Arrays, purpose: Purpose
) -> list[Measurement]:
    """The second measurement: the fastest of several whole calibrations with time enough, in either order."""
    merged: dict[str, Measurement] = {}
    for turn in range(TRUTH_TURNS):
        ordered = rungs[:: -1 if turn % 2 == 0 else 1]
        for each in calibrate(path, ordered, probe, expected, kept_in=None, purpose=purpose, budget_s=LONG_S):
            merged[each.runtime] = merged[each.runtime].merged(each) if each.runtime in merged else each
    return list(merged.values())


def grid(models: dict[str, dict[str, Any]], work: Path, budget_s: float) -> list[Task]:
    tasks: list[Task] = []
    for name, config in models.items():
        path, probe, expected = make_form(work / name.replace(" ", "-").replace("/", "-"), config)
        for purpose in PURPOSES:
            began = time.monotonic()
            rungs = select(candidates(path, purpose=purpose), None, name)
            found = calibrate(path, rungs, probe, expected, kept_in=None, purpose=purpose, budget_s=budget_s)
            took = time.monotonic() - began
            tasks += judge(name, purpose, found, measured_well(path, rungs, probe, expected, purpose))
            print(f"{name}, {purpose}: {len(rungs)} runtimes measured in {took:.0f} s", file=sys.stderr)
    return tasks


def print_grid(tasks: Sequence[Task]) -> bool:
    print(f"{'model':14} {'purpose':8} {'rows':>4}  {'picked':26} {'best':26} {'loss':>6}")
    for task in tasks:
        line = f"{task.model:14} {task.purpose:8} {task.batch:4}  {task.picked:26} {task.best:26}"
        print(f"{line} {max(0.0, task.loss):6.1%}")
    share = sum(task.loss <= CLOSE for task in tasks) / len(tasks)
    print(f"within {CLOSE:.0%} of the best: {share:.1%} of {len(tasks)} tasks")
    return share >= 0.95


def gain(work: Path, rounds: int) -> None:
    """The chosen runtime at its batch size beside torch in float32 with batch 1, in turns, on ViT-B-32."""
    path, probe, expected = make_form(work / "gain", vit(768, 12))
    rungs = {each.name: each for each in select(candidates(path), None, "ViT-B-32")}
    found = calibrate(path, list(rungs.values()), probe, expected, kept_in=None, budget_s=40.0)
    chosen = pick(found, "scan")
    if chosen is None:
        raise SystemExit("nothing could be measured")
    ours, torch_ = rungs[chosen.runtime].open(), rungs["torch-cpu-f32"].open()
    batch = {"pixels": np.resize(probe["pixels"], (chosen.batch_size, *probe["pixels"].shape[1:]))}
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for session, inputs, kept in ((ours, batch, times[0]), (torch_, {"pixels": batch["pixels"][:1]}, times[1])):
            session.run(inputs)
            began = time.perf_counter()
            for _ in range(4):
                session.run(inputs)
            kept.append((time.perf_counter() - began) / 4 / len(inputs["pixels"]))
    cosine, centred = agreement(ours.run(probe), expected)
    fastest = [min(each) for each in times]
    print(f"image encoder ViT-B-32: {chosen.runtime}, batch {chosen.batch_size}: {1 / fastest[0]:.1f} pictures/s")
    print(f"  torch float32, batch 1: {1 / fastest[1]:.1f} pictures/s; {fastest[1] / fastest[0]:.1f} times as many")
    print(f"  cosine to torch at least {cosine:.5f}, after removing the mean {centred:.5f}")
    ocr_gain()


def ocr_gain() -> None:
    """The bundled models that read text, whole, by engine, on the drawn pages that photoindex measures with."""
    import importlib.util

    from photoindex.models.registry import load_registry
    from photoindex.models.spec import InstalledModel
    from photoindex.records import AUTOMATIC
    from photoindex.steps.ocr import engines_of
    from photoindex.steps.ocr_choice import measure_engines

    found = importlib.util.find_spec("rapidocr")
    if found is None or found.origin is None:
        raise SystemExit("the package rapidocr is not installed")
    spec = load_registry(None).model("rapidocr-ppocr-v6-small")
    with tempfile.TemporaryDirectory() as kept:
        model = InstalledModel(spec, Path(found.origin).with_name("models"), Path(kept))
        engines = engines_of(model)
        rungs = [each for each in engines.rungs if each.absent is None]
        measured = measure_engines(engines, rungs, model, AUTOMATIC, LONG_S)
    slowest = max(each.seconds[1] for each in measured if each.refused is None)
    for each in sorted(measured, key=lambda one: one.seconds.get(1, 0.0)):
        said = each.refused or f"{1 / each.seconds[1]:.1f} pages/s, {slowest / each.seconds[1]:.1f} times the slowest"
        print(f"reading text, {each.runtime}: {said}")


COLD = {
    "photoindex, without torch": "from photoindex.runtimes.candidates import candidate_named as c; import numpy as np;"
    "c(__import__('pathlib').Path({text!r}), 'onnxruntime-cpu-f32', purpose='search').open()"
    ".run({{'ids': np.array([[49406, 320, 1929, 49407]])}})",
    "torch and OpenCLIP": "import open_clip, torch; m = open_clip.create_model('ViT-B-32').eval();"
    "torch.inference_mode()(m.encode_text)(torch.tensor([[49406, 320, 1929, 49407] + [0] * 73]))",
}


def cold_start(work: Path, rounds: int) -> None:
    """The text tower of ViT-B-32 in a fresh process: one query."""
    import open_clip
    import torch

    from photoindex.steps.towers_export import export_text_tower

    model = open_clip.create_model("ViT-B-32").eval().requires_grad_(False)
    ids = np.array([[49406, 320, 1929, 49407] + [0] * 73], np.int64)
    with torch.inference_mode():
        reference = model.encode_text(torch.from_numpy(ids), normalize=True).numpy()
    export_text_tower(model, work / "text.onnx", ids, reference)
    del model
    times: dict[str, list[float]] = {name: [] for name in COLD}
    for _ in range(rounds):
        for name, code in COLD.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code.format(text=str(work / "text.onnx"))], check=True)
            times[name].append(time.perf_counter() - began)
    for name, taken in times.items():
        print(f"first query of a process, {name}: {min(taken):.2f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the smallest model only")
    parser.add_argument("--model", action="append", choices=list(GRID), help="only this model of the grid; repeatable")
    parser.add_argument("--gain", action="store_true", help="the chosen runtimes beside torch, for ViT-B-32")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for one calibration")
    parser.add_argument("--rounds", type=int, default=5, help="turns of --gain")
    options = parser.parse_args()
    models = SMALL if options.small else {name: GRID[name] for name in options.model or GRID}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.gain:
            gain(work, options.rounds)
            cold_start(work, min(3, options.rounds))
            return 0
        return 0 if print_grid(grid(models, work, options.budget)) else 1


if __name__ == "__main__":
    sys.exit(main())
