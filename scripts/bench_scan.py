"""How many pictures a second a scan does, whole and stage by stage, beside a naive loop, in one run.

    uv run python scripts/bench_scan.py [--photos 192] [--naive 12]

Makes 12-megapixel JPEGs (4000 x 3000) from photos inside scikit-image, 40 % of them with printed lines of text, and
describes the `fast` profile with a ViT-B-32-256 of random weights (speed does not depend on them), so that no download
is needed. Needs about 1 GB in the temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

LINES = (
    "Invoice 2024-0417 due 12.05.2024",
    "Total amount 1,249.50 EUR",
    "Meeting notes for Thursday",
    "EXIT ONLY",
    "Platform 9",
)
MODELS = """
[models.bench]
task = "embedding"
architecture = "ViT-B-32-256"
licence = "none"
commercial = true
path = "bench"
input_size = 256
width = 512
runtimes = ["openvino", "onnxruntime", "torch"]

[models.zero-shot-bench]
task = "tags"
architecture = "zero-shot"
licence = "none"
commercial = true
options = {{ embedding = "bench", vocabulary = "{vocabulary}", template = "a photo of a {{}}" }}

[profiles.bench]
embedding = "bench"
tags = "zero-shot-bench"
ocr = "rapidocr-ppocr-v6-small"
"""


def make_photos(folder: Path, count: int) -> None:
    """`count` JPEGs of different content; only every fourth is encoded anew, the others differ in a trailing byte."""
    from PIL import Image, ImageDraw, ImageFont
    from skimage import data

    folder.mkdir()
    sources = [Image.fromarray(getattr(data, n)()) for n in ("astronaut", "chelsea", "coffee", "rocket")]
    rng = np.random.default_rng(1)
    for number in range(count):
        if number % 4 == 0:
            source = sources[(number // 4) % len(sources)].convert("RGB")
            width, height = source.size
            w, h = int(width * rng.uniform(0.6, 1)), int(height * rng.uniform(0.6, 1))
            left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            picture = source.resize((4000, 3000), box=(left, top, left + w, top + h))
            noise = rng.integers(-6, 7, (3000, 4000, 1), np.int16)
            picture = Image.fromarray(np.clip(np.asarray(picture, np.int16) + noise, 0, 255).astype(np.uint8))
            if (number // 4) % 5 < 2:
                draw = ImageDraw.Draw(picture)
                for row, line in enumerate(LINES):
                    draw.text(
                        (200, 300 + row * 260),
                        line,
                        "white",
                        ImageFont.load_default(140),
                        stroke_width=6,
                        stroke_fill="black",
                    )
            path = folder / f"{number:05d}.jpg"
            picture.save(path, quality=90)
            encoded = path.read_bytes()
        else:
            (folder / f"{number:05d}.jpg").write_bytes(encoded + bytes([number % 4]))


def make_home(home: Path) -> None:
    import open_clip
    import torch

    import photoindex.models

    (home / "bench").mkdir(parents=True)
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32-256")
    torch.save(model.state_dict(), home / "bench" / "open_clip_pytorch_model.bin")
    vocabulary = Path(photoindex.models.__file__).parent / "vocabulary.txt"
    (home / "models.toml").write_text(MODELS.format(vocabulary=vocabulary))


class Memory(threading.Thread):
    """The peak of the proportional set size of a process and all below it, sampled ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.running = pid, 0, True

    def run(self) -> None:
        while self.running:
            self.peak = max(self.peak, sum(map(_pss, _tree(self.pid))))
            time.sleep(0.1)


def _tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return found


def _pss(pid: int) -> int:
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:")), 0)


def scan(home: Path, photos: Path, steps: str | None) -> dict[str, object]:
    """A whole `photoindex scan` in a process of its own and a library of its own."""
    library = home / f"library-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "photoindex", "scan", str(photos), "--library", str(library), "--format", "json"]
    command += ["--profile", "bench", *(["--steps", steps] if steps else [])]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, "PHOTOINDEX_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    memory = Memory(process.pid)
    memory.start()
    output = process.communicate()[0]
    memory.running = False
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return {**json.loads(output), "process_s": time.perf_counter() - started, "peak": memory.peak}


def naive(home: Path, paths: list[Path], ocr: bool) -> float:
    """Pictures a second of the obvious loop: one picture at a time, decoded whole, torch in float32, default OCR."""
    import hashlib
    import logging

    import open_clip
    import pdqhash
    import torch
    from PIL import Image
    from rapidocr import RapidOCR

    logging.disable(logging.WARNING)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model, _, preprocess = open_clip.create_model_and_transforms(
        "ViT-B-32-256", pretrained=str(home / "bench" / "open_clip_pytorch_model.bin")
    )
    model.eval()
    reader = RapidOCR() if ocr else None

    def one(path: Path) -> None:
        hashlib.sha256(path.read_bytes()).hexdigest()
        picture = Image.open(path).convert("RGB")
        pdqhash.compute(np.asarray(picture.resize((512, 512))))
        thumbnail = picture.copy()
        thumbnail.thumbnail((400, 400))
        with torch.no_grad():
            model.encode_image(preprocess(picture)[None])
        if reader is not None:
            reader(np.asarray(picture))

    one(paths[0])
    started = time.perf_counter()
    for path in paths:
        one(path)
    return len(paths) / (time.perf_counter() - started)


def stage_alone(home: Path, photos: Path) -> dict[str, float]:
    """Pictures a second of the embedding and OCR sessions on prepared views."""
    from photoindex.media.source import Need, open_source
    from photoindex.media.views import prepare_view, short_side_for
    from photoindex.models.install import locate
    from photoindex.models.registry import load_registry
    from photoindex.records import FoundFile, Picture
    from photoindex.steps import STEPS, open_model_step

    registry = load_registry(home / "models.toml")
    rates = {}
    for name, model in (("embedding", "bench"), ("ocr", "rapidocr-ppocr-v6-small")):
        step = open_model_step(STEPS[name], locate(registry, registry.model(model), home / "models"))
        pictures = []
        for path in sorted(photos.iterdir())[: 4 * 20 : 4]:
            stat = path.stat()
            file = FoundFile(str(path), str(photos), stat.st_size, stat.st_mtime_ns, 0, 0)
            source = open_source(file, Need(max(short_side_for(view) for view in step.views)))
            pictures.append(Picture(file, source.sha256, {v.name: prepare_view(source.image, v) for v in step.views}))
        size = step.batch_size
        step.run(pictures[:size], [{}] * size)
        started = time.perf_counter()
        for at in range(0, len(pictures), size):
            part = pictures[at : at + size]
            step.run(part, [{}] * len(part))
        rates[f"{name} alone ({step.runtime})"] = len(pictures) / (time.perf_counter() - started)
        step.close()
    return rates


def matrix_rate() -> dict[str, float]:
    """GFLOP/s of a 2048 x 2048 matrix product on all cores: what this machine could do at the moment."""
    import torch

    rates = {}
    for kind in (torch.float32, torch.bfloat16):
        a, b = torch.randn(2048, 2048, dtype=kind), torch.randn(2048, 2048, dtype=kind)
        _ = a @ b
        started = time.perf_counter()
        for _ in range(8):
            _ = a @ b
        rates[str(kind)] = 8 * 2 * 2048**3 / (time.perf_counter() - started) / 1e9
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=192)
    parser.add_argument("--naive", type=int, default=12)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="photoindex-bench-") as temporary:
        home, photos = Path(temporary) / "home", Path(temporary) / "photos"
        make_photos(photos, chosen.photos)
        make_home(home)
        (home / "few").mkdir()
        os.link(photos / "00000.jpg", home / "few" / "one.jpg")
        scan(home, home / "few", None)  # makes the model's forms, which happens once
        few = sorted(photos.iterdir())[:: max(1, chosen.photos // chosen.naive)][: chosen.naive]
        rows: list[tuple[str, float, str]] = []
        picture_steps = "metadata,place,thumbnail,hash"
        for name, steps in (
            ("scan, fast profile, without OCR", f"{picture_steps},embedding,tags"),
            ("scan, fast profile, with OCR", None),
            ("scan, decode and picture steps only", picture_steps),
        ):
            report = scan(home, photos, steps)
            seconds = {k: round(v, 1) for k, v in dict(report["seconds"]).items()}  # type: ignore[call-overload]
            steady = sum(v for k, v in seconds.items() if k != "walk")
            note = f"whole process {report['process_s']:.1f} s, peak {report['peak'] / 1e9:.2f} GB, {seconds}"  # type: ignore[operator]
            rows.append((name, int(report["analysed"]) / steady, note))  # type: ignore[call-overload]
            again = scan(home, photos, steps)
            rows.append(
                (
                    name + ", again",
                    int(again["analysed"]) / sum(v for k, v in dict(again["seconds"]).items() if k != "walk"),
                    "",
                )
            )  # type: ignore[call-overload]
        rows += [(name, rate, "") for name, rate in stage_alone(home, photos).items()]
        rows.append(("naive loop, without OCR", naive(home, few, False), ""))
        rows.append(("naive loop, with OCR", naive(home, few, True), ""))
        megabytes = sum(path.stat().st_size for path in photos.iterdir()) / chosen.photos / 1e6
        print("matrix products:", ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in matrix_rate().items()))
        cores = len(os.sched_getaffinity(0))
        print(f"\n{chosen.photos} pictures of 12 MP, {megabytes:.1f} MB each, {cores} cores; pictures a second")
        for name, rate, note in rows:
            print(f"{rate:7.1f}  {name:48} {note}")
        print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
