"""Faces: where they are, and what is said of them. Networks made here fire at known places; YuNet is the real one."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageOps

from photoindex.errors import ModelBroken
from photoindex.media.views import prepare_view
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.records import Face, FoundFile, Picture
from photoindex.steps.faces import Faces

SHARED = Path(__file__).parents[2] / "shared"
PHOTOS, YUNET = SHARED / "photos", SHARED / "weights" / "yunet_n_dynamic.onnx"
needs_yunet = pytest.mark.skipif(not YUNET.is_file(), reason="YuNet's weights are not beside this checkout")
Array = npt.NDArray[np.float32]

# In units of the detector's stride of 8, from the cell that fires: left, top, right, bottom; then five points.
BOX = (4.0, 5.0, 6.0, 9.0)
POINTS = ((-1.75, -1.75), (1.75, -1.75), (0.0, 0.25), (-1.5, 2.25), (1.5, 2.25))
# Where ArcFace wants the eyes, the nose and the corners of the mouth in its 112 x 112 crop, as insightface publishes.
CANONICAL = ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))


def conv(name: str, weight: Array, bias: Sequence[float]) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """A convolution of the picture whose stride is as long as its kernel."""
    side = weight.shape[-1]
    node = helper.make_node("Conv", ["input", f"{name}.w", f"{name}.b"], [name], strides=[side, side])
    values = np.asarray(bias, np.float32)
    return node, [numpy_helper.from_array(weight, f"{name}.w"), numpy_helper.from_array(values, f"{name}.b")]


def save(path: Path, nodes: list[Any], weights: list[Any], inputs: Any, outputs: list[Any]) -> None:
    graph = helper.make_graph(nodes, path.stem, [inputs], outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def scrfd(path: Path) -> None:
    """A detector with SCRFD's nine outputs. A white cell of 8 pixels fires; everything else stays silent."""
    nodes, weights, outputs = [], [], []
    for part, width in (("score", 1), ("box", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            name, channels = f"{part}{stride}", 2 * width
            kernel = np.zeros((channels, 3, stride, stride), np.float32)
            bias = {"score": [-40.0] * 2, "box": [*BOX] * 2, "kps": [*np.ravel(POINTS)] * 2}[part]
            if part == "score" and stride == 8:
                kernel[0] = 40 / (3 * 64)  # the first anchor of a cell: its mean of -1 to 1, against 0.9
                bias = [-36.0, -40.0]
            node, values = conv(f"{name}.raw", kernel, bias)
            nodes.append(node)
            weights += values
            nodes.append(helper.make_node("Transpose", [f"{name}.raw"], [f"{name}.t"], perm=[0, 2, 3, 1]))
            weights.append(numpy_helper.from_array(np.array([-1, width], np.int64), f"{name}.shape"))
            last = f"{name}.flat" if part == "score" else name
            nodes.append(helper.make_node("Reshape", [f"{name}.t", f"{name}.shape"], [last]))
            if part == "score":
                nodes.append(helper.make_node("Sigmoid", [last], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"n{stride}", width]))
    inputs = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "?", "?"])
    save(path, nodes, weights, inputs, outputs)


def arcface(path: Path, width: int = 512) -> None:
    """A recogniser whose vector is its aligned crop, 16 x 16 cells of red and of green: so alignment can be seen."""
    kernel = np.zeros((2, 3, 7, 7), np.float32)
    kernel[0, 0] = kernel[1, 1] = 1 / 49
    node, weights = conv("cells", kernel, [1.0, 1.0])
    weights.append(numpy_helper.from_array(np.array([-1, 512], np.int64), "shape"))
    nodes = [node, helper.make_node("Reshape", ["cells", "shape"], ["all"])]
    weights.append(numpy_helper.from_array(np.eye(512, width, dtype=np.float32), "cut"))
    nodes.append(helper.make_node("MatMul", ["all", "cut"], ["vector"]))
    inputs = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 112, 112])
    save(path, nodes, weights, inputs, [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", width])])


def open_faces(folder: Path, architecture: str = "scrfd+arcface", **values: Any) -> Faces:
    options: Mapping[str, Any] = values.pop("options", {"det": "det.onnx", "rec": "rec.onnx"})
    spec = ModelSpec("made-here", "faces", architecture, "Apache-2.0", True, options=options, **values)
    return Faces(InstalledModel(spec, folder))


def find(faces: Faces, *images: Image.Image) -> list[tuple[Face, ...]]:
    name = Faces.views[0].name
    pictures = [
        Picture(FoundFile("made.png", "", 0, 0, 0, 0), "0" * 64, {name: prepare_view(image, Faces.views[0])})
        for image in images
    ]
    return [tuple(found) for found in faces.run(pictures, [{}] * len(pictures))]


def firing(cell: tuple[int, int], size: tuple[int, int] = (1280, 960)) -> Image.Image:
    """A picture twice as large as the detector's input in which the cell in that column and row fires.

    Red dots mark the five points.
    """
    image = Image.new("RGB", size, "black")
    x, y = cell[0] * 16, cell[1] * 16
    for dx, dy in POINTS:
        at = (round(x + dx * 16), round(y + dy * 16))
        image.paste((255, 0, 0), (at[0] - 3, at[1] - 3, at[0] + 4, at[1] + 4))
    image.paste("white", (x, y, x + 16, y + 16))
    return image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("insight")
    scrfd(made / "det.onnx")
    arcface(made / "rec.onnx")
    return made


@pytest.fixture(scope="module")
def insight(folder: Path) -> Faces:
    return open_faces(folder)


def test_scrfd_boxes_and_landmarks_are_fractions_of_the_picture(insight: Faces) -> None:
    ((face,),) = find(insight, firing((30, 20)))
    x, y = 30 * 16, 20 * 16
    left, top, right, bottom = BOX
    expected = [(x - left * 16) / 1280, (y - top * 16) / 960, (x + right * 16) / 1280, (y + bottom * 16) / 960]
    assert list(face.box) == pytest.approx(expected, abs=1e-5)
    points = np.array([((x + dx * 16) / 1280, (y + dy * 16) / 960) for dx, dy in POINTS])
    assert list(face.landmarks) == pytest.approx(list(points.ravel()), abs=1e-5)
    assert 0.9 < face.score <= 1


def test_a_box_over_the_edge_ends_at_the_edge(insight: Faces) -> None:
    ((face,),) = find(insight, firing((1, 30)))
    assert face.box[0] == 0.0
    assert face.box[2] == pytest.approx((1 * 16 + 6 * 16) / 1280)


def test_a_portrait_picture_is_fitted_by_its_height(insight: Faces) -> None:
    ((face,),) = find(insight, firing((20, 40), (800, 1280)))
    assert face.landmarks[4:6] == pytest.approx((20 * 16 / 800, (40 * 16 + 0.25 * 16) / 1280), abs=1e-5)


def test_arcface_vectors_are_normalised_and_see_the_face_aligned(insight: Faces) -> None:
    ((face,),) = find(insight, firing((30, 20)))
    assert face.vector is not None
    assert (face.vector.dtype, face.vector.shape) == (np.float32, (512,))
    assert np.linalg.norm(face.vector) == pytest.approx(1.0, abs=1e-6)
    red_alone = (face.vector[:256] - face.vector[256:]).reshape(16, 16)
    for x, y in CANONICAL:
        around = red_alone[int(y / 7) - 1 : int(y / 7) + 2, int(x / 7) - 1 : int(x / 7) + 2]
        assert around.max() > 0.02, f"no red dot near {x}, {y} of the aligned crop"
    assert abs(red_alone[:4]).max() < 1e-3, "the forehead is empty"


def test_the_same_face_elsewhere_gives_the_same_vector(insight: Faces) -> None:
    (first,), (second,) = find(insight, firing((30, 20)), firing((51, 37)))
    assert first.vector is not None
    assert second.vector is not None
    assert float(first.vector @ second.vector) > 0.999
    assert first.box != second.box


def test_two_faces_are_two_and_a_picture_of_none_has_none(insight: Faces) -> None:
    both = firing((20, 20))
    both.paste(firing((60, 20)).crop((800, 0, 1280, 960)), (800, 0))
    two, none = find(insight, both, Image.new("RGB", (640, 480), "gray"))
    assert sorted(round(face.box[0] * 1280) for face in two) == [20 * 16 - 64, 60 * 16 - 64]
    assert none == ()


def test_faces_smaller_than_min_pixels_are_left_out(folder: Path) -> None:
    strict = open_faces(folder, thresholds={"min_pixels": 161.0})  # the box is 160 pixels wide
    assert find(strict, firing((30, 20))) == [()]


def test_a_detector_alone_gives_faces_without_vectors(folder: Path) -> None:
    ((face,),) = find(open_faces(folder, options={"det": "det.onnx"}), firing((30, 20)))
    assert face.vector is None


def test_a_face_model_without_a_named_file_is_broken(folder: Path) -> None:
    with pytest.raises(ModelBroken, match=r"gone\.onnx is missing"):
        open_faces(folder, options={"det": "det.onnx", "rec": "gone.onnx"})
    with pytest.raises(ModelBroken, match="names no file for its option 'det'"):
        open_faces(folder, options={})


def test_a_file_that_is_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"rec\.onnx is no SCRFD model"):
        open_faces(folder, options={"det": "rec.onnx"})
    (tmp_path / "det.onnx").write_bytes(b"<html>not found</html>")
    for architecture in ("scrfd+arcface", "yunet+sface"):
        with pytest.raises(ModelBroken, match=r"det\.onnx"):
            open_faces(tmp_path, architecture, options={"det": "det.onnx"})
    with pytest.raises(ModelBroken, match="'haar' finds no faces"):
        open_faces(folder, "haar")


def yunet(folder: Path, **values: Any) -> Faces:
    (folder / "det.onnx").symlink_to(YUNET)
    return open_faces(folder, "yunet+sface", **values)


def sample() -> Image.Image:
    import insightface

    with Image.open(Path(insightface.__file__).parent / "data" / "images" / "t1.jpg") as image:
        return image.convert("RGB")


@needs_yunet
def test_yunet_finds_six_people_with_their_eyes_above_their_mouths(tmp_path: Path) -> None:
    (faces,) = find(yunet(tmp_path, options={"det": "det.onnx"}), sample())
    assert len(faces) == 6
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    for face in faces:
        points = np.array(face.landmarks).reshape(5, 2)
        left, top, right, bottom = face.box
        assert ((points > (left, top)) & (points < (right, bottom))).all()
        assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()
        assert points[0, 0] < points[1, 0]
        assert points[3, 0] < points[4, 0]
        assert face.vector is None


@needs_yunet
def test_sface_describes_each_face_by_128_normalised_numbers(tmp_path: Path) -> None:
    arcface(tmp_path / "rec.onnx", width=128)
    (faces,) = find(yunet(tmp_path), sample())
    vectors = np.stack([face.vector for face in faces if face.vector is not None])
    assert vectors.shape == (6, 128)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-6)
    assert len({vector.tobytes() for vector in vectors}) == 6


@needs_yunet
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the shared photos are not beside this checkout")
def test_yunet_finds_nine_of_ten_faces_on_portraits_of_one_and_two(tmp_path: Path) -> None:
    faces = yunet(tmp_path, options={"det": "det.onnx"})
    with (PHOTOS / "manifest.csv").open(encoding="utf-8", newline="") as rows:
        portraits = [row for row in csv.DictReader(rows) if row["category"] == "faces" and row["n_faces"] in ("1", "2")]
    found = wanted = 0
    for row in portraits:
        with Image.open(PHOTOS / row["path"]) as image:
            image.draft("RGB", (1280, 1280))
            (seen,) = find(faces, ImageOps.exif_transpose(image).convert("RGB"))
        wanted += int(row["n_faces"])
        found += min(len(seen), int(row["n_faces"]))
    assert wanted > 60
    assert found / wanted >= 0.9
