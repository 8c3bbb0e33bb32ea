"""`--runtime`: what the user asks for is done or refused with what there is instead, and the ledger says what ran."""

import dataclasses
import subprocess
from pathlib import Path

import pytest

from photoindex.errors import RuntimeRefused, UsageError
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.records import RuntimeOptions
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.selection import check_runtime, honour, runtime_for, select
from photoindex.steps.embedding import Embedding
from photoindex.steps.faces import Faces
from photoindex.steps.text_encoder import TextEncoder
from photoindex.steps.ways import check_override

pytest_plugins = ("small_clip",)

HERE = [
    Candidate("torch-cuda-f16", lambda: None, "the driver reports no NVIDIA GPU"),
    Candidate("openvino-cpu-bf16", lambda: None),
    Candidate("openvino-cpu-f32", lambda: None),
    Candidate("onnxruntime-cpu-f32", lambda: None),
]


@pytest.mark.parametrize(
    ("asked", "step", "found"),
    [
        (None, "embedding", None),
        ("", "embedding", None),
        ("openvino", "ocr", "openvino"),
        ("embedding=torch", "embedding", "torch"),
        ("embedding=torch", "ocr", None),
        ("openvino, ocr=onnxruntime-cpu-f32", "ocr", "onnxruntime-cpu-f32"),
        ("ocr=onnxruntime-cpu-f32,openvino", "ocr", "onnxruntime-cpu-f32"),
        ("openvino,ocr=onnxruntime", "embedding", "openvino"),
    ],
)
def test_a_name_is_for_all_steps_or_for_one(asked, step, found):
    assert runtime_for(asked, step) == found


def test_a_family_or_a_device_or_an_exact_name_selects():
    assert [each.name for each in select(HERE, None, "m")] == [each.name for each in HERE[1:]]
    assert [each.name for each in select(HERE, "openvino", "m")] == ["openvino-cpu-bf16", "openvino-cpu-f32"]
    assert [each.name for each in select(HERE, "openvino-cpu", "m")] == ["openvino-cpu-bf16", "openvino-cpu-f32"]
    assert [each.name for each in select(HERE, "openvino-cpu-f32", "m")] == ["openvino-cpu-f32"]


@pytest.mark.parametrize("asked", ["torch-cuda-f16", "torch", "openvino-cpu-f3", "tensorflow"])
def test_what_cannot_be_had_is_refused_with_the_alternatives(asked):
    with pytest.raises(RuntimeRefused) as refusal:
        select(HERE, asked, "visual.onnx")
    assert "openvino-cpu-bf16, openvino-cpu-f32, onnxruntime-cpu-f32" in str(refusal.value)
    assert ("no NVIDIA GPU" in str(refusal.value)) == asked.startswith("torch")


@pytest.mark.parametrize("asked", ["tensorflow", "embedding=tensorflow", "colour=openvino", "embedding=", "=openvino"])
def test_nonsense_is_wrong_usage_before_anything_is_done(asked):
    with pytest.raises(UsageError, match="--runtime"):
        check_runtime(asked, ["embedding", "ocr"])


def test_a_model_that_its_library_runs_in_one_way_refuses_any_other():
    honour(None, "opencv-cpu-f32", "m")
    honour("opencv", "opencv-cpu-f32", "m")
    with pytest.raises(RuntimeRefused, match="opencv-cpu-f32"):
        honour("openvino", "opencv-cpu-f32", "m")


def test_face_models_refuse_what_they_cannot_run_on(tmp_path):
    for architecture, refusal in (("yunet+sface", "opencv-cpu-f32"), ("scrfd+arcface", "onnxruntime-cpu-f32")):
        model = InstalledModel(ModelSpec("some-faces", "faces", architecture, "none", True), tmp_path)
        with pytest.raises(RuntimeRefused, match=refusal):
            Faces(model, RuntimeOptions(runtime="openvino"))


def test_what_a_model_cannot_run_on_shows_without_loading_it(clip, tmp_path):
    def faces(architecture):
        return InstalledModel(ModelSpec("some", "faces", architecture, "none", True), tmp_path)

    captions = InstalledModel(ModelSpec("some", "captions", "blip", "none", True), tmp_path)
    for model, fine, wrong in (
        (clip, "onnxruntime-cpu-int8", "torch-mps-f16"),
        (clip, "torch-cpu-f32-channelslast", "opencv"),
        (faces("yunet+sface"), "opencv", "openvino"),
        (faces("scrfd+arcface"), "onnxruntime-cpu", "torch"),
        (captions, "torch", "onnxruntime-cpu-int8"),
    ):
        check_override(model, None)
        check_override(model, fine)
        with pytest.raises(RuntimeRefused, match=wrong):
            check_override(model, wrong)


@pytest.mark.parametrize("asked", ["openvino-cpu-f32", "onnxruntime", "torch-cpu-f32"])
def test_the_embedding_runs_on_what_is_asked_for(clip, asked):
    step = Embedding(clip, RuntimeOptions(runtime=asked))
    assert step.runtime.startswith(asked)
    step.close()


def test_an_override_reaches_no_further_than_the_models_own_list(clip):
    limited = dataclasses.replace(clip, spec=dataclasses.replace(clip.spec, runtimes=("onnxruntime",)))
    with pytest.raises(RuntimeRefused, match=r"models\.toml does not list it.*onnxruntime-cpu-f32"):
        Embedding(limited, RuntimeOptions(runtime="openvino"))


def test_the_text_model_of_a_search_has_alternatives_too(clip):
    for asked in ("onnxruntime", "openvino"):
        encoder = TextEncoder(clip, RuntimeOptions(runtime=asked))
        assert encoder.runtime == f"{asked}-cpu-f32"
    with pytest.raises(RuntimeRefused, match="onnxruntime-cpu-f32, openvino-cpu-f32"):
        TextEncoder(clip, RuntimeOptions(runtime="torch"))


def test_a_scan_runs_on_what_is_asked_for_and_show_says_so(tiny_clip, photos):
    run = tiny_clip
    (photos / "broken.jpg").unlink()
    asked = ("--profile", "tiny", "--steps", "embedding", "--workers", "1", "--include", "beach.webp")
    run("scan", photos, *asked, "--runtime", "embedding=onnxruntime-cpu-f32")
    assert run.rows("SELECT DISTINCT runtime FROM ledger WHERE step = 'embedding'") == [("onnxruntime-cpu-f32",)]
    assert "onnxruntime-cpu-f32" in run("show", photos / "beach.webp").text
    refused = run("scan", photos, *asked[:-1], "plain.bmp", "--runtime", "torch-mps-f16", code=22)
    assert "openvino-cpu-f32" in refused.err
    assert "Traceback" not in refused.err
    again = ("--rescan", "embedding", "--runtime", "embedding=torch-mps-f16")
    assert "torch-mps-f16" in run("scan", photos, *asked, *again, code=22).err
    assert run.rows("SELECT status FROM ledger WHERE step = 'embedding'") == [("done",)]  # nothing was forgotten for it
    nonsense = run("scan", photos, *asked, "--runtime", "abacus", "--library", "never", code=2)
    assert "openvino, onnxruntime, torch" in nonsense.err
    assert not (run.home / "never").exists()


def test_a_form_that_fails_its_check_is_refused_before_a_rescan_forgets_anything(tiny_clip, photos, monkeypatch):
    from photoindex.steps import forms_int8

    def made_here(_, arguments, **__):
        folder, family, within = arguments
        forms_int8.main(Path(folder), family, Path(within))
        made.append(Path(folder) / "int8.json")
        return subprocess.CompletedProcess([], 0, "", "")

    def broken(*_):
        raise ValueError("no opset for that")

    run, made = tiny_clip, []
    monkeypatch.setattr(forms_int8, "run_module", made_here)
    monkeypatch.setattr(forms_int8, "_write", broken)
    asked = ("--profile", "tiny", "--steps", "embedding", "--workers", "1", "--include", "plain.bmp")
    run("scan", photos, *asked)
    again = ("--rescan", "embedding", "--runtime", "embedding=onnxruntime-cpu-int8")
    run("scan", photos, *asked, *again, "--dry-run")
    assert made == []
    try:
        assert "no opset for that" in run("scan", photos, *asked, *again, code=22).err
        assert run.rows("SELECT status FROM ledger WHERE step = 'embedding'") == [("done",)]
    finally:
        for file in made:
            file.unlink()


@pytest.mark.slow
def test_a_search_runs_on_what_is_asked_for(tiny_clip, photos):
    run = tiny_clip
    (photos / "broken.jpg").unlink()
    run("scan", photos, "--profile", "tiny", "--steps", "embedding", "--workers", "1")
    assert run("search", "a red circle", "--mode", "semantic", "--runtime", "openvino", code=None).code in (0, 1)
    refused = run("search", "a red circle", "--mode", "semantic", "--runtime", "torch", code=22)
    assert "onnxruntime-cpu-f32, openvino-cpu-f32" in refused.err


@pytest.mark.slow
def test_the_ledger_tells_which_runtime_made_each_result_after_one_failed(tiny_clip, photos, monkeypatch):
    from photoindex.runtimes.openvino_session import OpenVinoSession

    run, whole, left = tiny_clip, OpenVinoSession.run, [12]
    (photos / "broken.jpg").unlink()

    def fails_later(self, inputs):
        if len(inputs["pixels"]) == 1:  # only the scan's own batches, which are of one picture here
            left[0] -= 1
            if left[0] < 8:
                raise RuntimeError("the device was lost")
        return whole(self, inputs)

    monkeypatch.setattr(OpenVinoSession, "run", fails_later)
    asked = ("--profile", "tiny", "--steps", "embedding", "--workers", "1", "--batch-size", "1")
    report = run("scan", photos, *asked, "--format", "json").json
    rows = run.rows("SELECT runtime, count(*) FROM ledger WHERE step = 'embedding' GROUP BY runtime ORDER BY runtime")
    assert [runtime for runtime, _ in rows] == ["onnxruntime-cpu-f32", rows[1][0]]
    assert rows[1][0].startswith("openvino-")
    assert sum(count for _, count in rows) == 10
    assert any("onnxruntime-cpu-f32 takes over" in line and "the device was lost" in line for line in report["notes"])
