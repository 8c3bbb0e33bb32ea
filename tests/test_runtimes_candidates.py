"""What this machine could run a model with, and the fingerprint that measurements are kept under."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.candidates import Candidate, candidates, machine_backends, torch_cuda_build
from photoindex.runtimes.fingerprint import fingerprint


def test_every_backend_is_named_once_and_the_absent_say_why() -> None:
    backends = machine_backends()
    assert len({backend.name for backend in backends}) == len(backends)
    assert {"openvino-cpu-f32", "onnxruntime-cpu-f32", "torch-cpu-f32"} <= {b.name for b in backends if not b.absent}
    assert all(backend.absent != "" for backend in backends)


def test_a_candidate_reads_family_device_and_precision_off_its_name() -> None:
    found = Candidate("openvino-cpu-bf16", lambda: pytest.fail("opened"))
    assert (found.family, found.device, found.precision) == ("openvino", "cpu", "bf16")


def test_a_family_that_the_model_does_not_allow_is_absent_with_the_reason(tmp_path: Path) -> None:
    found = {each.name: each for each in candidates(tmp_path / "m.onnx", ["onnxruntime"])}
    assert found["onnxruntime-cpu-f32"].absent is None
    assert "models.toml" in str(found["openvino-cpu-f32"].absent)
    assert found["torch-cpu-f32"].absent is not None


def test_torch_needs_its_recipe_beside_the_form(tmp_path: Path) -> None:
    found = {each.name: each.absent for each in candidates(tmp_path / "visual.onnx")}
    assert found["torch-cpu-f32"] == "no recipe for torch lies beside it"
    (tmp_path / "forms.json").write_text("{}")
    assert {each.name: each.absent for each in candidates(tmp_path / "visual.onnx")}["torch-cpu-f32"] is None


def test_streams_are_for_image_towers_on_more_than_one_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def streams(name: str) -> str | None:
        (found,) = (each.absent for each in candidates(tmp_path / name) if each.name.endswith("-streams"))
        return found

    monkeypatch.setattr("photoindex.runtimes.candidates.usable_cores", lambda: 2)
    assert streams("visual.onnx") is None
    assert "image towers" in str(streams("det.onnx"))
    monkeypatch.setattr("photoindex.runtimes.candidates.usable_cores", lambda: 1)
    assert "one core" in str(streams("visual.onnx"))


def test_opening_what_is_absent_is_an_error_with_the_reason(tmp_path: Path) -> None:
    absent = next(
        each for each in candidates(tmp_path / "m.onnx", ["onnxruntime"]) if each.absent and "onnx" in each.name
    )
    with pytest.raises(RuntimeUnavailable, match=absent.name):
        absent.open()


def test_searching_starts_with_onnx_runtime_and_finding_out_imports_no_runtime(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from photoindex.runtimes.candidates import candidates\n"
        "from photoindex.runtimes.fingerprint import fingerprint\n"
        "print([each.name for each in candidates(pathlib.Path('text.onnx'), purpose='search')])\n"
        "fingerprint().key\n"
        "print(*{'torch', 'onnxruntime', 'openvino'} & set(sys.modules))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "['onnxruntime-cpu-f32', 'openvino-cpu-f32']\n\n"


def test_the_fingerprint_changes_with_the_machine_and_with_a_package() -> None:
    here = fingerprint()
    assert here.cores >= 1
    assert {"openvino", "onnxruntime", "torch", "rapidocr", "paddleocr", "paddlex"} <= set(here.packages)
    others = [
        dataclasses.replace(here, cores=here.cores + 1),
        dataclasses.replace(here, flags=(*here.flags, "new")),
        dataclasses.replace(here, gpus=("a card",)),
        dataclasses.replace(here, packages={**here.packages, "openvino": "0"}),
    ]
    assert len({here.key, *(other.key for other in others)}) == 5


def test_the_cuda_of_torch_is_read_without_importing_it() -> None:
    import torch

    assert torch_cuda_build() == torch.version.cuda
