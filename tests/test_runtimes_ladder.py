"""When what runs a model fails, the next candidate takes over for good, memory permitting, and one line says so."""

import gc
import threading
import time

import numpy as np
import pytest

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.attendant import Attendant, Hung, stuck_threads
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.ladder import Ladder, Limits
from photoindex.runtimes.session import Interrupted

SOON = Limits(load_s=0.5, first_s=0.5, run_s=0.5, factor=0.0)


@pytest.fixture(autouse=True)
def nobody_stuck():
    """What a test before let hang has come back by now."""
    deadline = time.monotonic() + 120
    while stuck_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not stuck_threads()


class Doubling:
    """A session that gives 2 x, and misbehaves as it is told: `fault` is called with x and may raise or answer."""

    def __init__(self, runtime, fault=None):
        self.runtime, self.inputs, self.closed, self.runs = runtime, ("x",), False, []
        self.fault = fault or (lambda _: None)

    def run(self, inputs):
        assert not self.closed
        self.runs.append(len(inputs["x"]))
        answer = self.fault(inputs["x"])
        return {"y": 2 * inputs["x"] if answer is None else answer}

    def close(self):
        self.closed = True


class Rungs:
    """Candidates over Doubling sessions; `opened` are those made so far."""

    def __init__(self, **faults):
        self.opened, self.told = [], []
        self.candidates = [Candidate(name.replace("_", "-"), self._opener(name, faults[name])) for name in faults]

    def _opener(self, name, fault):
        def open_it():
            self.opened.append(Doubling(name.replace("_", "-"), fault))
            return self.opened[-1]

        return open_it

    def climb(self, trial=lambda _: None, **more):
        return Ladder("m.onnx", self.candidates, trial, tell=self.told.append, **more)


def after(count, act):
    """A fault that shows from the call `count` + 1 on."""
    calls = []

    def fault(x):
        calls.append(len(x))
        return act(x) if len(calls) > count else None

    return fault


def broken(_):
    raise OSError("the device was lost")


def holds(most):
    """A device with memory for `most` rows."""

    def fault(x):
        if len(x) > most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    return fault


def x(count=4):
    return {"x": np.arange(count * 2, dtype=np.float32).reshape(count, 2)}


def same(outputs, count=4):
    np.testing.assert_array_equal(outputs["y"], 2 * x(count)["x"])


def test_a_runtime_that_raises_at_run_is_closed_and_the_next_does_the_same_batch():
    rungs = Rungs(fast_gpu=after(2, broken), slow_cpu=None)
    ladder = rungs.climb()
    for _ in range(2):
        same(ladder.run(x()))
    assert ladder.runtime == "fast-gpu"
    same(ladder.run(x()))
    assert ladder.runtime == "slow-cpu"
    assert [session.closed for session in rungs.opened] == [True, False]
    assert rungs.told == ["m.onnx: fast-gpu failed (the device was lost); slow-cpu takes over."]
    same(ladder.run(x()))
    assert len(rungs.opened) == 2


def test_one_that_does_not_load_is_passed_over_with_its_reason():
    def refuses():
        raise ImportError("libcudart.so.13: cannot open shared object file")

    rungs = Rungs(slow_cpu=None)
    rungs.candidates.insert(0, Candidate("fast-gpu", refuses))
    ladder = rungs.climb()
    assert ladder.runtime == "slow-cpu"
    assert "libcudart" in ladder.failures["fast-gpu"]
    assert rungs.told == []


def test_one_that_fails_its_trial_is_closed_and_passed_over():
    rungs = Rungs(fast_gpu=None, slow_cpu=None)
    ladder = rungs.climb(trial=lambda session: "y deviates" if session.runtime == "fast-gpu" else None)
    assert (ladder.runtime, ladder.failures) == ("slow-cpu", {"fast-gpu": "y deviates"})
    assert [session.closed for session in rungs.opened] == [True, False]


def test_what_is_no_number_never_leaves_the_ladder():
    rungs = Rungs(fast_gpu=after(1, lambda x: x * np.float32("nan")), slow_cpu=None)
    ladder = rungs.climb()
    for _ in range(3):
        same(ladder.run(x()))
    assert ladder.runtime == "slow-cpu"
    assert "y is not a number" in rungs.told[0]


def test_a_runtime_that_hangs_is_left_behind_and_neither_used_nor_closed_again():
    release = threading.Event()
    rungs = Rungs(fast_gpu=after(1, lambda _: release.wait(100) and None), slow_cpu=None)
    ladder = rungs.climb(limits=SOON)
    same(ladder.run(x()))
    same(ladder.run(x()))
    assert ladder.runtime == "slow-cpu"
    assert stuck_threads() == 1
    assert "did not come back" in rungs.told[0]
    assert not rungs.opened[0].closed
    ladder.close()
    release.set()


def test_once_all_have_hung_none_is_opened_or_run_again():
    release = threading.Event()
    rungs = Rungs(fast_gpu=lambda _: release.wait(100) and None)
    ladder = rungs.climb(limits=SOON)
    for _ in range(3):
        with pytest.raises(RuntimeUnavailable, match="did not come back"):
            ladder.run(x())
    assert (len(rungs.opened), rungs.opened[0].runs, stuck_threads()) == (1, [4], 1)
    release.set()


def test_one_that_hangs_while_it_loads_is_passed_over():
    release = threading.Event()
    rungs = Rungs(slow_cpu=None)
    rungs.candidates.insert(0, Candidate("fast-gpu", lambda: release.wait(100)))
    ladder = rungs.climb(limits=SOON)
    assert ladder.runtime == "slow-cpu"
    assert "did not come back" in ladder.failures["fast-gpu"]
    release.set()


def test_out_of_memory_halves_the_batch_until_it_fits_and_remembers():
    rungs = Rungs(fast_gpu=holds(3), slow_cpu=None)
    ladder = rungs.climb()
    same(ladder.run(x(16)), 16)
    assert (ladder.runtime, ladder.most) == ("fast-gpu", 2)
    assert rungs.opened[0].runs == [16, 8, 4, *[2] * 8]
    same(ladder.run(x(5)), 5)
    assert rungs.opened[0].runs[-3:] == [2, 2, 1]
    assert all("no memory" in line for line in rungs.told)


def test_one_without_memory_for_a_single_row_gives_way_and_the_next_gets_whole_batches():
    rungs = Rungs(fast_gpu=holds(0), slow_cpu=None)
    ladder = rungs.climb()
    same(ladder.run(x(4)), 4)
    assert (ladder.runtime, ladder.most) == ("slow-cpu", None)
    assert rungs.opened[1].runs == [4]


def test_python_without_memory_counts_as_out_of_memory_too():
    def no_memory(x):
        if len(x) > 1:
            raise MemoryError

    rungs = Rungs(fast_gpu=no_memory)
    ladder = rungs.climb()
    same(ladder.run(x(2)), 2)
    assert ladder.most == 1


def test_when_all_fail_every_reason_is_told():
    rungs = Rungs(fast_gpu=broken, slow_cpu=lambda x: x * np.float32("inf"))
    ladder = rungs.climb()
    with pytest.raises(RuntimeUnavailable) as refusal:
        ladder.run({"x": 1 + x()["x"]})
    assert "fast-gpu: the device was lost" in str(refusal.value)
    assert "slow-cpu: y is not a number" in str(refusal.value)


def test_an_input_that_every_runtime_fails_on_costs_that_input_only():
    def dislikes_negative(x):
        if (x < 0).any():
            raise ValueError("bad input")

    rungs = Rungs(fast_gpu=dislikes_negative, slow_cpu=dislikes_negative)
    ladder = rungs.climb()
    for _ in range(6):
        with pytest.raises(RuntimeUnavailable, match="bad input"):
            ladder.run({"x": -np.ones((2, 2), np.float32)})
        same(ladder.run(x()))
        assert ladder.runtime == "fast-gpu"
    opened = len(rungs.opened)
    with pytest.raises(RuntimeUnavailable, match="bad input"):
        ladder.run({"x": -np.ones((2, 2), np.float32)})
    assert len(rungs.opened) == opened  # by now it is known that such inputs come, and nothing is opened again


def test_a_run_broken_off_on_purpose_changes_nothing():
    class Stop(Interrupted):
        pass

    def stops(_):
        raise Stop

    rungs = Rungs(fast_gpu=after(1, stops), slow_cpu=None)
    ladder = rungs.climb()
    same(ladder.run(x()))
    with pytest.raises(Stop):
        ladder.run(x())
    assert (ladder.runtime, len(rungs.opened)) == ("fast-gpu", 1)


def test_a_session_that_fails_when_closed_stops_nobody():
    rungs = Rungs(fast_gpu=after(1, broken), slow_cpu=None)
    ladder = rungs.climb()
    rungs.opened[0].close = lambda: broken(None)
    same(ladder.run(x()))
    same(ladder.run(x()))
    assert ladder.runtime == "slow-cpu"


def test_the_batch_size_measured_belongs_to_the_runtime_in_use():
    rungs = Rungs(fast_gpu=after(1, broken), slow_cpu=None)
    ladder = rungs.climb(batch_sizes={"fast-gpu": 64})
    same(ladder.run(x()))
    assert ladder.batch_size == 64
    same(ladder.run(x()))
    assert ladder.batch_size is None


def test_a_closed_ladder_says_so():
    ladder = Rungs(slow_cpu=None).climb()
    ladder.close()
    with pytest.raises(RuntimeUnavailable, match="closed"):
        ladder.run(x())


def test_a_ladder_that_is_let_go_of_leaves_no_thread():
    before = set(threading.enumerate())
    ladder = Rungs(slow_cpu=None).climb()
    same(ladder.run(x()))
    [thread] = set(threading.enumerate()) - before
    del ladder
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_a_closed_ladder_that_once_fell_is_not_opened_again():
    rungs = Rungs(fast_gpu=broken, slow_cpu=None)
    ladder = rungs.climb()
    same(ladder.run(x()))
    ladder.close()
    with pytest.raises(RuntimeUnavailable):
        ladder.run(x())
    assert len(rungs.opened) == 2


def test_a_call_that_comes_back_in_time_gives_its_result_and_one_that_does_not_is_left():
    attendant = Attendant()
    assert attendant.call(lambda: "done", 60.0) == "done"
    with pytest.raises(OSError, match="lost"):
        attendant.call(lambda: broken(None), 60.0)
    with pytest.raises(Hung, match=r"did not come back within 0\.1 seconds"):
        attendant.call(lambda: time.sleep(1.0), 0.1)
    attendant._thread.join(60)
    assert not attendant._thread.is_alive()  # it came back late: nothing of it is stuck any more
