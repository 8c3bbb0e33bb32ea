"""Every runtime of this machine gives OpenCLIP's own numbers, for three kinds of architecture and odd pictures."""

import io
import json
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image, ImageDraw

from photoindex.media.source import Need, open_source
from photoindex.media.views import prepare_view
from photoindex.records import RuntimeOptions, View
from photoindex.runtimes.candidates import candidates, machine_backends
from photoindex.runtimes.choose import open_session
from photoindex.runtimes.faults import agreement, disagreement
from photoindex.steps.forms import make_forms, read_forms
from photoindex.steps.text_encoder import TextEncoder
from test_decode import found
from test_embedding import cosines, random_model, scenes

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
ARCHITECTURES = {
    "vit": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 64, "patch_size": 16, "layers": 3, "width": 96, "head_width": 32},
        "text_cfg": TEXT,
    },
    "sigmoid": {
        "embed_dim": 192,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 224,
            "timm_model_name": "vit_tiny_patch16_224",
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {
            **TEXT,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": 1e-6},
        },
    },
    "convnext": {
        "embed_dim": 64,
        "vision_cfg": {
            "image_size": 64,
            "timm_model_name": "convnext_atto",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
        },
        "text_cfg": TEXT,
    },
    "resnet": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16},
        "text_cfg": TEXT,
    },
}
SQUASHED = {"resize_mode": "squash", "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
# Not those whose form or kernels take long to make: test_runtimes_variants has them.
PRESENT = [
    backend.name
    for backend in machine_backends()
    if backend.absent is None and backend.precision != "int8" and backend.variant != "compiled"
]
WORDS = ("a photo of a dog", "Zwei Kätzchen im Schnee", "receipt")


@dataclass(frozen=True)
class Known:
    """A model of random weights, its forms, and what OpenCLIP itself makes of the pictures and words."""

    forms: object
    installed: object
    pictures: np.ndarray
    words: np.ndarray


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    made = {}

    def make(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("equality") / name
            options = {"preprocess": SQUASHED} if name == "sigmoid" else {}
            installed = random_model(folder, f"small-{name}", config=ARCHITECTURES[name], **options)
            make_forms(installed)
            made[name] = Known(read_forms(installed), installed, *openclip_says(installed, SQUASHED if options else {}))
        return made[name]

    return make


def openclip_says(installed, told):
    import open_clip
    import torch

    described = json.loads((installed.path / "config.json").read_text())["model_cfg"]
    (installed.path / f"{installed.spec.architecture}.json").write_text(json.dumps(described))
    open_clip.add_model_config(installed.path / f"{installed.spec.architecture}.json")
    name, weights = installed.spec.architecture, str(installed.path / "open_clip_pytorch_model.bin")
    told = {f"image_{key}": value for key, value in ({"mean": [0.5] * 3} | told).items()}
    model, _, transform = open_clip.create_model_and_transforms(name, pretrained=weights, **told)
    ids = open_clip.get_tokenizer(name)(list(WORDS))
    with torch.inference_mode():
        pixels = torch.stack([transform(each) for each in scenes()])
        pictures = model.eval().encode_image(pixels, normalize=True).numpy()
        return pictures, model.encode_text(ids, normalize=True).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", PRESENT)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pictures_become_openclips_vectors_on_every_runtime(known, architecture, runtime):
    model = known(architecture)
    assert model.forms.refused == {}
    pixels = np.stack([prepare_view(each, model.forms.view) for each in scenes()])
    session = next(each for each in candidates(model.forms.visual) if each.name == runtime).open()
    assert session.runtime == runtime
    vectors = session.run({"pixels": pixels})["vectors"]
    alone = session.run({"pixels": pixels[:1]})["vectors"]
    session.close()
    assert cosines(vectors, model.pictures).min() >= 0.999
    assert cosines(alone, model.pictures[:1]).min() >= 0.999
    if "-f32" in runtime:
        assert cosines(vectors, model.pictures, centred=True).min() >= 0.9999
    elif architecture != "resnet":  # see below
        assert cosines(vectors, model.pictures, centred=True).min() >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime-cpu-f32", "openvino-cpu-f32"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_words_become_openclips_vectors_on_every_runtime(known, architecture, runtime):
    encoder = TextEncoder(known(architecture).installed, RuntimeOptions(runtime=runtime))
    assert encoder.runtime == runtime
    found = encoder.encode(WORDS)
    encoder.close()
    assert cosines(found, known(architecture).words).min() >= 0.9999


@pytest.mark.skipif("openvino-cpu-bf16" not in PRESENT, reason="this processor has no fast bfloat16")
def test_less_precision_than_a_models_vectors_bear_is_refused(known):
    """A residual network with random weights gives nearly one vector for all: bfloat16 drowns what differs."""
    forms = known("resnet").forms
    pixels, expected = forms.check("visual")
    session = next(each for each in candidates(forms.visual) if each.name == "openvino-cpu-bf16").open()
    outputs = session.run(pixels)
    session.close()
    assert agreement(outputs, expected)[0] > 0.999
    assert "after removing the mean" in disagreement(outputs, expected)
    assert open_session(forms.visual, ["openvino"], probe=pixels, expected=expected).runtime == "openvino-cpu-f32"


def drawn(size=(97, 61)):
    image = Image.new("RGB", size, (40, 90, 160))
    pen = ImageDraw.Draw(image)
    for at in range(0, max(size), 7):
        pen.line((at, 0, size[0] - at, size[1]), fill=(at * 5 % 256, 255 - at * 3 % 256, at * 11 % 256), width=3)
    return image


def cmyk():
    image = drawn().convert("CMYK")
    return image, "TIFF", image.convert("RGB")


def sixteen_bits():
    """OpenCLIP's own conversion would clip at 255; what a viewer shows is the upper eight bits."""
    values = (np.asarray(drawn().convert("L")).astype(np.uint16) * 257).astype(np.uint16)
    return Image.fromarray(values), "PNG", Image.fromarray((values // 257).astype(np.uint8)).convert("RGB")


def see_through_palette():
    """OpenCLIP's own conversion would show the colours under transparency; a viewer shows the page."""
    image = drawn().quantize(16)
    image.info["transparency"] = 0
    colours = np.asarray(image.convert("RGB")).copy()
    colours[np.asarray(image) == 0] = 255
    return image, "PNG", Image.fromarray(colours)


def of_size(*size):
    return lambda: (drawn(size), "PNG", drawn(size))


ODD = {
    "1x1": of_size(1, 1),
    "1x40": of_size(1, 40),
    "40x1": of_size(40, 1),
    "2x31": of_size(2, 31),
    "63x65": of_size(63, 65),
    "CMYK": cmyk,
    "16 bit": sixteen_bits,
    "palette": see_through_palette,
    "grey": lambda: (drawn().convert("L"), "PNG", drawn().convert("L").convert("RGB")),
    "two colours": lambda: (drawn().convert("1"), "PNG", drawn().convert("1").convert("RGB")),
}


@pytest.mark.parametrize("mode", ["crop", "squash"])
@pytest.mark.parametrize("odd", ODD)
def test_odd_pictures_are_prepared_as_openclip_would(tmp_path, odd, mode):
    """From the file to the view, against OpenCLIP's own transform of the same picture in plain RGB."""
    from open_clip.transform import image_transform

    image, kind, plain = ODD[odd]()
    out = io.BytesIO()
    more = {"transparency": image.info["transparency"]} if "transparency" in image.info else {}
    image.save(out, kind, **more)
    (tmp_path / "odd").write_bytes(out.getvalue())
    view = View("embedding", mode, 64, "bicubic")
    prepared = prepare_view(open_source(found(tmp_path / "odd"), Need(128)).image, view)
    told = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "interpolation": "bicubic"}
    transform = image_transform(64, False, resize_mode="shortest" if mode == "crop" else "squash", **told)
    wanted = (transform(plain).permute(1, 2, 0).numpy() * 255).round().astype(int)
    # Beyond 16 times as long as wide, only the part that is shown is scaled: that rounds differently by one.
    assert np.abs(prepared.astype(int) - wanted).max() <= (1 if max(plain.size) > 16 * min(plain.size) else 0)
