"""What is measured of runtimes, how it is kept, and what is chosen by it."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from photoindex.records import AUTOMATIC, RuntimeOptions
from photoindex.runtimes import apart, calibration
from photoindex.runtimes.apart import Disturbed
from photoindex.runtimes.calibration import calibrate, calibration_file, pick, rank, stored
from photoindex.runtimes.candidates import Candidate, candidates
from photoindex.runtimes.choose import open_session
from photoindex.runtimes.faults import agreement, disagreement
from photoindex.runtimes.measure import Measurement, measure

pytest_plugins = ("small_clip",)

GB = 1 << 30
QUICK = Measurement("quick-gpu-f16", 5.0, 1.0, {1: 0.02, 8: 0.08, 32: 0.30, 64: 0.70}, {1: GB, 8: 2 * GB, 32: 4 * GB})
STEADY = Measurement("steady-cpu-f32", 0.3, 0.1, {1: 0.10, 8: 0.60}, {1: GB // 2, 8: GB})
WRONG = Measurement("wrong-cpu-i8", 0.1, 0.1, {1: 0.001}, {1: 1}, refused="y deviates from torch (cosine 0.9)")


def test_a_scan_takes_the_most_pictures_a_second_in_runs_short_enough_to_be_stopped():
    best = pick([STEADY, QUICK, WRONG], "scan")
    assert (best.runtime, best.batch_size) == ("quick-gpu-f16", 32)
    assert best.score == pytest.approx(32 / 0.30)


def test_memory_bounds_first_the_batch_and_then_the_runtime():
    assert pick([STEADY, QUICK], "scan", memory_budget=2 * GB).batch_size == 8
    assert pick([STEADY, QUICK], "scan", memory_budget=GB // 2).runtime == "steady-cpu-f32"
    assert pick([STEADY, QUICK], "scan", memory_budget=1) is None


def test_no_more_rows_than_asked_for_and_no_larger_batch_than_is_worth_it():
    assert pick([QUICK], "scan", batch=8).batch_size == 8
    even = Measurement("even-cpu-f32", 0, 0, {1: 0.1, 2: 0.199, 8: 0.790}, {1: 1, 2: 2, 8: 8})
    assert pick([even], "scan").batch_size == 1


def test_one_row_may_take_longer_than_a_run_should():
    slow = Measurement("slow-cpu-f32", 0, 0, {1: 3.0, 2: 6.0}, {})
    assert pick([slow], "scan").batch_size == 1


def test_a_search_takes_what_is_soonest_done_in_a_fresh_process():
    assert pick([QUICK, STEADY, WRONG], "search").runtime == "steady-cpu-f32"
    assert [each.runtime for each in rank([QUICK, STEADY], "search", batch=64)] == ["steady-cpu-f32", "quick-gpu-f16"]
    assert pick([QUICK, STEADY], "search", batch=1000).runtime == "quick-gpu-f16"


def test_agreement_is_also_taken_after_removing_the_mean():
    """Vectors that all look alike agree by raw cosine whatever the rest is."""
    common = np.full((4, 64), 10.0, np.float32)
    own, other = np.random.default_rng(1).normal(0, 0.1, (2, 4, 64)).astype(np.float32)
    raw, centred = agreement({"y": common + other}, {"y": common + own})
    assert raw > 0.999
    assert centred < 0.5
    assert "after removing the mean" in disagreement({"y": common + other}, {"y": common + own})
    assert disagreement({"y": common + own}, {"y": common + own}) is None
    assert agreement({"y": own[:1]}, {"y": own[:1]})[1] is None


class Slow:
    """A session whose runs take `each_s` a row, and that holds `most` rows."""

    inputs, runtime = ("x",), "slow-cpu-f32"

    def __init__(self, each_s=0.0, most=1000, factor=1.0):
        self.each_s, self.most, self.factor = each_s, most, factor

    def run(self, inputs):
        if len(inputs["x"]) > self.most:
            raise RuntimeError("out of memory")
        time.sleep(self.each_s * len(inputs["x"]))
        return {"y": self.factor * inputs["x"]}

    def close(self):
        self.closed = True


ROWS = {"x": np.eye(3, 4, dtype=np.float32)}
EXPECTED = {"y": ROWS["x"]}


def test_a_candidate_is_timed_at_each_batch_size_and_compared():
    found = measure("slow-cpu-f32", Slow, ROWS, EXPECTED, (1, 2, 8), 60.0)
    assert set(found.seconds) == set(found.memory) == {1, 2, 8}
    assert (found.refused, found.cosine, found.centred) == (None, pytest.approx(1), pytest.approx(1))


def test_larger_batches_than_memory_holds_are_left_out():
    found = measure("slow-cpu-f32", lambda: Slow(most=4), ROWS, EXPECTED, (1, 4, 8, 16), 60.0)
    assert (set(found.seconds), found.refused) == ({1, 4}, None)


def test_measuring_stops_when_its_time_is_over():
    found = measure("slow-cpu-f32", lambda: Slow(each_s=0.05), ROWS, None, (1, 2, 4, 8, 16, 32), 0.1)
    assert set(found.seconds) == {1}


@pytest.mark.parametrize(
    ("opener", "reason"),
    [
        (lambda: 1 / 0, "division by zero"),
        (lambda: Slow(factor=float("nan")), "y is not a number"),
        (lambda: Slow(factor=-1.0), "y deviates from torch"),
        (lambda: Slow(most=0), "out of memory"),
    ],
)
def test_what_does_not_work_is_refused_with_its_reason(opener, reason):
    assert reason in measure("slow-cpu-f32", opener, ROWS, EXPECTED, (1, 2), 1.0).refused


def form(folder):
    (folder / "visual.onnx").write_bytes(b"a model")
    return folder / "visual.onnx"


def rung(name):
    return Candidate(name, lambda: pytest.fail("opened"))


def measured(name, seconds):
    return Measurement(name, seconds, seconds, {1: seconds}, {1: 10})


def fake(candidate, _):
    return measured(candidate.name, {"a-cpu-f32": 0.2, "b-cpu-f32": 0.1}[candidate.name])


def keep(path, options=AUTOMATIC, **more):
    rungs = [rung("a-cpu-f32"), rung("b-cpu-f32")]
    return calibrate(path, rungs, ROWS, EXPECTED, kept_in=path.parent, options=options, measurer=fake, **more)


def test_measurements_are_kept_beside_the_form_until_it_the_machine_or_the_threads_change(tmp_path, monkeypatch):
    path = form(tmp_path)
    assert stored(path, tmp_path) is None
    found = keep(path)
    assert stored(path, tmp_path) == found
    assert stored(path, tmp_path, RuntimeOptions(threads=3)) is None
    assert stored(path, tmp_path, purpose="search") is None
    keep(path, RuntimeOptions(threads=3))
    assert stored(path, tmp_path, RuntimeOptions(threads=3)) is not None
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "fingerprint", type("Other", (), {"key": "other"}))
        assert stored(path, tmp_path) is None
    path.write_bytes(b"another model")
    assert stored(path, tmp_path) is None


def test_why_a_candidate_was_refused_is_kept_too(tmp_path):
    path = form(tmp_path)

    def refuse(candidate, _):
        return Measurement(candidate.name, refused="y is not a number")

    calibrate(path, [rung("a-cpu-f32")], ROWS, EXPECTED, kept_in=tmp_path, measurer=refuse)
    assert stored(path, tmp_path)[0].refused == "y is not a number"
    assert rank(stored(path, tmp_path), "scan") == []


def test_a_broken_file_of_measurements_is_as_none_and_is_replaced(tmp_path):
    path = form(tmp_path)
    file = calibration_file(path, tmp_path)
    for broken in ("{", "[]", '{"format": 1}', '{"format": 1, "entries": 3}', '{"format": 99, "entries": {}}'):
        file.write_text(broken)
        assert stored(path, tmp_path) is None
    keep(path)
    assert len(stored(path, tmp_path)) == 2
    kept = json.loads(file.read_text())
    for entry in kept["entries"].values():
        entry["measurements"] = [{"runtime": 5}]
    file.write_text(json.dumps(kept))
    assert stored(path, tmp_path) is None


def test_what_the_time_does_not_reach_is_not_measured_and_one_alone_is_no_choice_to_keep(tmp_path):
    path = form(tmp_path)
    found = keep(path, budget_s=0.0)
    assert [each.runtime for each in found] == ["a-cpu-f32"]
    assert stored(path, tmp_path) is None


def test_a_process_that_dies_is_a_refusal(tmp_path, monkeypatch):
    path = form(tmp_path)
    done = subprocess.CompletedProcess([], -11, "", "Fatal Python error: Segmentation fault\n")
    monkeypatch.setattr(calibration, "run_module", lambda *_, **__: done)
    found = calibration.measure_apart(path, rung("a-cpu-f32"), tmp_path / "x.npz", AUTOMATIC, "scan", 1.0)
    assert "ended with -11 (Fatal Python error: Segmentation fault)" in found.refused


def test_a_process_that_does_not_end_is_ended_and_says_nothing_of_its_candidate(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "_GRACE_S", 0.001)

    class Endless(subprocess.Popen):
        def __init__(self, _, **more):
            super().__init__([sys.executable, "-c", "import time; time.sleep(600)"], **more)

    monkeypatch.setattr(apart.subprocess, "Popen", Endless)
    with pytest.raises(Disturbed, match="no end within"):
        calibration.measure_apart(form(tmp_path), rung("a-cpu-f32"), tmp_path / "x.npz", AUTOMATIC, "scan", 0.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_from_outside_says_nothing_of_its_candidate(tmp_path, monkeypatch, number):
    done = subprocess.CompletedProcess([], -number, "", "")
    monkeypatch.setattr(calibration, "run_module", lambda *_, **__: done)
    path = form(tmp_path)
    found = calibrate(path, [rung("a-cpu-f32"), rung("b-cpu-f32")], ROWS, EXPECTED, kept_in=tmp_path)
    assert (found, stored(path, tmp_path)) == ([], None)


def test_a_scan_that_is_to_stop_measures_no_further_and_keeps_nothing(tmp_path):
    path, asked = form(tmp_path), []

    def measures(candidate, _):
        asked.append(candidate.name)
        return measured(candidate.name, 0.1)

    rungs = [rung("a-cpu-f32"), rung("b-cpu-f32"), rung("c-cpu-f32")]
    options = RuntimeOptions(stop=lambda: len(asked) == 2)
    calibrate(path, rungs, ROWS, EXPECTED, kept_in=tmp_path, options=options, measurer=measures)
    assert asked == ["a-cpu-f32", "b-cpu-f32"]
    assert stored(path, tmp_path) is None


def test_the_process_that_measures_is_not_reached_by_ctrl_c_and_ends_when_the_scan_is_to_stop(tmp_path, monkeypatch):
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, _, **more):
            super().__init__([sys.executable, "-c", "import time; time.sleep(600)"], **more)
            started.append((self, os.getsid(self.pid)))

    monkeypatch.setattr(apart.subprocess, "Popen", Noted)
    options = RuntimeOptions(stop=lambda: bool(started))
    with pytest.raises(Disturbed, match="broken off"):
        calibration.measure_apart(form(tmp_path), rung("a-cpu-f32"), tmp_path / "x.npz", options, "scan", 1.0)
    [(process, session)] = started
    assert session == process.pid != os.getsid(0)
    assert process.returncode == -signal.SIGKILL


def test_real_candidates_are_measured_each_in_a_process_of_its_own(clip, tmp_path):
    from photoindex.steps.forms import read_forms

    forms = read_forms(clip)
    pixels, vectors = forms.check("visual")
    rungs = [each for each in candidates(forms.visual, ["openvino", "onnxruntime"]) if not each.absent]
    found = calibrate(forms.visual, rungs, pixels, vectors, kept_in=tmp_path, budget_s=600.0)
    assert [each.runtime for each in found] == [each.name for each in rungs]
    assert all(each.refused is None and each.cosine > 0.999 for each in found)
    assert all(each.seconds[1] > 0 and each.load_s > 0 for each in found)
    best = pick(found, "scan")
    allowed = ["openvino", "onnxruntime"]
    session = open_session(forms.visual, allowed, probe=pixels, expected=vectors, kept_in=tmp_path)
    assert (session.runtime, session.batch_size) == (best.runtime, best.batch_size)


def test_a_scan_of_few_photos_does_not_measure_and_one_of_many_does(clip, tmp_path, monkeypatch):
    from photoindex.runtimes import choose
    from photoindex.steps.forms import read_forms

    forms, budgets = read_forms(clip), []
    pixels, vectors = forms.check("visual")

    def measures(_path, rungs, *_, budget_s, **__):
        budgets.append(budget_s)
        return [measured(each.name, 1.0 if each.name != "onnxruntime-cpu-f32" else 0.01) for each in rungs]

    monkeypatch.setattr(choose, "calibrate", measures)
    monkeypatch.setattr(choose, "_seconds_each", lambda *_: 0.1)

    def opened(photos, **more):
        told = RuntimeOptions(photos=photos, **more)
        return open_session(forms.visual, options=told, probe=pixels, expected=vectors, kept_in=tmp_path).runtime

    assert opened(2000) == opened(None) != "onnxruntime-cpu-f32"
    assert budgets == []
    assert opened(4000) == "onnxruntime-cpu-f32"
    opened(10**9)
    assert budgets == [pytest.approx(20.0), 120.0]
    assert opened(10**9, runtime="openvino-cpu-f32") == "openvino-cpu-f32"
    assert len(budgets) == 2


def test_what_was_measured_of_one_family_alone_decides_nothing_for_a_scan_that_may_use_all(clip, tmp_path, monkeypatch):
    from photoindex.runtimes import choose
    from photoindex.steps.forms import read_forms

    forms, looks = read_forms(clip), []
    pixels, vectors = forms.check("visual")

    def measurer(candidate, _):
        looks.append(candidate.name)
        return measured(candidate.name, 0.01 if candidate.name == "onnxruntime-cpu-f32" else 1.0)

    monkeypatch.setattr(choose, "calibrate", functools.partial(calibrate, measurer=measurer))
    monkeypatch.setattr(choose, "_seconds_each", lambda *_: 0.1)

    def opened(photos, runtime):
        looks.clear()
        told = RuntimeOptions(photos=photos, runtime=runtime)
        return open_session(forms.visual, options=told, probe=pixels, expected=vectors, kept_in=tmp_path).runtime

    family = opened(10**9, "torch")
    assert looks
    assert opened(None, None) != family  # too short to measure: in the order of experience
    assert (opened(10**9, None), "onnxruntime-cpu-f32" in looks) == ("onnxruntime-cpu-f32", True)
    assert (opened(10**9, None), opened(10**9, "torch"), looks) == ("onnxruntime-cpu-f32", family, [])


def test_candidates_that_were_all_refused_are_not_measured_at_every_scan(clip, tmp_path, monkeypatch):
    from photoindex.runtimes import choose
    from photoindex.steps.forms import read_forms

    forms = read_forms(clip)
    pixels, vectors = forms.check("visual")
    rungs = [each for each in candidates(forms.visual, ()) if not each.absent]
    calibrate(
        forms.visual,
        rungs,
        pixels,
        vectors,
        kept_in=tmp_path,
        options=RuntimeOptions(photos=10**9),
        measurer=lambda candidate, _: Measurement(candidate.name, refused="y deviates from torch"),
    )
    monkeypatch.setattr(choose, "calibrate", lambda *_, **__: pytest.fail("measured again"))
    monkeypatch.setattr(choose, "_seconds_each", lambda *_: 0.1)
    options = RuntimeOptions(photos=10**9)
    open_session(forms.visual, options=options, probe=pixels, expected=vectors, kept_in=tmp_path).close()


def test_those_that_stay_near_the_best_are_measured_again_and_a_disturbed_one_is_made_good(tmp_path):
    times = {"a-cpu-f32": [0.15, 0.13, 0.08], "b-cpu-f32": [0.10, 0.12, 0.11], "far-cpu-f32": [0.9]}
    left = {name: list(each) for name, each in times.items()}

    def measures(candidate, _):
        return measured(candidate.name, left[candidate.name].pop(0))

    found = calibrate(form(tmp_path), [rung(name) for name in times], ROWS, None, kept_in=tmp_path, measurer=measures)
    assert {each.runtime: each.seconds[1] for each in found} == {name: min(each) for name, each in times.items()}
    assert left == {"a-cpu-f32": [], "b-cpu-f32": [], "far-cpu-f32": []}
    assert pick(found, "scan").runtime == "a-cpu-f32"


def test_for_a_search_what_starts_slowly_is_not_looked_at_again(tmp_path):
    looks = []

    def measures(candidate, _):
        looks.append(candidate.name)
        seconds = {"a-cpu-f32": 0.2, "b-cpu-f32": 0.21, "slow-start-cpu-f32": 5.0}[candidate.name]
        return Measurement(candidate.name, load_s=seconds, first_s=0.0, seconds={1: 0.1}, memory={1: 10})

    rungs = [rung(name) for name in ("a-cpu-f32", "b-cpu-f32", "slow-start-cpu-f32")]
    calibrate(form(tmp_path), rungs, ROWS, None, kept_in=tmp_path, purpose="search", measurer=measures)
    assert {name: looks.count(name) for name in set(looks)} == {
        "a-cpu-f32": 5,
        "b-cpu-f32": 5,
        "slow-start-cpu-f32": 1,
    }
