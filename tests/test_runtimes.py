"""The ladder of runtimes: the first that gives believable numbers runs the model, and failures are told."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from photoindex.errors import RuntimeUnavailable
from photoindex.records import RuntimeOptions
from photoindex.runtimes.choose import open_session

pytest_plugins = ("small_clip",)

X = np.array([[3.0, 4.0], [1.0, -1.0]], np.float32)


def onnx_file(path, operator):
    """A model x (n, 2) -> y = operator(x) (n, 2)."""
    shape = ["n", 2]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"])],
        operator,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save_model(model, str(path))
    return path


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_each_runtime_runs_a_batch_of_any_size(tmp_path, runtime):
    session = open_session(onnx_file(tmp_path / "m.onnx", "Neg"), [runtime], options=RuntimeOptions(threads=1))
    assert session.runtime.startswith(f"{runtime}-")
    assert list(session.inputs) == ["x"]
    for batch in (X, X[:1], np.concatenate([X, X, X])):
        np.testing.assert_allclose(session.run({"x": batch})["y"], -batch)


def test_openvino_goes_before_onnx_runtime_whatever_the_order_of_names(tmp_path):
    session = open_session(onnx_file(tmp_path / "m.onnx", "Neg"), ["onnxruntime", "openvino"], probe={"x": X})
    assert session.runtime.startswith(("openvino-", "onnxruntime-cuda-"))


def test_bfloat16_is_used_only_where_the_processor_is_said_to_be_good_at_it(tmp_path):
    from openvino import Core

    session = open_session(onnx_file(tmp_path / "m.onnx", "Neg"), ["openvino"])
    listed = "BF16" in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert session.runtime == ("openvino-cpu-bf16" if listed else "openvino-cpu-f32")


def test_results_of_openvino_outlive_the_next_run(tmp_path):
    session = open_session(onnx_file(tmp_path / "m.onnx", "Neg"), ["openvino"])
    first = session.run({"x": X})["y"]
    session.run({"x": 2 * X})
    np.testing.assert_allclose(first, -X)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16])
def test_rows_that_are_shared_out_among_streams_come_back_in_their_order(tmp_path, rows):
    from photoindex.runtimes.openvino_session import OpenVinoSession

    session = OpenVinoSession(onnx_file(tmp_path / "m.onnx", "Neg"), variant="streams")
    assert session.runtime == "openvino-cpu-f32-streams"
    batch = np.arange(rows * X[0].size, dtype=np.float32).reshape(rows, *X.shape[1:])
    first = session.run({"x": batch})["y"]
    session.run({"x": 2 * batch})
    np.testing.assert_allclose(first, -batch)
    with pytest.raises(RuntimeUnavailable, match="streams"):
        session.run({"x": np.zeros((rows, 3, 5), np.float32)})
    np.testing.assert_allclose(session.run({"x": batch})["y"], -batch)


def test_a_search_command_gets_onnx_runtime_on_one_thread(tmp_path):
    path = onnx_file(tmp_path / "m.onnx", "Neg")
    assert open_session(path, ["openvino", "onnxruntime"], purpose="search").runtime == "onnxruntime-cpu-f32"


def test_a_file_that_no_runtime_reads_is_refused_with_every_runtimes_reason(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(RuntimeUnavailable) as refusal:
        open_session(tmp_path / "m.onnx", ["openvino", "onnxruntime", "torch"])
    for rung in ("openvino-cpu-f32: ", "onnxruntime-cpu-f32: "):
        assert rung in str(refusal.value)


def test_a_model_that_gives_no_numbers_is_refused(tmp_path):
    path = onnx_file(tmp_path / "m.onnx", "Log")
    with pytest.raises(RuntimeUnavailable, match="y is not a number"):
        open_session(path, ["openvino", "onnxruntime"], probe={"x": X})
    assert open_session(path, ["onnxruntime"], probe={"x": np.abs(X)}).runtime


def test_a_runtime_that_deviates_from_what_is_expected_is_passed_over(tmp_path):
    path = onnx_file(tmp_path / "m.onnx", "Neg")
    rows = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert open_session(path, ["onnxruntime"], probe={"x": rows}, expected={"y": -rows}).runtime
    turned = -rows[:, ::-1]
    with pytest.raises(RuntimeUnavailable, match="y deviates from torch"):
        open_session(path, ["onnxruntime"], probe={"x": rows}, expected={"y": turned})


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_batch_of_the_wrong_shape_is_an_error_that_names_the_runtime(tmp_path, runtime):
    session = open_session(onnx_file(tmp_path / "m.onnx", "Neg"), [runtime])
    with pytest.raises(RuntimeUnavailable, match=runtime):
        session.run({"x": np.zeros((2, 3, 5), np.float32)})


def test_torch_and_the_exported_form_agree_on_the_same_pictures(clip):
    from photoindex.steps.forms import read_forms

    forms = read_forms(clip)
    pixels, expected = forms.check("visual")
    for runtime in ("openvino", "onnxruntime", "torch"):
        found = open_session(forms.visual, [runtime], probe=pixels, expected=expected).run(pixels)["vectors"]
        assert found.dtype == np.float32
        assert np.sum(found * expected["vectors"], axis=1).min() > 0.999


def test_openvino_is_kept_from_sending_telemetry() -> None:
    code = (
        "import sys\n"
        "from photoindex.runtimes.openvino_session import devices\n"
        "assert devices()\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_signal_after_two_openvino_models_have_ended_does_not_kill_the_process(tmp_path) -> None:
    """OpenVINO's cores, ended in the order of their beginning, leave a freed stack to the next signal's handler."""
    code = (
        "import os, pathlib, signal, sys\n"
        "from photoindex.runtimes.openvino_session import OpenVinoSession\n"
        "signal.signal(signal.SIGINT, lambda *_: print('caught'))\n"
        "first, second = (OpenVinoSession(pathlib.Path(sys.argv[1])) for _ in range(2))\n"
        "first.close(); del first\n"
        "second.close(); del second\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    model = str(onnx_file(tmp_path / "m.onnx", "Neg"))
    done = subprocess.run([sys.executable, "-c", code, model], check=True, capture_output=True, text=True)
    assert done.stdout == "caught\n"
