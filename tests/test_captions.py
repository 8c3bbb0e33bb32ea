"""Captions with BLIP: the same words as transformers itself gives, loaded without running anything, kept and found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import Shell
from photoindex.errors import ModelBroken, RuntimeRefused, RuntimeUnavailable
from photoindex.models.registry import load_registry
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.records import Analysed, FoundFile, Metadata, Outcome, Picture, RuntimeOptions, photo_id_of
from photoindex.runtimes import blip
from photoindex.scan.budget import batch_limits, plan_scan
from photoindex.scan.options import ScanOptions
from photoindex.scan.steps import Steps
from photoindex.steps import STEPS, Stopped, open_model_step
from photoindex.steps.captions import Captions
from photoindex.store.library import Library

SIDE = 32
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[DEC]",
    *["a", "red", "blue", "car", "tree", "house", "sea", "dog", "on", "under", "the", "of"],
]
TEXT = {
    "vocab_size": len(WORDS), "hidden_size": 32, "encoder_hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 40,
    "bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0,
}  # fmt: skip
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the hub has it, with a small captioner of random weights of the real architecture."""
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

    made = tmp_path_factory.mktemp("blip")
    torch.manual_seed(3)
    config = BlipConfig(text_config=TEXT, vision_config=VISION | {"image_size": SIDE}, image_text_hidden_size=32)
    model = BlipForConditionalGeneration(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(made)
    (made / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(str(made / "vocab.txt")).save_pretrained(made)
    told = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28], "size": {"height": SIDE, "width": SIDE}}
    (made / "preprocessor_config.json").write_text(json.dumps(told | {"image_processor_type": "BlipImageProcessor"}))
    return made


def installed(folder: Path, **options: Any) -> InstalledModel:
    spec = ModelSpec("small-blip", "captions", "blip", "BSD-3-Clause", True, path=folder, options=options)
    return InstalledModel(spec, folder)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def shown(pixels: np.ndarray) -> Picture:
    return Picture(FoundFile("a.jpg", "", 1, 1, 1, 1), "0" * 64, {"captions": pixels})


def described(step: Captions, pixels: np.ndarray) -> list[Any]:
    return step.run([shown(each) for each in pixels], [{}] * len(pixels))


def test_captions_are_those_that_transformers_gives(folder: Path) -> None:
    from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipImageProcessor

    pixels = noise(5)
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    views = BlipImageProcessor.from_pretrained(folder)(list(pixels), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        ids = model.generate(pixel_values=views, num_beams=3, max_new_tokens=30, do_sample=False)
    wanted = AutoTokenizer.from_pretrained(folder).batch_decode(ids, skip_special_tokens=True)
    step = Captions(installed(folder))
    found = described(step, pixels)
    assert found == [" ".join(text.split()) for text in wanted]
    assert len(set(found)) > 1
    assert (step.runtime, step.views[0].size, step.views[0].mode) == ("torch-cpu-f32", SIDE, "squash")


@pytest.mark.slow
def test_a_batch_gives_what_its_pictures_give_alone_every_time(folder: Path) -> None:
    step, pixels = Captions(installed(folder)), noise(4)
    together = described(step, pixels)
    assert described(step, pixels) == together
    assert [described(step, pixels[n : n + 1])[0] for n in range(4)] == together


def test_captions_run_on_what_is_asked_for_or_not_at_all(folder: Path) -> None:
    assert Captions(installed(folder), RuntimeOptions(runtime="torch-cpu")).runtime == "torch-cpu-f32"
    with pytest.raises(RuntimeRefused, match="torch-cpu-f32"):
        Captions(installed(folder), RuntimeOptions(runtime="openvino"))


@pytest.mark.slow
def test_a_runtime_may_be_named_for_captions(run: Shell, photos: Path, folder: Path) -> None:
    with_model(run, folder)
    arguments = ("--profile", "captioned", "--steps", "captions", "--runtime")
    assert "torch-cpu-f32" in run("scan", photos / "2023", *arguments, "captions=openvino", code=None).err
    report = run("scan", photos / "2023", *arguments, "captions=torch-cpu", "--format", "json").json
    assert report["steps"]["captions"]["done"] > 0


def test_memory_limits_how_many_pictures_are_captioned_at_once(folder: Path) -> None:
    steps = Steps([STEPS["captions"]], installed={"captions": installed(folder)})
    plan = plan_scan(steps, ["captions"], ScanOptions(max_memory=8 << 30))
    assert set(batch_limits(steps, plan.passes[0])) == {"captions"}


def test_the_length_is_bounded(folder: Path) -> None:
    [text] = described(Captions(installed(folder, tokens=3, beams=1)), noise(1))
    assert len(text.split()) <= 3


def test_a_pickle_is_read_without_running_anything_in_it(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    copied = shutil.copytree(folder, tmp_path / "bin", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(weights, copied / "pytorch_model.bin")
    pixels = noise(2)
    assert described(Captions(installed(copied)), pixels) == described(Captions(installed(folder)), pixels)

    class Evil:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "ran").touch, ())

    torch.save({**weights, "evil": Evil()}, copied / "pytorch_model.bin")
    with pytest.raises(ModelBroken, match="photoindex models pull small-blip"):
        Captions(installed(copied))
    assert not (tmp_path / "ran").exists()


def _without(name: str) -> Any:
    return lambda copied: (copied / name).unlink()


def _lacking(copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copied / "model.safetensors")
    del weights["vision_model.post_layernorm.weight"]
    save_file(weights, copied / "model.safetensors", {"format": "pt"})


DAMAGE: Mapping[str, tuple[Any, str]] = {
    "no weights": (_without("model.safetensors"), "no BLIP captioner"),
    "no description": (_without("config.json"), "no BLIP captioner|word pieces"),
    "no preprocessing": (_without("preprocessor_config.json"), "how pictures are prepared"),
    "cut short": (lambda copied: (copied / "model.safetensors").write_bytes(b"short"), "no BLIP captioner"),
    "a weight is lacking": (_lacking, "post_layernorm"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_model_that_is_not_whole_is_broken(folder: Path, tmp_path: Path, damage: Any, message: str) -> None:
    copied = shutil.copytree(folder, tmp_path / "copied")
    damage(copied)
    with pytest.raises(ModelBroken, match=message):
        Captions(installed(copied))


def test_a_run_ends_in_its_middle_once_it_is_to_stop(folder: Path) -> None:
    step, asked = Captions(installed(folder)), []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 5

    step.stop_when(stop)
    with pytest.raises(Stopped):
        described(step, noise(1))
    assert len(asked) == 6


def test_the_step_is_blips(folder: Path) -> None:
    assert isinstance(open_model_step(STEPS["captions"], installed(folder)), Captions)


# --- when what runs it fails ----------------------------------------------------------------------------------------


class Faulty(blip.BlipSession):
    """A captioner whose GPU is this CPU, and breaks as `fault` says: called with the session and pixels at each run."""

    fault: Any = None
    opened: Any = None

    def __init__(self, folder: Path, *, device: Any, **more: Any) -> None:
        super().__init__(folder, device="cpu", **more | {"precision": "f32"})
        self._runtime = f"torch-{device}-{more['precision']}"
        if Faulty.opened:
            Faulty.opened(self.runtime)

    def run(self, inputs: Any) -> Any:
        if "cuda" in self.runtime and Faulty.fault:
            Faulty.fault(self, inputs["pixels"])
        return super().run(inputs)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    """A machine that has a GPU, by what it says."""
    monkeypatch.setattr(blip, "whole_model_rungs", lambda: [("cuda", "f16"), ("cuda", "f32"), ("cpu", "f32")])
    monkeypatch.setattr(blip, "BlipSession", Faulty)
    monkeypatch.setattr(Faulty, "fault", None)
    monkeypatch.setattr(Faulty, "opened", None)
    return Faulty


def told(step_of: InstalledModel, **more: Any) -> tuple[Captions, list[str]]:
    lines: list[str] = []
    return Captions(step_of, RuntimeOptions(tell=lines.append, **more)), lines


def test_a_gpu_that_does_not_load_is_passed_over(folder: Path, faulty: type[Faulty]) -> None:
    def refuses(runtime: str) -> None:
        if "cuda" in runtime:
            raise AssertionError("Torch not compiled with CUDA enabled")

    faulty.opened = refuses
    step, _ = told(installed(folder))
    assert step.runtime == "torch-cpu-f32"
    faulty.opened = lambda _: (_ for _ in ()).throw(RuntimeError("no driver"))
    with pytest.raises(RuntimeUnavailable, match=r"torch-cuda-f16: no driver; .*torch-cpu-f32: no driver"):
        Captions(installed(folder))


def test_what_is_no_number_makes_no_caption_and_the_next_rung_does(folder: Path, faulty: type[Faulty]) -> None:
    wanted = described(Captions(installed(folder), RuntimeOptions(runtime="torch-cpu-f32")), noise(2))
    step, lines = told(installed(folder))
    assert step.runtime == "torch-cuda-f16"

    def poison(session: blip.BlipSession, _: Any) -> None:
        for parameter in session._model.parameters():
            parameter.fill_(float("nan"))

    faulty.fault = poison
    assert described(step, noise(2)) == wanted
    assert step.runtime == "torch-cpu-f32"
    assert any("torch-cuda-f16 failed (scores is not a number)" in line for line in lines)


def test_out_of_memory_halves_the_batch_and_gives_the_same_captions(folder: Path, faulty: type[Faulty]) -> None:
    step, lines = told(installed(folder))
    sizes: list[int] = []

    def small(_: Any, pixels: np.ndarray) -> None:
        sizes.append(len(pixels))
        if len(pixels) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    faulty.fault = small
    found = described(step, noise(5))
    assert found == described(Captions(installed(folder), RuntimeOptions(runtime="torch-cpu-f32")), noise(5))
    assert (sizes, step.runtime) == ([5, 2, 2, 1], "torch-cuda-f16")
    assert step.batch_size <= 2
    assert any("no memory for 5 at once" in line for line in lines)


@pytest.mark.slow
def test_one_that_breaks_on_the_way_gives_over_and_the_ledger_says_who_did_what(
    run: Shell, photos: Path, folder: Path, faulty: type[Faulty]
) -> None:
    with_model(run, folder)
    left = [3]

    def dies(*_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("the device was lost")

    faulty.fault = dies
    report = run(
        "scan", photos / "2023", "--profile", "captioned", "--steps", "captions", "--batch-size", "1", code=None
    )
    rows = dict(run.rows("SELECT runtime, count(*) FROM ledger WHERE step = 'captions' GROUP BY runtime"))
    assert rows == {"torch-cuda-f16": 1, "torch-cpu-f32": 6}  # a trial and a timed run had gone before
    assert "torch-cpu-f32 takes over" in report.err


# --- in a scan ------------------------------------------------------------------------------------------------------


def with_model(run: Shell, folder: Path) -> None:
    run.home.mkdir(exist_ok=True)
    (run.home / "models.toml").write_text(
        f'[models.small]\ntask = "captions"\narchitecture = "blip"\nlicence = "BSD-3-Clause"\ncommercial = true\n'
        f'path = "{folder}"\n[profiles.captioned]\ncaptions = "small"\n'
    )


def test_captions_are_made_where_they_are_asked_for_shown_and_found(run: Shell, photos: Path, folder: Path) -> None:
    with_model(run, folder)
    (photos / "broken.jpg").unlink()
    first = run("scan", photos, "--steps", "metadata", "--format", "json").json
    assert "captions" not in {*first["steps"], *first["skipped"]}
    assert run("scan", photos, "--dry-run", "--profile", "captioned", "--format", "json").json["due"] == 10
    run("models", "use", "small")
    report = run("scan", photos, "--steps", "captions", "--format", "json").json
    assert report["steps"]["captions"] == {"done": 10}
    shown = run("show", photos / "beach.webp", "--format", "json").json
    assert shown["caption"]
    assert shown["caption"] in run("show", photos / "beach.webp").text
    word = shown["caption"].split()[0]
    found = run("search", word, "--mode", "keyword", "--limit", "0", "--format", "paths").out.decode()
    assert str(photos / "beach.webp") in found
    assert run("scan", photos, "--steps", "captions", "--format", "json").json["due"] == 0


def test_without_weights_the_step_says_which_command_installs_them(run: Shell, photos: Path) -> None:
    ran = run("scan", photos / "2023" / "trip", "--steps", "metadata,captions")
    assert "photoindex models pull blip-captions-base" in ran.err


def test_the_published_model_is_described_whole_and_in_no_profile() -> None:
    registry = load_registry(None)
    spec = registry.model("blip-captions-base")
    assert {file.name for file in spec.files} >= {"pytorch_model.bin", "config.json", "preprocessor_config.json"}
    assert all("captions" not in profile for profile in registry.profiles.values())
    assert (spec.licence, spec.commercial) == ("BSD-3-Clause", True)
    assert spec.revision in spec.files[0].url


def test_a_photo_is_completed_by_the_steps_that_are_expected(library: Library) -> None:
    """A caption more does not stand for another step that is lacking."""

    def state(*steps: str) -> str:
        outcomes = tuple(Outcome(step, 1, "done", facts[step], "m") for step in steps)
        library.save([Analysed(FoundFile("/p/a.jpg", "/p", 1, 1, 1, 1), "ab" * 32, outcomes)])
        return library.queries.details(photo_id_of("ab" * 32)).state

    facts = {"metadata": Metadata("JPEG", 1, 1), "captions": "a dog", "ocr": ()}
    library.catalog.set_setting("steps", "metadata,ocr")
    assert state("metadata", "captions") == "partial"
    assert state("ocr") == "completed"
