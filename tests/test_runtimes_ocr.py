"""Which engine reads text: measured as a whole, only if it reads the same words, kept, overridden, shown."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photoindex.doctor.models import read_models
from photoindex.errors import RuntimeRefused, RuntimeUnavailable
from photoindex.models.registry import load_registry
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.records import AUTOMATIC, RuntimeOptions, TextLine
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.measure import Measurement
from photoindex.scan.steps import Steps
from photoindex.steps import ocr_choice, ocr_paddle
from photoindex.steps.ocr import engines_of
from photoindex.steps.ocr_choice import Engines, measure_engines, measured_of, open_reader, text_agreement
from photoindex.steps.ocr_measure import model_in, time_reader
from photoindex.steps.ocr_pages import sample_pages
from test_ocr import bundled

WORDS = ["", "HARBOUR", "Settings and privacy", "Total 32.67 EUR"]
BOX = (0.0,) * 8
MANY = RuntimeOptions(photos=100_000)


class Fake:
    """A reader whose pages take `each_s`."""

    def __init__(self, runtime: str, each_s: float = 0.0, fails: Exception | None = None) -> None:
        self.runtime, self.each_s, self.fails, self.closed = runtime, each_s, fails, False
        self.stop: Callable[[], bool] = lambda: False

    def read(self, pictures: Sequence[Any]) -> list[tuple[TextLine, ...]]:
        if self.fails:
            raise self.fails
        time.sleep(self.each_s * len(pictures))
        return [(TextLine(f"page {at}", 1.0, BOX),) for at, _ in enumerate(pictures)]

    def close(self) -> None:
        self.closed = True


class Bench:
    """Engines over fakes; `said` is what the measuring process says of each, `loaded` what was opened with what."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **said: Any) -> None:
        (folder / "det.onnx").write_bytes(b"a detector")
        spec = ModelSpec("drawn", "ocr", "ppocr", "Apache-2.0", True)
        self.installed = InstalledModel(spec, folder, folder / "derived")
        self.names = [name.replace("_", "-") for name in said]
        self.said = {name.replace("_", "-"): answer for name, answer in said.items()}
        self.measured: list[str] = []
        self.loaded: list[tuple[RuntimeOptions, tuple[Measurement, ...]]] = []
        rungs = tuple(Candidate(name, lambda: pytest.fail("opened")) for name in self.names)
        self.engines = Engines(folder / "det.onnx", rungs, self._load)
        monkeypatch.setattr(ocr_choice, "run_apart", self._answer)

    def _load(self, options: RuntimeOptions, measured: Sequence[Measurement]) -> Fake:
        self.loaded.append((options, tuple(measured)))
        return Fake(self.names[0], each_s=0.02)

    def _answer(self, _: str, __: Any, rung: Candidate, *___: Any) -> dict[str, Any]:
        self.measured.append(rung.name)
        return dict(self.said[rung.name])

    def measure(self, options: RuntimeOptions = AUTOMATIC) -> dict[str, Measurement]:
        found = measure_engines(self.engines, self.engines.rungs, self.installed, options, 60.0)
        return {each.runtime: each for each in found}

    def kept(self) -> list[Measurement] | None:
        return measured_of(self.names, self.engines, self.installed, AUTOMATIC)[0] or None


def said(name: str, seconds: float, words: Sequence[str] = WORDS) -> dict[str, Any]:
    return {**Measurement(name, 0.1, 0.1, {1: seconds}, {1: 10}).as_json(), "texts": list(words)}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(
        tmp_path,
        monkeypatch,
        wild_cpu_i8=said("wild-cpu-i8", 0.01, ["", "HARB0UR", "5ettin9s amd prvaci", "T0tal 32.G7 EOR"]),
        openvino_cpu_bf16=said("openvino-cpu-bf16", 0.05, [*WORDS[:3], "Total 32.67 EUR"]),
        onnxruntime_cpu_f32=said("onnxruntime-cpu-f32", 0.1),
    )


def test_the_least_alike_page_decides() -> None:
    assert text_agreement(WORDS, WORDS) == 1.0
    assert text_agreement([], []) == 1.0
    assert text_agreement(["", "a"], ["", "b"]) == 0.0
    assert text_agreement(["same", "Total 32.67"], ["same", "Total 32.61"]) == pytest.approx(20 / 22)
    assert text_agreement(["one"], ["one", "two"]) == 0.0


def test_an_engine_that_reads_other_words_is_refused_with_the_reason_however_fast(bench: Bench) -> None:
    found = bench.measure()
    assert bench.measured[0] == "onnxruntime-cpu-f32"  # the plainest is what the others are compared with
    assert "other words than onnxruntime-cpu-f32 (agreement 0." in str(found["wild-cpu-i8"].refused)
    assert found["openvino-cpu-bf16"].refused is None
    assert {each.runtime for each in bench.kept() or ()} == set(bench.names)


def test_one_that_crashes_is_refused_and_the_next_plainest_is_the_reference(bench: Bench) -> None:
    bench.said["onnxruntime-cpu-f32"] = Measurement("onnxruntime-cpu-f32", refused="its process ended").as_json()
    bench.said["openvino-cpu-bf16"] = said("openvino-cpu-bf16", 0.05, ["other"] * 4)
    bench.said["wild-cpu-i8"] = said("wild-cpu-i8", 0.01, ["other"] * 4)
    found = bench.measure()
    assert found["onnxruntime-cpu-f32"].refused == "its process ended"
    assert found["openvino-cpu-bf16"].refused is found["wild-cpu-i8"].refused is None


def test_a_scan_of_many_photos_measures_once_and_reads_with_what_it_found(bench: Bench) -> None:
    open_reader(bench.engines, bench.installed, MANY)
    assert [len(measured) for _, measured in bench.loaded] == [0, 3]
    bench.measured.clear()
    open_reader(bench.engines, bench.installed, MANY)
    assert bench.measured == []
    assert len(bench.loaded[-1][1]) == 3


@pytest.mark.parametrize("photos", [None, 20, 1000])
def test_a_scan_too_short_for_it_does_not_measure(bench: Bench, photos: int | None) -> None:
    open_reader(bench.engines, bench.installed, RuntimeOptions(photos=photos))
    assert (bench.measured, bench.loaded[0][1]) == ([], ())


def test_an_override_is_passed_on_and_leaves_nothing_to_measure(bench: Bench) -> None:
    asked = dataclasses.replace(MANY, runtime="onnxruntime")
    open_reader(bench.engines, bench.installed, asked)
    assert (bench.measured, bench.loaded[0][0].runtime) == ([], "onnxruntime")
    with pytest.raises(RuntimeRefused, match="openvino-cpu-bf16, onnxruntime-cpu-f32"):
        open_reader(bench.engines, bench.installed, dataclasses.replace(MANY, runtime="torch"))


def test_what_was_measured_of_one_family_alone_decides_nothing_for_a_scan_that_may_use_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["openvino-cpu-bf16", "openvino-cpu-f32", "onnxruntime-cpu-f32"]
    bench = Bench(tmp_path, monkeypatch, **{name.replace("-", "_"): said(name, 0.1) for name in names})
    bench.said["openvino-cpu-bf16"] = said("openvino-cpu-bf16", 0.01, ["other words"] * 4)
    family = dataclasses.replace(MANY, runtime="openvino")
    open_reader(bench.engines, bench.installed, family)
    assert set(bench.measured) == set(names[:2])
    open_reader(bench.engines, bench.installed, AUTOMATIC)  # too short to measure: no engine is preferred, one refused
    assert [each.runtime for each in bench.loaded[-1][1]] == ["openvino-cpu-bf16"]
    bench.measured.clear()
    open_reader(bench.engines, bench.installed, MANY)
    assert set(bench.measured) == set(names)
    bench.measured.clear()
    open_reader(bench.engines, bench.installed, family)
    assert bench.measured == []  # all were measured, and so were these


def test_another_recogniser_or_setting_beside_the_same_detector_is_not_taken_for_the_measured_one(
    bench: Bench, tmp_path: Path
) -> None:
    model = real(tmp_path, thresholds={"box": 0.5})
    weights = tmp_path / "weights"
    weights.mkdir()
    for file in bundled().glob("*.onnx"):
        (weights / file.name).symlink_to(file)
    model = dataclasses.replace(model, path=weights)
    names = [each.name for each in engines_of(model).rungs if each.absent is None]
    bench.said |= {name: said(name, 0.1) for name in names}

    def decided(of: InstalledModel) -> bool:
        return measured_of(names, engines_of(of), of, AUTOMATIC)[1]

    measure_engines(
        engines_of(model), [each for each in engines_of(model).rungs if not each.absent], model, AUTOMATIC, 60.0
    )
    assert decided(model)
    assert not decided(dataclasses.replace(model, spec=dataclasses.replace(model.spec, thresholds={"box": 0.4})))
    (weights / "PP-OCRv6_rec_small.onnx").unlink()
    (weights / "PP-OCRv6_rec_small.onnx").write_bytes(b"another recogniser")
    assert not decided(model)


def test_without_any_engine_every_reason_is_told(bench: Bench) -> None:
    none = tuple(dataclasses.replace(each, absent=f"no {each.name}") for each in bench.engines.rungs)
    with pytest.raises(RuntimeUnavailable, match=r"no openvino-cpu-bf16.*no onnxruntime-cpu-f32"):
        open_reader(dataclasses.replace(bench.engines, rungs=none), bench.installed, AUTOMATIC)


# --- the process that measures --------------------------------------------------------------------------------------


def test_a_reader_is_timed_by_the_page_and_its_words_are_told() -> None:
    found, texts = time_reader("a-cpu-f32", lambda: Fake("a-cpu-f32", 0.002), sample_pages(), 0.1, time.time())
    assert texts == ["page 0", "page 1", "page 2", "page 3"]
    assert set(found.seconds) == set(found.memory) == {1}
    assert found.seconds[1] >= 0.002
    assert found.refused is None


@pytest.mark.parametrize(
    ("opener", "reason"),
    [
        (lambda: 1 / 0, "division by zero"),
        (lambda: Fake("a-cpu-f32", fails=MemoryError("no room")), "no room"),
        (lambda: Fake("b-cpu-f32"), "b-cpu-f32 ran in its place"),
    ],
)
def test_a_reader_that_does_not_work_is_refused(opener: Any, reason: str) -> None:
    assert reason in str(time_reader("a-cpu-f32", opener, sample_pages(), 0.0, time.time())[0].refused)


def test_the_order_carries_the_model_whole(tmp_path: Path) -> None:
    spec = ModelSpec("m", "ocr", "ppocr", "", False, runtimes=("openvino",), thresholds={"box": 0.4})
    model = InstalledModel(dataclasses.replace(spec, options={"det": "d.onnx"}), tmp_path, tmp_path / "derived")
    assert model_in(ocr_choice.order_for(model, AUTOMATIC)) == model


def test_the_pages_are_as_the_work_view_gives_them_and_of_several_shapes() -> None:
    pages = sample_pages()
    assert all(page.dtype == np.uint8 and page.ndim == 3 and max(page.shape) <= 1280 for page in pages)
    assert len({page.shape for page in pages}) == len(pages)


# --- the real engines -----------------------------------------------------------------------------------------------


def real(folder: Path, **values: Any) -> InstalledModel:
    spec = ModelSpec("bundled", "ocr", "ppocr", "Apache-2.0", True, **values)
    return InstalledModel(spec, bundled(), folder)


def test_the_measured_order_is_followed_by_both_networks(tmp_path: Path) -> None:
    model = real(tmp_path, runtimes=("openvino", "onnxruntime"))
    best = Measurement("onnxruntime-cpu-f32", 0.1, 0.1, {1: 0.01}, {1: 1})
    other = Measurement("openvino-cpu-f32", 0.1, 0.1, {1: 0.02}, {1: 1})
    reader = engines_of(model).load(AUTOMATIC, [other, best])
    assert reader.runtime == "onnxruntime-cpu-f32"
    reader.close()


def test_what_was_refused_is_not_used_even_if_asked_for(tmp_path: Path) -> None:
    refused = [Measurement("onnxruntime-cpu-f32", refused="it reads other words")]
    with pytest.raises(RuntimeUnavailable, match="it reads other words"):
        engines_of(real(tmp_path)).load(RuntimeOptions(runtime="onnxruntime-cpu-f32"), refused)


@pytest.mark.slow
def test_the_bundled_engines_are_measured_and_read_the_same_words(tmp_path: Path) -> None:
    model = real(tmp_path, runtimes=("openvino", "onnxruntime"))
    engines = engines_of(model)
    rungs = [each for each in engines.rungs if each.absent is None]
    found = measure_engines(engines, rungs, model, AUTOMATIC, 60.0)
    assert {each.runtime for each in found} == {each.name for each in rungs}
    assert all(each.refused is None and each.seconds[1] > 0 and each.memory[1] > 0 for each in found)
    best = min(found, key=lambda each: each.seconds[1]).runtime
    reader = open_reader(engines, model, AUTOMATIC)
    assert reader.runtime == best
    assert "HARBOUR" in reader.read(sample_pages())[1][0].text
    reader.close()


def test_doctor_shows_what_was_measured_and_why_it_is_chosen(bench: Bench, tmp_path: Path) -> None:
    registry = load_registry(None)
    spec = registry.model("rapidocr-ppocr-v6-small")
    model = real(tmp_path / spec.name, runtimes=spec.runtimes, options=spec.options, thresholds=spec.thresholds)
    engines = engines_of(model)
    bench.said |= {each.name: said(each.name, 0.2) for each in engines.rungs}
    bench.said["onnxruntime-cpu-f32"] = said("onnxruntime-cpu-f32", 0.1)
    measure_engines(engines, [e for e in engines.rungs if not e.absent], model, AUTOMATIC, 60.0)
    [facts] = read_models(registry, {"ocr": spec}, Steps([]), tmp_path)
    assert (facts.runtime, facts.measured) == ("onnxruntime-cpu-f32", True)
    assert {way.runtime: way.rate for way in facts.ways}["onnxruntime-cpu-f32"] == pytest.approx(10)


# --- PaddleOCR's own folders ----------------------------------------------------------------------------------------


def folders(target: Path, *weights: str, **options: Any) -> InstalledModel:
    for name in ("det", "rec"):
        (target / name).mkdir(parents=True)
        (target / name / "inference.yml").write_text("Global: {model_name: some}")
        for file in weights:
            (target / name / file).write_bytes(b"weights")
    spec = ModelSpec("paddled", "ocr", "paddleocr", "Apache-2.0", True, options=options)
    return InstalledModel(spec, target, target / "derived")


def reasons(model: InstalledModel) -> dict[str, str | None]:
    return {each.name: each.absent for each in engines_of(model).rungs}


def test_the_weights_in_the_folders_say_which_engines_there_are(tmp_path: Path) -> None:
    both = folders(tmp_path / "both", "inference.onnx", "inference.pdiparams")
    assert list(reasons(both)) == ["paddleocr-onnxruntime", "paddleocr-paddle"]
    only = reasons(folders(tmp_path / "one", "inference.onnx"))
    assert (only["paddleocr-onnxruntime"], only["paddleocr-paddle"]) == (
        None,
        "the folders hold no inference.pdiparams",
    )
    chosen = reasons(folders(tmp_path / "told", "inference.onnx", "inference.pdiparams", engine="paddle"))
    assert chosen["paddleocr-onnxruntime"] == "the model's block asks for paddle"


def test_all_files_of_the_folders_tell_measurements_apart(tmp_path: Path) -> None:
    model = folders(tmp_path, "inference.onnx")
    (tmp_path / "cls").mkdir()
    (tmp_path / "cls" / "inference.yml").write_text("Global: {model_name: turn}")
    found = {str(file.relative_to(tmp_path)) for file in engines_of(model).files}
    weights = {f"{name}/{file}" for name in ("det", "rec") for file in ("inference.yml", "inference.onnx")}
    assert found == {*weights, "cls/inference.yml"}


def test_an_engine_whose_package_is_not_installed_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr_paddle.importlib.util, "find_spec", lambda _: None)
    found = reasons(folders(tmp_path, "inference.pdiparams"))
    assert found["paddleocr-paddle"] == "the package paddlepaddle is not installed"


def test_where_paddle_does_not_load_the_other_engine_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(_: InstalledModel, engine: str) -> Fake:
        if engine == "paddle":
            raise RuntimeUnavailable("paddled", "libpaddle.so cannot be loaded")
        return Fake(f"paddleocr-{engine}")

    monkeypatch.setattr(ocr_paddle, "PaddleReader", opened)
    monkeypatch.setattr(ocr_paddle.importlib.util, "find_spec", lambda name: name)
    engines = engines_of(folders(tmp_path, "inference.onnx", "inference.pdiparams"))
    paddle_first = [
        Measurement("paddleocr-paddle", 1, 1, {1: 0.1}, {}),
        Measurement("paddleocr-onnxruntime", 1, 1, {1: 0.2}, {}),
    ]
    assert engines.load(AUTOMATIC, paddle_first).runtime == "paddleocr-onnxruntime"
    assert engines.load(RuntimeOptions(runtime="paddleocr-onnxruntime"), ()).runtime == "paddleocr-onnxruntime"
    with pytest.raises(RuntimeUnavailable, match=r"libpaddle\.so"):
        engines.load(RuntimeOptions(runtime="paddleocr-paddle"), paddle_first)
