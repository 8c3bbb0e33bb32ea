"""Image vectors are OpenCLIP's own, whatever runs the model; models that cannot work are refused in words."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from photoindex.errors import ModelBroken, ModelMissing, RuntimeUnavailable
from photoindex.media.views import prepare_view
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.records import FoundFile, Picture, RuntimeOptions
from photoindex.runtimes.choose import open_session
from photoindex.steps import forms, forms_export
from photoindex.steps.embedding import Embedding
from photoindex.steps.forms import forms_ready, make_forms, read_forms, write_order

pytest_plugins = ("small_clip",)

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"
SCENES = ("a red circle", "a pizza", "a blue car in the snow", "a white boat on the sea", "a clock at night")
SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "layers": 1, "width": 32, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def picture(pixels):
    file = FoundFile("x.jpg", "/", 1, 0, 0, 0)
    return Picture(file, hashlib.sha256(pixels.tobytes()).hexdigest(), {"embedding": pixels})


def cosines(found, wanted, centred=False):
    """Row by row; `centred` on the mean first, because random weights give vectors that all look alike."""
    found, wanted = (np.asarray(each, np.float32) for each in (found, wanted))
    if centred:
        found, wanted = found - wanted.mean(0), wanted - wanted.mean(0)
    return (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)


def scenes():
    from scenes import render_scene

    sizes = [(320, 240), (240, 320), (200, 200), (500, 120), (97, 301)]
    return [render_scene(words, 5, size) for words, size in zip(SCENES, sizes, strict=True)]


def openclip_vectors(architecture, checkpoint, pictures, tag=None):
    """OpenCLIP from end to end: its transform (with what it knows of the weights called `tag`), its model."""
    import open_clip
    import torch

    known = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    told = {f"image_{key}": known.get(key) for key in ("mean", "std", "interpolation", "resize_mode")}
    model, _, transform = open_clip.create_model_and_transforms(architecture, pretrained=checkpoint, **told)
    with torch.inference_mode():
        return model.eval().encode_image(torch.stack([transform(each) for each in pictures]), normalize=True).numpy()


def random_model(folder, architecture="small", config=None, **options):
    """A model with random weights as `models pull` would leave it."""
    import open_clip
    import torch

    torch.manual_seed(1)
    folder.mkdir(exist_ok=True)
    if config:
        (folder / "config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3}}))
        options["config"] = "config.json"
        kind = open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP
        model = kind(**{key: value for key, value in config.items() if key != "custom_text"})
    else:
        model = open_clip.create_model(architecture)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    spec = ModelSpec("a-model", "embedding", architecture, "none", True, options=options)
    return InstalledModel(spec, folder)


def export_here(installed, work):
    """What make_forms does in a process of its own, done in this one; the exit code."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    write_order(installed, work)
    return forms_export.main(work)


def test_vectors_are_those_of_openclip_on_the_same_pixels(clip):
    step = Embedding(clip, RuntimeOptions(threads=2))
    pictures = scenes()
    found = step.run([picture(prepare_view(each, step.views[0])) for each in pictures], [{}] * len(pictures))
    wanted = openclip_vectors(f"local-dir:{clip.path}", None, pictures)
    assert all(vector.dtype == np.float16 and vector.shape == (64,) for vector in found)
    assert cosines(found, wanted).min() >= 0.999
    assert cosines(found, wanted, centred=True).min() >= 0.999


def test_the_step_says_what_it_runs_and_what_it_needs(clip):
    step = Embedding(clip)
    assert step.model == "tiny-clip"
    assert step.runtime.split("-")[0] in ("openvino", "onnxruntime", "torch")
    assert [(view.name, view.mode, view.size, view.interpolation) for view in step.views] == [
        ("embedding", "crop", 48, "bicubic")
    ]
    assert 1 <= step.batch_size <= 64


def test_a_picture_gets_the_same_vector_alone_and_in_a_batch(clip):
    step = Embedding(clip)
    batch = [picture(prepare_view(each, step.views[0])) for each in scenes()]
    together = step.run(batch, [{}] * len(batch))
    alone = [step.run([each], [{}])[0] for each in batch]
    assert cosines(together, alone).min() > 0.9999


def test_every_form_was_compared_with_torch(clip):
    kept = json.loads((read_forms(clip).folder / "forms.json").read_text())
    assert kept["refused"] == {}
    assert kept["checks"]["visual"]["cosine"] > 0.9999
    assert kept["checks"]["text"]["cosine"] > 0.9999


def test_forms_are_made_once_and_belong_to_their_weights(clip, tmp_path):
    folder = read_forms(clip).folder
    before = (folder / "visual.onnx").stat().st_mtime_ns
    make_forms(clip)
    assert (folder / "visual.onnx").stat().st_mtime_ns == before
    assert not list(clip.derived.glob(".forms-*"))
    shutil.copytree(clip.path, tmp_path / "other")
    (tmp_path / "other" / "open_clip_model.safetensors").write_bytes(b"other weights")
    assert not forms_ready(dataclasses.replace(clip, path=tmp_path / "other"))


@pytest.mark.parametrize("name", ["visual.onnx", "visual.onnx.data", "text.onnx", "check.npz", "forms.json"])
def test_forms_that_were_cut_short_are_made_anew(tmp_path, name):
    model = random_model(tmp_path / "m", config=SMALL)
    assert export_here(model, tmp_path / "work") == 0
    folder = tmp_path / "m" / f"forms-{forms._fingerprint(model)}"
    shutil.copytree(tmp_path / "work", folder)
    assert forms_ready(model)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    assert not forms_ready(model)
    with pytest.raises(ModelBroken, match="photoindex models pull a-model"):
        read_forms(model)
    work = tmp_path / "m" / ".forms-again"
    shutil.copytree(tmp_path / "work", work)
    forms._publish(work, folder)
    assert (folder / name).read_bytes() == whole
    assert forms_ready(model)


def test_a_form_broken_after_it_was_looked_at_leaves_the_picture_model_to_torch(clip, tmp_path):
    """Torch builds the model from its weights; nothing else can without the exported form."""
    folder = tmp_path / "forms"
    shutil.copytree(read_forms(clip).folder, folder)
    recipe = json.loads((folder / "forms.json").read_text())
    recipe["recipe"]["checkpoint"] = str(clip.path / "open_clip_model.safetensors")
    recipe["recipe"]["config"] = recipe["recipe"]["config"] and str(clip.path / "open_clip_config.json")
    (folder / "forms.json").write_text(json.dumps(recipe))
    (folder / "visual.onnx").write_bytes((folder / "visual.onnx").read_bytes()[:500])
    pixels, expected = read_forms(clip).check("visual")
    session = open_session(folder / "visual.onnx", probe=pixels, expected=expected)
    assert session.runtime.startswith("torch-")
    assert {"openvino-cpu-f32", "onnxruntime-cpu-f32"} <= set(session.failures)
    with pytest.raises(RuntimeUnavailable, match=r"onnxruntime-cpu-f32: .*visual\.onnx"):
        open_session(folder / "visual.onnx", ["onnxruntime"], probe=pixels, expected=expected)


def test_a_squashing_model_gets_squashed_views(tmp_path):
    squash = {"resize_mode": "squash", "interpolation": "bilinear"}
    assert export_here(random_model(tmp_path / "m", config=SMALL, preprocess=squash), tmp_path / "work") == 0
    kept = json.loads((tmp_path / "work" / "forms.json").read_text())
    assert kept["view"] == {"mode": "squash", "size": 32, "interpolation": "bilinear"}
    assert kept["recipe"]["preprocess"]["mean"] == [0.5] * 3


def test_siglip_gets_squashed_views_and_its_own_normalisation_without_being_told(tmp_path):
    from photoindex.runtimes.openclip import Recipe, _preprocess

    found = _preprocess(Recipe("ViT-B-32-SigLIP2-256", tmp_path / "weights.bin"))
    assert (found["resize_mode"], tuple(found["mean"])) == ("squash", (0.5, 0.5, 0.5))


def test_weights_whose_preprocessing_is_ambiguous_are_refused_until_it_is_named(tmp_path):
    from photoindex.runtimes.openclip import CannotBuild, Recipe, _preprocess

    with pytest.raises(CannotBuild, match="`pretrained`"):
        _preprocess(Recipe("ViT-L-14", tmp_path / "weights.bin"))
    named = _preprocess(Recipe("ViT-L-14", tmp_path / "weights.bin", pretrained="laion2b_s32b_b82k"))
    assert tuple(named["mean"]) == (0.5, 0.5, 0.5)


def test_a_tower_without_numbers_is_refused_and_the_reason_kept(tmp_path):
    import torch

    model = random_model(tmp_path / "m", config=SMALL)
    weights = torch.load(model.path / "open_clip_pytorch_model.bin", weights_only=True)
    weights["visual.proj"] *= float("nan")
    torch.save(weights, model.path / "open_clip_pytorch_model.bin")
    work = tmp_path / "work"
    assert export_here(model, work) == 0
    assert "deviates from torch" in json.loads((work / "forms.json").read_text())["refused"]["visual"]
    make_forms(model)
    with pytest.raises(RuntimeUnavailable, match="not a number"):
        Embedding(model)


def test_a_text_tower_too_small_for_its_tokenizer_is_refused_and_pictures_still_work(tmp_path):
    small = {**SMALL, "text_cfg": {**SMALL["text_cfg"], "vocab_size": 300}}
    assert export_here(random_model(tmp_path / "m", config=small), tmp_path / "work") == 0
    refused = json.loads((tmp_path / "work" / "forms.json").read_text())["refused"]
    assert list(refused) == ["text"]
    assert "300 tokens" in refused["text"]


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("hf-hub:someone/something", "is an address"),
        ("ViT-Z-99", "OpenCLIP knows no architecture 'ViT-Z-99'"),
        ("coca_ViT-B-32", "CoCa"),
        ("xlm-roberta-base-ViT-B-32", "lies on a hub"),
    ],
)
def test_architectures_that_need_a_hub_or_are_unknown_are_refused_in_words(tmp_path, architecture, reason):
    model = random_model(tmp_path / "m", config=SMALL)
    spec = dataclasses.replace(model.spec, architecture=architecture, options={})
    assert export_here(InstalledModel(spec, model.path), tmp_path / "work") == 3
    assert reason in (tmp_path / "work" / "refused.txt").read_text()


def test_a_checkpoint_that_is_a_program_is_not_run(tmp_path):
    import pickle

    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "attacked",))

    model = random_model(tmp_path / "m", config=SMALL)
    (model.path / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps({"state_dict": Attack()}))
    assert export_here(model, tmp_path / "work") == 3
    assert "does not load as small" in (tmp_path / "work" / "refused.txt").read_text()
    assert not (tmp_path / "attacked").exists()


def test_broken_weights_are_named_and_leave_nothing_behind(tmp_path):
    model = random_model(tmp_path / "m", config=SMALL)
    whole = (model.path / "open_clip_pytorch_model.bin").read_bytes()
    (model.path / "open_clip_pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelBroken, match=r"open_clip_pytorch_model\.bin does not load as small .*models pull a-model"):
        make_forms(model)
    assert sorted(path.name for path in model.path.iterdir()) == ["config.json", "open_clip_pytorch_model.bin"]


def test_a_model_without_weights_says_how_to_get_them(tmp_path):
    model = InstalledModel(ModelSpec("a-model", "embedding", "ViT-B-32", "none", True), tmp_path)
    with pytest.raises(ModelMissing, match="photoindex models pull a-model"):
        Embedding(model)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "tag"),
    [("ViT-B-32", "laion2b_s34b_b79k"), ("ViT-B-32-SigLIP2-256", "webli"), ("ViT-H-14", "laion2b_s32b_b79k")],
)
def test_real_architectures_at_full_size_give_openclips_vectors(tmp_path, architecture, tag):
    from PIL import Image

    if not PHOTOS.is_dir():
        pytest.skip("the shared photos are not here")
    model = random_model(tmp_path / "m", architecture, pretrained=tag)
    step = Embedding(model, RuntimeOptions(threads=2))
    files = sorted((PHOTOS / "general").rglob("*.jpg"))[:12]
    pictures = [Image.open(file).convert("RGB") for file in files]
    views = [picture(prepare_view(each, step.views[0])) for each in pictures]
    found = [vector for each in views for vector in step.run([each], [{}])]
    wanted = openclip_vectors(architecture, str(model.path / "open_clip_pytorch_model.bin"), pictures, tag)
    shutil.rmtree(model.path)
    print(architecture, step.runtime, cosines(found, wanted).min(), cosines(found, wanted, centred=True).min())
    assert cosines(found, wanted).min() >= 0.999
    assert cosines(found, wanted, centred=True).min() >= 0.99


def test_preparing_a_model_can_be_broken_off_and_leaves_nothing_behind(tmp_path):
    model = random_model(tmp_path / "m", config=SMALL)
    with pytest.raises(ModelBroken, match=r"broken off"):
        make_forms(model, lambda: True)
    assert sorted(path.name for path in model.path.iterdir()) == ["config.json", "open_clip_pytorch_model.bin"]
