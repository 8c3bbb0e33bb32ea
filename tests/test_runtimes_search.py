"""What encodes a query comes from the measurements that are kept; no search ever measures."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conftest import TINY_CLIP
from photoindex.doctor.models import read_models
from photoindex.models.registry import load_registry
from photoindex.models.spec import InstalledModel
from photoindex.records import RuntimeOptions
from photoindex.runtimes import choose
from photoindex.runtimes.calibration import calibrate, rank, stored
from photoindex.runtimes.candidates import Candidate, candidates
from photoindex.runtimes.measure import Measurement
from photoindex.scan import calibrate as scan_calibrate
from photoindex.scan.steps import Steps
from photoindex.steps import search_runtimes
from photoindex.steps.forms import read_forms
from photoindex.steps.picture_encoder import PictureEncoder
from photoindex.steps.search_runtimes import measure_for_search, search_runtime
from photoindex.steps.text_encoder import TextEncoder, query_threads

pytest_plugins = ("small_clip",)

FASTER = {"openvino-cpu-f32": 0.1, "onnxruntime-cpu-f32": 0.4}


@pytest.fixture
def model(clip: InstalledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstalledModel:
    """The small model with forms of this test alone; measuring within a search fails it."""
    monkeypatch.setattr(choose, "calibrate", lambda *_, **__: pytest.fail("a search measured"))
    shutil.copytree(clip.derived, tmp_path / clip.spec.name)
    return replace(clip, derived_dir=tmp_path / clip.spec.name)


def keep(model: InstalledModel, form: str, threads: int | None, cold: dict[str, Any]) -> None:
    """Keep for `form` that each runtime takes so many seconds from the start of a process; a word refuses it."""
    path = getattr(read_forms(model), form)
    rungs = [each for each in candidates(path, purpose="search") if each.name in cold]

    def told(name: str) -> Measurement:
        took = cold[name]
        if isinstance(took, str):
            return Measurement(name, refused=took)
        return Measurement(name, took, 0.0, {1: 0.01}, {1: 1})

    calibrate(
        path,
        rungs,
        {},
        None,
        kept_in=path.parent,
        options=RuntimeOptions(threads=threads),
        purpose="search",
        measurer=lambda rung, _: told(rung.name),
    )


def text_runtime(model: InstalledModel, threads: int | None = None) -> str:
    encoder = TextEncoder(model, RuntimeOptions(threads=threads))
    encoder.close()
    return encoder.runtime


def test_without_a_measurement_the_order_of_experience_holds_and_nothing_is_measured(model: InstalledModel) -> None:
    assert text_runtime(model) == "onnxruntime-cpu-f32"
    assert search_runtime(model) == ("onnxruntime-cpu-f32", False)


def test_what_was_soonest_done_in_a_fresh_process_encodes_the_words(model: InstalledModel) -> None:
    keep(model, "text", query_threads(read_forms(model)), FASTER)
    assert text_runtime(model) == "openvino-cpu-f32"
    assert search_runtime(model) == ("openvino-cpu-f32", True)
    # For many texts on all cores another runtime may be best: that measurement says nothing of it.
    assert text_runtime(model, threads=63) == "onnxruntime-cpu-f32"


def test_one_that_was_refused_is_the_last_to_be_tried(model: InstalledModel) -> None:
    threads = query_threads(read_forms(model))
    keep(model, "text", threads, {"onnxruntime-cpu-f32": "vectors is not a number", "openvino-cpu-f32": 3.0})
    assert text_runtime(model) == "openvino-cpu-f32"


def test_an_override_wins_over_what_was_measured(model: InstalledModel) -> None:
    keep(model, "text", query_threads(read_forms(model)), FASTER)
    encoder = TextEncoder(model, RuntimeOptions(runtime="onnxruntime"))
    assert encoder.runtime == "onnxruntime-cpu-f32"
    encoder.close()


def test_a_search_by_picture_has_a_measurement_of_its_own(model: InstalledModel) -> None:
    keep(model, "visual", None, FASTER)
    encoder = PictureEncoder(model)
    assert encoder._session.runtime == "openvino-cpu-f32"
    encoder.close()
    assert text_runtime(model) == "onnxruntime-cpu-f32"


def test_both_towers_are_measured_as_a_search_runs_them_and_only_once(
    model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int | None, int]] = []

    def measures(path: Path, rungs: Any, probe: Any, expected: Any, **more: Any) -> list[Measurement]:
        [ids] = probe.values()
        asked.append((path.stem, more["options"].threads, ids.shape[1]))
        assert (more["purpose"], len(ids)) == ("search", len(expected["vectors"]))
        assert [each.name for each in rungs] == ["onnxruntime-cpu-f32", "openvino-cpu-f32"]

        def quick(rung: Candidate, _: float) -> Measurement:
            return Measurement(rung.name, 0.1, 0.1, {1: 0.1}, {1: 1})

        return calibrate(path, rungs, probe, expected, **more, measurer=quick)

    monkeypatch.setattr(search_runtimes, "calibrate", measures)
    measure_for_search(model)
    forms = read_forms(model)
    assert [each[:2] for each in asked] == [("text", query_threads(forms)), ("visual", None)]
    assert not forms.trim or asked[0][2] < forms.context
    measure_for_search(model)
    measure_for_search(model, stop=lambda: True)
    assert len(asked) == 2


def test_short_queries_mean_the_same_cut_short(model: InstalledModel) -> None:
    probe, expected = search_runtimes._short_queries(read_forms(model))
    [rung] = [each for each in candidates(read_forms(model).text, purpose="search") if "onnx" in each.name]
    session = rung.open()
    vectors = session.run(probe)["vectors"]
    session.close()
    assert np.sum(vectors * expected["vectors"], axis=1).min() > 0.9999


@pytest.mark.slow
def test_real_towers_are_measured_each_in_a_process_of_its_own(model: InstalledModel) -> None:
    measure_for_search(model)
    forms = read_forms(model)
    for form, threads in ((forms.text, query_threads(forms)), (forms.visual, None)):
        kept = stored(form, forms.folder, RuntimeOptions(threads=threads), "search") or []
        assert {each.runtime for each in kept} == {"onnxruntime-cpu-f32", "openvino-cpu-f32"}
        assert all(each.refused is None and each.load_s > 0 for each in kept)
    best = rank(
        stored(forms.text, forms.folder, RuntimeOptions(threads=query_threads(forms)), "search") or (), "search"
    )
    assert text_runtime(model) == best[0].runtime


@pytest.mark.parametrize(("photos", "measured"), [(1_999, []), (2_000, ["tiny-clip"])])
def test_a_scan_measures_for_the_searches_of_a_library_that_is_worth_it(
    clip: InstalledModel, monkeypatch: pytest.MonkeyPatch, photos: int, measured: list[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(search_runtimes, "measure_for_search", lambda model, *_: asked.append(model.spec.name))
    monkeypatch.setattr(scan_calibrate, "calibrate", lambda *_: True)
    registry = load_registry(TINY_CLIP / "models.toml")

    class Vectors:
        def keep_index(self, *_: object) -> None: ...
        def has(self, _: str) -> bool:
            return True

        def ids(self, _: str) -> range:
            return range(photos)

    settings = SimpleNamespace(settings=lambda: {"embedding_model": "tiny-clip"})
    library: Any = SimpleNamespace(catalog=settings, vectors=Vectors())
    assert scan_calibrate.prepare_search(library, registry, clip.derived.parent, lambda: False) == []
    assert asked == measured


def test_doctor_says_what_searches_begin_with(model: InstalledModel) -> None:
    keep(model, "text", query_threads(read_forms(model)), FASTER)
    registry = load_registry(TINY_CLIP / "models.toml")
    [facts] = read_models(registry, {"embedding": model.spec}, Steps([]), model.derived.parent)
    assert facts.search_runtime == "openvino-cpu-f32"
