"""`photoindex bench`: the same pictures everywhere, medians with spread, and honest comparisons."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import Shell
from photoindex.doctor.bench import (
    FORMAT,
    BenchRun,
    StageResult,
    compare,
    differences,
    disturbed,
    read_run,
    summary,
)
from photoindex.doctor.measure import Stage
from photoindex.doctor.samples import SET, content_of, make_samples
from photoindex.errors import UsageError
from photoindex.render.bench import bench_object, print_bench

MACHINE = {"system": "Linux x86_64", "cpu": "Some CPU (1/2)", "flags": [], "cores": 2, "gpus": [], "packages": {}}


def result(stage: str, low: float, median: float, high: float, **changes: Any) -> StageResult:
    return dataclasses.replace(StageResult(stage, median, low, high, parts=20), **changes)


def run_of(*stages: StageResult, **changes: Any) -> BenchRun:
    packages = {"openvino": "2026.4"}
    run = BenchRun(
        FORMAT, "0.1.0", "2026-11-20T12:00:00+00:00", "fast", 60.0, SET, "abc", "f00", MACHINE, packages, 0.1, stages
    )
    return dataclasses.replace(run, **changes)


def test_the_pictures_are_the_same_each_time_and_of_the_sizes_that_people_have(tmp_path: Path) -> None:
    files = make_samples(tmp_path / "one")
    sizes = [Image.open(file.path).size for file in files]
    assert sizes.count((4000, 3000)) == 6
    assert {(1600, 1200), (1080, 1920)} < set(sizes)
    assert len({content_of([file]) for file in files}) == len(files)
    assert content_of(make_samples(tmp_path / "two")) == content_of(files)


def test_a_stage_is_summed_up_by_its_median_and_tenths() -> None:
    stage = Stage("decode", 100, 10.0, tuple(float(rate) for rate in range(1, 12)), "2 workers")
    assert summary(stage) == StageResult("decode", 6.0, 2.0, 10.0, 11, "2 workers")
    assert summary(Stage("faces", problem="no weights")) == StageResult("faces", None, problem="no weights")
    assert summary(Stage("ocr", 8, 4.0, (2.0,))).low == 2.0


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (result("x", 9, 10, 11), result("x", 18, 20, 22), "faster"),
        (result("x", 9, 10, 11), result("x", 4, 5, 6), "slower"),
        (result("x", 9, 10, 11), result("x", 9.5, 10.5, 11.5), "same"),
        (result("x", 5, 10, 30), result("x", 18, 20, 22), "same"),
        (result("x", 9, 10, 11, parts=3), result("x", 18, 20, 22), "unknown"),
        (StageResult("x", None), result("x", 18, 20, 22), "unknown"),
    ],
    ids=["faster", "slower", "within both spreads", "within one's spread", "too few parts", "not measured"],
)
def test_a_difference_counts_only_beyond_the_spread(before: StageResult, after: StageResult, verdict: str) -> None:
    [ratio] = compare(run_of(before), run_of(after))
    assert ratio.verdict == verdict
    assert ratio.ratio is None if before.median is None else ratio.ratio == pytest.approx(after.median / before.median)


def test_stages_of_only_one_run_are_listed_too() -> None:
    ratios = compare(run_of(result("old", 1, 2, 3)), run_of(result("new", 1, 2, 3)))
    assert [(ratio.stage, ratio.verdict) for ratio in ratios] == [("new", "unknown"), ("old", "unknown")]


def test_everything_else_that_differs_is_said() -> None:
    before = run_of(result("ocr", 1, 2, 3, runtime="openvino-cpu-bf16"))
    after = run_of(
        result("ocr", 1, 2, 3, runtime="onnxruntime-cpu-f32"),
        version="0.2.0",
        profile="quality",
        content="def",
        machine={**MACHINE, "cores": 16, "gpus": ["NVIDIA H200"]},
        packages={"openvino": "2027.1", "torch": "3.0"},
    )
    said = " ".join(differences(before, after))
    for words in (
        "0.1.0 then, 0.2.0 now",
        "quality",
        "bytes differ",
        "Cores: 2 then, 16 now",
        "none then, NVIDIA H200",
    ):
        assert words in said
    assert "openvino 2026.4 -> 2027.1, torch none -> 3.0" in said
    assert "ocr ran on openvino-cpu-bf16 then, on onnxruntime-cpu-f32 now" in said
    assert differences(before, before) == []


def test_a_busy_machine_is_told() -> None:
    assert disturbed(run_of(load=0.3)) is None
    assert "1.7 of 2 cores" in str(disturbed(run_of(load=1.7)))
    assert "all of 2 cores" in str(disturbed(run_of(load=9.0)))
    assert disturbed(run_of(load=None)) is None


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = run_of(result("ocr", 1, 2, 3), StageResult("faces", None, problem="no weights"))
    (tmp_path / "a.json").write_text(json.dumps(bench_object(run, None, [])))
    assert read_run(tmp_path / "a.json") == run
    (tmp_path / "a.json").write_text(json.dumps(bench_object(run, run, compare(run, run)) | {"later": 1}))
    assert read_run(tmp_path / "a.json") == run


@pytest.mark.parametrize(
    "content",
    [None, "not json", "[1, 2]", '{"format": 1}', json.dumps(bench_object(run_of(set=SET + 1), None, []))],
    ids=["absent", "no json", "an array", "half", "another set of pictures"],
)
def test_what_is_no_earlier_run_is_wrong_usage(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError, match="--compare"):
        read_run(tmp_path / "a.json")


def test_the_command_refuses_a_wrong_file_before_it_measures(run: Shell, tmp_path: Path) -> None:
    assert "holds no result" in run("bench", "--compare", __file__, code=2).err
    assert "No profile" in run("bench", "--profile", "none", code=17).err


def test_the_table_shows_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = run_of(result("ocr", 9, 10, 11)), run_of(result("ocr", 18, 20, 22), StageResult("faces", None))
    print_bench(after, before, compare(before, after))
    said = capsys.readouterr()
    ocr = next(line for line in said.out.splitlines() if line.startswith("ocr"))
    assert ocr.split() == ["ocr", "20.0", "18.0", "to", "22.0", "10.0", "2.00", "faster"]


def test_json_is_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
    section = text.partition("## bench")[2].partition("\n## ")[0]
    run = run_of(result("ocr", 1, 2, 3))
    written = bench_object(run, run, compare(run, run))
    for key in (*written, *written["stages"][0], *written["comparison"], *written["comparison"]["stages"][0]):
        assert f"`{key}`" in section, key


@pytest.mark.slow
def test_two_runs_are_compared(tiny_clip: Shell, tmp_path: Path) -> None:
    with (tiny_clip.home / "models.toml").open("a") as file:
        file.write('\n[profiles.vectors]\nembedding = "tiny-clip"\n')
    first = tiny_clip("bench", "--profile", "vectors", "--seconds", "10", "--format", "json")
    (tmp_path / "first.json").write_bytes(first.out)
    second = tiny_clip("bench", "--profile", "vectors", "--seconds", "10", "--format", "json", "--compare",
                       tmp_path / "first.json")  # fmt: skip
    assert second.json["comparison"]["differences"] == []
    ratios = {each["stage"]: each["ratio"] for each in second.json["comparison"]["stages"]}
    for stage in ("decode", "embedding", "store"):
        assert 0.1 < ratios[stage] < 10
