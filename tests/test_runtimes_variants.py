"""Torch with another layout or compiled, and forms in 8 bits: named, made, checked, and used as far as they may be."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photoindex.doctor.models import read_models
from photoindex.errors import RuntimeRefused, RuntimeUnavailable
from photoindex.models.registry import load_registry
from photoindex.models.spec import InstalledModel
from photoindex.records import RuntimeOptions
from photoindex.runtimes import apart
from photoindex.runtimes import candidates as known
from photoindex.runtimes.calibration import calibrate
from photoindex.runtimes.candidates import (
    INT8_KEPT,
    ONLY_ASKED,
    Candidate,
    candidate_named,
    candidates,
    int8_form,
    machine_backends,
    read_int8,
)
from photoindex.runtimes.faults import agreement, disagreement
from photoindex.runtimes.measure import Measurement
from photoindex.runtimes.selection import select
from photoindex.scan.steps import Steps
from photoindex.steps import forms_int8
from photoindex.steps.embedding import Embedding
from photoindex.steps.forms import Forms, read_forms
from photoindex.steps.forms_int8 import int8_asked, make_int8, quantise

pytest_plugins = ("small_clip",)

FAMILIES = ("onnxruntime", "openvino")
HERE = [
    Candidate("torch-cpu-f32", lambda: pytest.fail("opened")),
    Candidate("torch-cpu-f32-compiled", lambda: pytest.fail("opened"), only_asked=True),
    Candidate("openvino-cpu-f32", lambda: pytest.fail("opened")),
]


@pytest.fixture
def model(clip: InstalledModel, tmp_path: Path) -> InstalledModel:
    """The small model with forms of this test alone."""
    shutil.copytree(clip.derived, tmp_path / clip.spec.name)
    return replace(clip, derived_dir=tmp_path / clip.spec.name)


def agrees(forms: Forms, runtime: str) -> tuple[float, float]:
    pixels, expected = forms.check("visual")
    session = candidate_named(forms.visual, runtime).open()
    assert session.runtime == runtime
    raw, centred = agreement(session.run(pixels), expected)
    session.close()
    return raw, centred or 0.0


# --- torch ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, "torch", "torch-cpu", "torch-cpu-f32", "openvino"])
def test_what_is_only_for_asking_is_never_chosen_otherwise(asked: str | None) -> None:
    assert "torch-cpu-f32-compiled" not in [each.name for each in select(HERE, asked, "m")]


def test_a_whole_name_is_that_one_alone() -> None:
    assert [each.name for each in select(HERE, "torch-cpu-f32-compiled", "m")] == ["torch-cpu-f32-compiled"]
    assert [each.name for each in select(HERE, "torch-cpu-f32", "m")] == ["torch-cpu-f32"]


def test_variants_are_for_asking_on_a_processor_and_measured_on_a_gpu() -> None:
    backends = {each.name: each for each in machine_backends()}
    assert {name for name, each in backends.items() if each.only_asked} == {
        *(f"torch-cpu-{bits}-{variant}" for bits in ("bf16", "f32") for variant in ("channelslast", "compiled")),
        *(f"{family}-cpu-int8" for family in FAMILIES),
    }
    assert {"torch-cuda-f16-channelslast", "torch-cuda-bf16-compiled"} <= set(backends)
    order = list(backends)
    plain = {at for at, each in enumerate(order) if each.startswith("onnxruntime-") and "-cpu-" not in each}
    variants = {at for at, each in enumerate(order) if each.startswith("torch-cuda-") and each.count("-") == 3}
    assert order.index("torch-cuda-f32") < max(plain) < min(variants)
    assert max(variants) == order.index("torch-cuda-bf16-compiled") < order.index("openvino-cpu-f32")


def test_the_name_of_a_variant_says_family_device_and_precision() -> None:
    found = candidate_named(Path("visual.onnx"), "torch-cuda-f16-compiled")
    assert (found.family, found.device, found.precision) == ("torch", "cuda", "f16")


def test_the_layout_of_pixels_changes_no_vector(clip: InstalledModel) -> None:
    assert min(agrees(read_forms(clip), "torch-cpu-f32-channelslast")) > 0.9999


def test_without_a_compiler_nothing_is_compiled_and_the_reason_is_told(
    clip: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known.shutil, "which", lambda _: None)
    known._no_compiler.cache_clear()
    try:
        with pytest.raises(RuntimeRefused, match="needs a compiler, and none is found"):
            Embedding(clip, RuntimeOptions(runtime="torch-cpu-f32-compiled"))
    finally:
        monkeypatch.undo()
        known._no_compiler.cache_clear()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
def test_compiled_torch_gives_the_same_vectors_for_batches_of_any_size(clip: InstalledModel) -> None:
    forms = read_forms(clip)
    assert min(agrees(forms, "torch-cpu-f32-compiled")) > 0.9999
    step = Embedding(clip, RuntimeOptions(runtime="torch-cpu-f32-compiled"))
    assert step.runtime == "torch-cpu-f32-compiled"
    pixels, expected = forms.check("visual")
    for count in (1, 3):
        found = step._session.run({"pixels": pixels["pixels"][:count]})
        assert disagreement(found, {"vectors": expected["vectors"][:count]}) is None
    step.close()


def test_doctor_names_every_variant_with_what_keeps_it_from_being_chosen(model: InstalledModel) -> None:
    [facts] = read_models(load_registry(None), {"embedding": model.spec}, Steps([]), model.derived.parent)
    ways = {way.runtime: way for way in facts.ways}
    assert ways["torch-cpu-f32-channelslast"].absent == ONLY_ASKED
    assert "--runtime embedding=onnxruntime-cpu-int8" in str(ways["onnxruntime-cpu-int8"].absent)
    assert not ways["torch-cpu-f32-channelslast"].usable


# --- 8 bits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_form_in_8_bits_is_made_when_asked_for_checked_and_kept(model: InstalledModel, family: str) -> None:
    name = f"{family}-cpu-int8"
    step = Embedding(model, RuntimeOptions(runtime=name))
    assert step.runtime == name
    step.close()
    forms = read_forms(model)
    made = int8_form(forms.visual, family)
    assert read_int8(forms.visual)[family]["refused"] is None
    assert min(agrees(forms, name)) >= 0.995
    assert made.stat().st_size < 0.5 * sum(file.stat().st_size for file in forms.folder.glob("visual.onnx*"))
    assert not [*forms.folder.glob(".*")]
    before = made.stat().st_mtime_ns
    make_int8(forms, family)
    assert made.stat().st_mtime_ns == before
    found = {each.name: each.absent for each in candidates(forms.visual)}
    assert found[name] is None


def measured_fastest(forms: Forms, runtime: str) -> None:
    """Keep a measurement beside the forms by which `runtime` is ten times as fast as all others."""

    def measurer(rung: Candidate, _: float) -> Measurement:
        seconds = 0.01 if rung.name == runtime else 0.1
        return Measurement(rung.name, seconds, seconds, {1: seconds}, {1: 1})

    pixels, expected = forms.check("visual")
    calibrate(forms.visual, candidates(forms.visual), pixels, expected, kept_in=forms.folder, measurer=measurer)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_form_in_8_bits_that_is_there_is_chosen_by_nothing_but_its_name(model: InstalledModel, family: str) -> None:
    name, forms = f"{family}-cpu-int8", read_forms(model)
    make_int8(forms, family)
    measured_fastest(forms, name)
    for asked in (None, family, f"{family}-cpu"):
        assert name not in [each.name for each in select(candidates(forms.visual), asked, "m")]
    for asked in (None, family, name):
        step = Embedding(model, RuntimeOptions(runtime=asked))
        assert (step.runtime == name) == (asked == name)
        step.close()


def test_a_form_in_8_bits_holds_bytes_where_the_weights_were(model: InstalledModel) -> None:
    import onnx

    forms = read_forms(model)
    assert quantise(forms, "onnxruntime")["refused"] is None
    graph = onnx.load(int8_form(forms.visual, "onnxruntime")).graph
    kinds = {node.op_type for node in graph.node}
    assert "MatMulInteger" in kinds
    assert sum(each.data_type == onnx.TensorProto.INT8 for each in graph.initializer) > 4


def test_it_is_not_made_unless_it_is_asked_for_by_name(model: InstalledModel) -> None:
    assert [int8_asked(each) for each in (None, "onnxruntime", "onnxruntime-cpu", "torch-cpu-int8")] == [None] * 4
    assert int8_asked("openvino-cpu-int8") == "openvino"
    for asked in (None, "onnxruntime"):
        Embedding(model, RuntimeOptions(runtime=asked)).close()
    assert not (read_forms(model).folder / INT8_KEPT).exists()


def wrong_model(forms: Forms, _: str, target: Path) -> None:
    """Mean colours: of the right shape and nothing like what torch gives."""
    import onnx
    from onnx import TensorProto, helper

    width, size = forms.width, forms.view.size
    nodes = [
        helper.make_node("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["m"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["vectors"]),
    ]
    weights = np.random.default_rng(1).normal(size=(3, width)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "wrong",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", width])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.save_model(made, str(target))


def refuse(*_: Any) -> None:
    raise ValueError("no opset for that")


@pytest.mark.parametrize(
    ("write", "reason"), [(wrong_model, "deviates from torch"), (refuse, r"could not be made \(no opset for that\)")]
)
def test_one_that_fails_its_check_is_not_used_and_the_reason_is_kept(
    model: InstalledModel, monkeypatch: pytest.MonkeyPatch, write: Any, reason: str
) -> None:
    forms = read_forms(model)
    monkeypatch.setattr(forms_int8, "_write", write)
    assert forms_int8.main(forms.folder, "onnxruntime") == 0
    assert not int8_form(forms.visual, "onnxruntime").exists()
    monkeypatch.setattr(forms_int8, "run_module", lambda *_, **__: pytest.fail("made again"))
    with pytest.raises(RuntimeRefused, match=reason):
        Embedding(model, RuntimeOptions(runtime="onnxruntime-cpu-int8"))
    assert json.loads((forms.folder / INT8_KEPT).read_text())["onnxruntime"]["refused"]


def test_one_whose_making_is_broken_off_may_be_made_another_time(
    model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = subprocess.CompletedProcess([], -9, "", "")
    with monkeypatch.context() as patch:
        patch.setattr(forms_int8, "run_module", lambda *_, **__: killed)
        with pytest.raises(RuntimeUnavailable, match="making its form in 8 bits failed"):
            Embedding(model, RuntimeOptions(runtime="onnxruntime-cpu-int8"))
    assert read_int8(read_forms(model).visual) == {}


def test_making_one_ends_when_the_scan_is_to_stop_and_leaves_nothing_half_done(
    model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []

    class Endless(subprocess.Popen[str]):
        def __init__(self, command: list[str], **more: Any) -> None:
            (Path(command[-1]) / "half.onnx").write_bytes(b"half")
            super().__init__([sys.executable, "-c", "import time; time.sleep(600)"], **more)
            started.append(self)

    monkeypatch.setattr(apart.subprocess, "Popen", Endless)  # type: ignore[attr-defined]
    options = RuntimeOptions(runtime="onnxruntime-cpu-int8", stop=lambda: bool(started))
    with pytest.raises(RuntimeUnavailable, match="broken off"):
        Embedding(model, options)
    forms = read_forms(model)
    assert [process.returncode for process in started] == [-signal.SIGKILL]
    assert (read_int8(forms.visual), [*forms.folder.glob(".*")]) == ({}, [])


def test_a_form_that_was_cut_short_gives_way_to_no_other_where_it_was_asked_for(model: InstalledModel) -> None:
    forms = read_forms(model)
    make_int8(forms, "onnxruntime")
    int8_form(forms.visual, "onnxruntime").write_bytes(b"short")
    with pytest.raises(RuntimeUnavailable, match="onnxruntime-cpu-int8"):
        Embedding(model, RuntimeOptions(runtime="onnxruntime-cpu-int8"))
    measured_fastest(forms, "onnxruntime-cpu-int8")
    step = Embedding(model)
    assert "int8" not in step.runtime
    step.close()


def test_broken_notes_of_8_bits_are_as_none(model: InstalledModel) -> None:
    forms = read_forms(model)
    for broken in ("{", "[]", "3", '{"onnxruntime": 5}'):
        (forms.folder / INT8_KEPT).write_text(broken)
        assert read_int8(forms.visual) == {}


def test_8_bits_must_agree_by_both_cosines_and_may_deviate_a_little_more_by_one() -> None:
    rng = np.random.default_rng(3)
    rows = {"y": rng.normal(size=(4, 64)).astype(np.float32)}
    near = {"y": rows["y"] + rng.normal(scale=0.06, size=(4, 64)).astype(np.float32)}
    far = {"y": rows["y"] + rng.normal(scale=0.12, size=(4, 64)).astype(np.float32)}
    assert 0.995 < agreement(near, rows)[0] < 0.999
    assert disagreement(near, rows, "onnxruntime-cpu-int8") is None
    assert disagreement(near, rows, "onnxruntime-cpu-f32") is not None
    assert disagreement(far, rows, "onnxruntime-cpu-int8") is not None
    common = np.full((4, 64), 10.0, np.float32)
    assert "after removing the mean" in str(
        disagreement({"y": common + far["y"]}, {"y": common + rows["y"]}, "openvino-cpu-int8")
    )


@pytest.mark.slow
def test_a_scan_in_8_bits_says_so_in_the_ledger(tiny_clip: Any, photos: Path) -> None:
    run = tiny_clip
    (photos / "broken.jpg").unlink()
    asked = ("--profile", "tiny", "--steps", "embedding", "--workers", "1")
    run("scan", photos, *asked, "--runtime", "embedding=onnxruntime-cpu-int8")
    assert run.rows("SELECT DISTINCT runtime FROM ledger WHERE step = 'embedding'") == [("onnxruntime-cpu-int8",)]
