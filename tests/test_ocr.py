"""The text in pictures: drawn here, so that every word is known."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from PIL import Image, ImageDraw, ImageFont

from photoindex.errors import ModelBroken
from photoindex.media.views import prepare_view
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.pure.fold import tokens
from photoindex.records import FoundFile, Picture, TextLine
from photoindex.steps import Stopped
from photoindex.steps.ocr import Ocr

DET, REC = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
RECEIPT = ("PIZZERIA VESUVIO", "Margherita 8.50", "Mineral water 2.00", "Total 10.50 EUR")


def bundled() -> Path:
    """The folder of weights inside the rapidocr package."""
    found = importlib.util.find_spec("rapidocr")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "models"


def open_ocr(folder: Path | None = None, architecture: str = "ppocr", **values: Any) -> Ocr:
    spec = ModelSpec("drawn", "ocr", architecture, "Apache-2.0", True, **values)
    return Ocr(InstalledModel(spec, folder or bundled()))


def as_picture(image: Image.Image) -> Picture:
    view = prepare_view(image, Ocr.views[0])
    return Picture(FoundFile("drawn.png", "", 0, 0, 0, 0), "0" * 64, {Ocr.views[0].name: view})


def page(
    lines: Sequence[str], size: tuple[int, int] = (640, 480), letters: int = 36, spacing: float = 2.0
) -> Image.Image:
    image = Image.new("RGB", size, (238, 236, 228))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(letters)
    for row, line in enumerate(lines):
        pen.text((50, 40 + row * letters * spacing), line, fill=(25, 25, 30), font=font)
    return image


def read(ocr: Ocr, *images: Image.Image) -> list[tuple[TextLine, ...]]:
    found = ocr.run([as_picture(image) for image in images], [{}] * len(images))
    return [tuple(lines) for lines in found]


def texts(lines: Sequence[TextLine]) -> list[str]:
    return [line.text for line in lines]


@pytest.fixture(scope="module")
def ocr() -> Ocr:
    return open_ocr()


def test_a_receipt_is_read_line_by_line_from_the_top(ocr: Ocr) -> None:
    (lines,) = read(ocr, page(RECEIPT))
    assert texts(lines) == list(RECEIPT)
    assert all(0.8 < line.confidence <= 1 for line in lines)


def test_boxes_are_fractions_of_the_picture_around_the_letters(ocr: Ocr) -> None:
    image = Image.new("RGB", (1600, 800), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(60)
    pen.text((900, 500), "LIGHTHOUSE", fill="black", font=font)
    left, top, right, bottom = pen.textbbox((900, 500), "LIGHTHOUSE", font=font)
    ((line,),) = read(ocr, image)
    x, y = np.array(line.box[0::2]) * 1600, np.array(line.box[1::2]) * 800
    assert line.text == "LIGHTHOUSE"
    assert left - 25 < x.min() <= left + 3
    assert right - 3 <= x.max() < right + 25
    assert top - 25 < y.min() <= top + 3
    assert bottom - 3 <= y.max() < bottom + 25
    assert list(x) == pytest.approx([x.min(), x.max(), x.max(), x.min()], abs=3), "clockwise from the top left"


def test_a_page_is_broken_off_when_the_scan_is_to_stop(ocr: Ocr) -> None:
    asked = iter([False, True])
    ocr.stop_when(lambda: next(asked))
    try:
        with pytest.raises(Stopped):
            read(ocr, page(["first line", "second line", "third line"]))
    finally:
        ocr.stop_when(lambda: False)


def test_a_picture_without_text_gives_no_lines(ocr: Ocr) -> None:
    sky = Image.radial_gradient("L").resize((900, 600)).convert("RGB")
    assert read(ocr, sky) == [()]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_page_is_read_whichever_way_it_was_scanned(ocr: Ocr, degrees: int) -> None:
    (lines,) = read(ocr, page(RECEIPT).rotate(degrees, expand=True))
    assert sorted(texts(lines)) == sorted(RECEIPT)


@pytest.mark.parametrize(
    ("size", "letters", "spacing", "width"),
    [((2000, 2600), 28, 2.0, 14), ((3024, 4032), 24, 1.4, 24)],
    ids=["small", "seen as one block"],
)
def test_small_type_in_a_large_picture_is_read(
    ocr: Ocr, size: tuple[int, int], letters: int, spacing: float, width: int
) -> None:
    words = tokens("quarterly harvest of the northern orchard rose while exports through the old harbour fell")
    lines = [" ".join((words[at % 7 :] + words)[:width]) for at in range(20)]
    (found,) = read(ocr, page(lines, size, letters, spacing))
    assert len(found) == 20
    assert set(tokens(" ".join(texts(found)))) == set(words)


def test_a_thing_like_one_letter_is_not_taken_for_text(ocr: Ocr) -> None:
    wheel = Image.new("RGB", (900, 700), (120, 140, 120))
    ImageDraw.Draw(wheel).ellipse((250, 150, 650, 550), outline=(20, 20, 20), width=40)
    assert read(ocr, wheel) == [()]


def test_each_picture_of_a_batch_keeps_its_own_lines(ocr: Ocr) -> None:
    images = [page(["first north"]), Image.new("RGB", (200, 150), "navy"), page(["a", "second line, which is longer"])]
    first, none, third = read(ocr, *images)
    assert texts(first) == ["first north"]
    assert none == ()
    assert texts(third)[-1] == "second line, which is longer"


@pytest.mark.parametrize("size", [(1, 1), (3, 1200), (1280, 2), (31, 33)])
def test_a_picture_of_a_strange_size_does_no_harm(ocr: Ocr, size: tuple[int, int]) -> None:
    assert read(ocr, Image.new("RGB", size, "white")) == [()]


def test_lines_below_the_threshold_are_dropped() -> None:
    sure = open_ocr(thresholds={"text": 0.99})
    image = page(["sure"])
    image.paste(page(["blurred away"]).resize((64, 48)).resize((640, 480)).crop((0, 0, 640, 200)), (0, 240))
    assert texts(read(sure, image)[0]) == ["sure"]


def test_onnx_runtime_reads_what_openvino_reads(ocr: Ocr) -> None:
    other = open_ocr(runtimes=("onnxruntime",))
    assert other.runtime == "onnxruntime-cpu-f32"
    assert texts(read(other, page(RECEIPT))[0]) == texts(read(ocr, page(RECEIPT))[0])


def test_a_model_without_its_files_is_broken(tmp_path: Path) -> None:
    shutil.copy(bundled() / DET, tmp_path)
    with pytest.raises(ModelBroken, match=f"{REC} is missing"):
        open_ocr(tmp_path)


def test_a_recogniser_that_names_no_characters_is_broken(tmp_path: Path) -> None:
    shutil.copy(bundled() / DET, tmp_path)
    model = onnx.load(bundled() / REC)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / REC)
    with pytest.raises(ModelBroken, match="does not carry the characters"):
        open_ocr(tmp_path)


def test_an_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(ModelBroken, match="'tesseract' reads no text"):
        open_ocr(architecture="tesseract")


def paddle_folders(target: Path) -> Path:
    """The bundled weights in the form in which PaddleOCR ships its own: a folder for each model, with its settings."""
    recogniser = onnx.load(bundled() / REC)
    characters = next(prop.value for prop in recogniser.metadata_props if prop.key == "character").splitlines()
    settings = {
        "det": {
            "Global": {"model_name": "PP-OCRv6_small_det"},
            "PreProcess": {
                "transform_ops": [
                    {"DetResizeForTest": {"resize_long": 960}},
                    {"NormalizeImage": {"mean": [0.5] * 3, "std": [0.5] * 3, "scale": "1./255.", "order": "hwc"}},
                    {"ToCHWImage": None},
                ]
            },
            "PostProcess": {"name": "DBPostProcess", "max_candidates": 1000},
        },
        "rec": {
            "Global": {"model_name": "PP-OCRv6_small_rec"},
            "PreProcess": {"transform_ops": [{"RecResizeImg": {"image_shape": [3, 48, 320]}}]},
            "PostProcess": {"name": "CTCLabelDecode", "character_dict": characters},
        },
    }
    for name, source in (("det", DET), ("rec", REC)):
        (target / name).mkdir()
        shutil.copy(bundled() / source, target / name / "inference.onnx")
        (target / name / "inference.yml").write_text(yaml.safe_dump(settings[name], allow_unicode=True), "utf-8")
    return target


OFFLINE = """
import json, socket, sys
from pathlib import Path

def refuse(*args, **kwargs):
    raise OSError(f"the network was asked for: {args}")

socket.socket.connect = socket.getaddrinfo = refuse
sys.path.insert(0, sys.argv[1])
from test_ocr import RECEIPT, open_ocr, page, read, texts

ocr = open_ocr(Path(sys.argv[2]), "paddleocr")
(lines,) = read(ocr, page(RECEIPT))
Path(sys.argv[3]).write_text(json.dumps([ocr.runtime, texts(lines), [line.box for line in lines]]))
ocr.close()
"""


def test_paddleocr_reads_from_folders_without_network_and_in_silence(tmp_path: Path, ocr: Ocr) -> None:
    folders = paddle_folders(tmp_path)
    command = [sys.executable, "-c", OFFLINE, str(Path(__file__).parent), str(folders), str(tmp_path / "said.json")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    runtime, found, boxes = json.loads((tmp_path / "said.json").read_text())
    (lines,) = read(ocr, page(RECEIPT))
    assert runtime == "paddleocr-onnxruntime"
    assert found == list(RECEIPT)
    for theirs, ours in zip(boxes, lines, strict=True):
        assert theirs == pytest.approx(ours.box, abs=0.02)


def test_a_folder_that_is_no_paddle_model_is_broken(tmp_path: Path) -> None:
    (tmp_path / "det").mkdir()
    with pytest.raises(ModelBroken, match=r"lacks inference\.yml"):
        open_ocr(tmp_path, "paddleocr")
