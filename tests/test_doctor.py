"""`photoindex doctor`: every check on a machine or a profile with that very damage, and the command."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from conftest import Shell, draw
from photoindex.doctor.gpus import driver_version, pci_gpus
from photoindex.doctor.library import LibraryFacts
from photoindex.doctor.library_checks import check_library
from photoindex.doctor.machine import core_limit, parse_cpuinfo
from photoindex.doctor.machine_checks import check_machine
from photoindex.doctor.measure import Stage
from photoindex.doctor.model_checks import check_models
from photoindex.doctor.models import ModelFacts, Way
from photoindex.doctor.records import Cpu, Disk, Finding, Gpu, Machine, Memory
from photoindex.doctor.report import Examination
from photoindex.doctor.speed import check_speed, find_bottleneck, uses_gpu
from photoindex.errors import RuntimeRefused
from photoindex.render.doctor import print_examination
from photoindex.runtimes.inventory import InstalledRuntime
from photoindex.store.health import LastRun
from photoindex.store.library import Library

GB = 10**9


def levels(findings: list[Finding]) -> dict[str, str]:
    return {each.code: each.level for each in findings}


# -- machines


def machine(**changes: Any) -> Machine:
    """A usual machine without a GPU."""
    usual = Machine(
        system="Linux",
        python="3.11.7",
        cpu=Cpu("Some CPU", "x86_64", ("AVX2", "AVX-512"), 8, 8.0),
        memory=Memory(16 * GB, 12 * GB, shared=8 * GB),
        runtimes=(
            InstalledRuntime("openvino", "2026.4", "", ("cpu",)),
            InstalledRuntime("onnxruntime", "1.31", "", ("CPU",)),
            InstalledRuntime("torch", "2.15", "CUDA 13.2", ("cpu",)),
        ),
        opencvs=("opencv-python-headless",),
        onnxruntimes=("onnxruntime",),
        disks=(Disk("library", "/data", 90 * GB, 100 * GB), Disk("models", "/data", 90 * GB, 100 * GB)),
    )
    return dataclasses.replace(usual, **changes)


H200 = Gpu("NVIDIA", "NVIDIA H200", usable=True, memory=140 * GB, driver="580.95.05")
SILENT = Gpu("NVIDIA", "NVIDIA 0x2335", usable=False)


def with_torch(build: str, *devices: str) -> tuple[InstalledRuntime, ...]:
    return (
        InstalledRuntime("openvino", "2026.4", "", ("cpu",)),
        InstalledRuntime("onnxruntime", "1.31", "", ("CPU",)),
        InstalledRuntime("torch", "2.15", build, (*devices, "cpu"), accelerated=bool(devices)),
    )


def test_a_usual_machine_has_nothing_to_say() -> None:
    assert levels(check_machine(machine())) == {"no_gpu": "ok"}


@pytest.mark.parametrize(
    ("changes", "code", "level", "words"),
    [
        ({"gpus": (H200,), "runtimes": with_torch("CPU only")}, "gpu_not_used", "problem", "pip install"),
        ({"gpus": (H200,), "runtimes": with_torch("CUDA 13.2")}, "gpu_not_used", "problem", "driver may be too old"),
        ({"gpus": (SILENT,)}, "gpu_without_driver", "problem", "nvidia-smi"),
        ({"gpus": (H200,), "runtimes": with_torch("CUDA 13.2", "cuda: H200")}, "gpu", "ok", "can be used by torch"),
        ({"gpus": (Gpu("Intel", "Intel 0x56a0", False),)}, "gpu_unknown", "ok", "no runtime uses it"),
        ({"opencvs": ("opencv-python-headless", "opencv-python")}, "several_opencvs", "problem", "--force-reinstall"),
        ({"opencv_problem": "libGL.so.1: not found"}, "opencv_broken", "problem", "libGL.so.1"),
        ({"onnxruntimes": ("onnxruntime", "onnxruntime-gpu")}, "several_onnxruntimes", "warning", "onnxruntime-gpu"),
        (
            {"runtimes": (InstalledRuntime("torch", "2.15", problem="ImportError: libcudart"),)},
            "runtime_broken",
            "problem",
            "libcudart",
        ),
        ({"cpu": Cpu("Old CPU", "x86_64", ("AVX-VNNI",), 4, 4.0)}, "no_avx2", "warning", "AVX2"),
        ({"cpu": Cpu("Some CPU", "x86_64", ("AVX2",), 64, 0.5)}, "few_cores", "warning", "0.5 of the machine's 64"),
        ({"memory": Memory(2 * GB, 1 * GB)}, "little_memory", "warning", "--workers 1"),
        ({"memory": Memory(16 * GB, 1 * GB)}, "memory_in_use", "warning", "Close other programs"),
        ({"memory": Memory(16 * GB, 12 * GB, shared=64 << 20)}, "little_shared_memory", "warning", "--shm-size"),
        ({"disks": (Disk("library", "/data", GB // 10, 9 * GB),)}, "disk_full", "problem", "/data"),
        ({"disks": (Disk("models", "/data", 2 * GB, 9 * GB),)}, "disk_nearly_full", "warning", "/data"),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_what_is_wrong_with_a_machine(changes: dict[str, Any], code: str, level: str, words: str) -> None:
    [finding] = [each for each in check_machine(machine(**changes)) if each.code == code]
    assert finding.level == level
    assert words in " ".join((finding.message, finding.advice, *finding.commands))
    assert finding.level == "ok" or finding.advice or finding.commands


def test_the_processor_is_read_from_cpuinfo() -> None:
    flags = "fpu avx2 avx512f avx512_vnni avx512_bf16"
    amd = f"processor\t: 0\nmodel name\t: AMD  EPYC 9R14\nflags\t\t: {flags}\n\nprocessor: 1\n"
    assert parse_cpuinfo(amd) == ("AMD EPYC 9R14", ("AVX2", "AVX-512", "AVX-512 VNNI", "AVX-512 BF16"))
    arm = "processor : 0\nFeatures : fp asimd asimddp i8mm bf16\nCPU implementer : 0x41\n"
    assert parse_cpuinfo(arm) == ("", ("NEON", "dot product", "BF16", "I8MM"))


def test_limits_of_containers_are_read_in_both_versions_and_from_the_groups_around(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    inner = tmp_path / "v2" / "a" / "b"
    inner.mkdir(parents=True)
    own.write_text("0::/a/b\n")
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    assert core_limit(tmp_path / "v2", own) == 1.5

    old = tmp_path / "v1" / "cpu" / "docker"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("200000")
    (old / "cpu.cfs_period_us").write_text("100000")
    own.write_text("4:memory:/docker\n3:cpu,cpuacct:/docker\n")
    assert core_limit(tmp_path / "v1", own) == 2.0
    (old / "cpu.cfs_quota_us").write_text("-1")
    assert core_limit(tmp_path / "v1", own) is None
    assert core_limit(tmp_path / "nowhere", tmp_path / "nothing") is None


def test_gpus_are_seen_on_the_bus_without_a_driver(tmp_path: Path) -> None:
    for slot, vendor, kind in (
        ("00", "0x10de", "0x030200"),
        ("01", "0x8086", "0x060000"),
        ("02", "0x1002", "0x030000"),
    ):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "vendor").write_text(vendor + "\n")
        (tmp_path / slot / "class").write_text(kind + "\n")
        (tmp_path / slot / "device").write_text("0x2335\n")
    assert [(gpu.vendor, gpu.usable) for gpu in pci_gpus(tmp_path)] == [("NVIDIA", False), ("AMD", False)]


def test_the_version_of_the_driver_is_read(tmp_path: Path) -> None:
    said = tmp_path / "version"
    said.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n")
    assert driver_version(said) == "580.95.05"
    assert driver_version(tmp_path / "none") is None


# -- models


def test_missing_weights_come_with_each_command_once() -> None:
    pull = "photoindex models pull siglip"
    facts = [
        ModelFacts("embedding", "siglip", "missing", "x", pull, 2 * GB),
        ModelFacts("tags", "zero-shot", "missing", "x", pull, 0),
        ModelFacts("ocr", "bundled", "installed"),
    ]
    [finding] = check_models(facts, 50 * GB)
    assert (finding.code, finding.level, finding.commands) == ("weights_missing", "warning", (pull,))
    assert finding.advice == "Fetch them (about 2.0 GB), then scan again:"
    assert "no_room_for_weights" in levels(check_models(facts, GB))
    facts += [
        ModelFacts("faces", "buffalo", "missing", "x", "photoindex models pull buffalo"),
        ModelFacts("captions", "blip", "missing", "x", "pip install blip"),
    ]
    [finding] = check_models(facts, 50 * GB)
    assert finding.commands == ("photoindex models pull siglip buffalo", "pip install blip")
    assert "about" not in finding.advice  # one of the sizes is not known


def test_a_model_whose_files_are_damaged_and_one_whose_form_deviates() -> None:
    broken = ModelFacts("faces", "buffalo", "broken", "it has 3 bytes", "photoindex models pull buffalo")
    refused = ModelFacts("embedding", "clip", "installed", refused_forms={"visual": "it deviates (cosine 0.9)"})
    nothing = ModelFacts("ocr", "pp", "installed", "Nothing on this machine can run it", ways=(Way("a", "absent"),))
    found = check_models([broken, refused, nothing])
    assert [(each.code, each.level) for each in found] == [
        ("model_unusable", "problem"),
        ("model_unusable", "problem"),
        ("form_refused", "warning"),
    ]
    assert "cosine 0.9" in found[2].message
    assert "torch runs it instead" in found[2].advice


def test_a_form_for_queries_that_failed_cannot_be_replaced_by_torch() -> None:
    [finding] = check_models([ModelFacts("embedding", "clip", "installed", refused_forms={"text": "it gives NaN"})])
    assert (finding.code, finding.level) == ("form_refused", "problem")
    assert "photoindex models use NAME" in finding.commands
    assert "it gives NaN" in finding.message
    assert "torch" not in finding.advice


def test_the_models_of_a_profile_say_what_they_run_on_and_why(tiny_clip: Shell) -> None:
    models = {
        each["task"]: each for each in tiny_clip("doctor", "--quick", "--json", "--profile", "tiny").json["models"]
    }
    assert models["faces"]["state"] == "missing"
    assert models["faces"]["command"] == "photoindex models pull yunet-sface"
    assert models["tags"]["runtime"] is None
    assert "vectors of tiny-clip" in models["tags"]["why"]
    ways = {way["runtime"]: way for way in models["ocr"]["ways"]}
    assert ways["onnxruntime-cpu-f32"]["absent"] is None
    assert "models.toml" in ways["torch-cpu-f32"]["absent"]
    assert models["ocr"]["runtime"] in ways


# -- speed


def stage(name: str, rate: float, runtime: str | None = None) -> Stage:
    return Stage(name, 100, 100 / rate, (rate,), runtime)


def test_the_bottleneck_is_the_stage_that_takes_most_time() -> None:
    stages = [stage("decode", 20.0), stage("embedding", 10.0), stage("ocr", 5.0), stage("store", 100.0), Stage("faces")]
    shared = find_bottleneck(stages, shared_cores=True)
    assert shared is not None
    assert shared.stage == "ocr"
    assert shared.expected == pytest.approx(1 / (0.05 + 0.1 + 0.2 + 0.01))
    apart = find_bottleneck(stages, shared_cores=False)
    assert apart is not None
    assert apart.expected == pytest.approx(1 / 0.3)
    assert find_bottleneck([Stage("decode")], shared_cores=True) is None


@pytest.mark.parametrize(
    ("on_cpu_as", "on_gpu_as"),
    [("openvino-cpu-bf16", "torch-cuda-f16"), ("openvino-cpu-bf16-streams", "torch-cuda-f16-compiled")],
)
def test_a_model_on_the_processor_beside_a_usable_gpu_is_told(on_cpu_as: str, on_gpu_as: str) -> None:
    gpu = machine(gpus=(H200,), runtimes=with_torch("CUDA 13.2", "cuda: H200"))
    on_cpu, on_gpu = stage("ocr", 5.0, on_cpu_as), stage("embedding", 300.0, on_gpu_as)
    assert (uses_gpu([on_cpu, on_gpu]), uses_gpu([on_cpu])) == (True, False)
    found = [each for each in check_speed([on_cpu, on_gpu], gpu) if each.code == "cpu_fallback"]
    assert len(found) == 1
    assert f"ocr runs on {on_cpu_as}" in found[0].message
    assert "onnxruntime-gpu" in found[0].commands[0]
    assert not [each for each in check_speed([on_cpu], machine()) if each.code == "cpu_fallback"]


def test_a_model_that_does_not_load_is_a_problem() -> None:
    [finding] = check_speed([Stage("ocr", problem="it cannot be loaded", skipped="model_unusable")], machine())
    assert (finding.level, finding.code) == ("problem", "model_unusable")


# -- the command


def test_it_works_without_a_library_and_without_weights(run: Shell) -> None:
    ran = run("doctor", "--quick")
    assert "none yet: photoindex scan FOLDER" in ran.text
    assert "photoindex models pull siglip2-b-32-256" in ran.text
    assert not run.folder.exists()


@pytest.mark.slow
def test_every_stage_is_measured_on_ones_own_pictures_and_what_fell_is_told(tiny_clip: Shell, tmp_path: Path) -> None:
    with (tiny_clip.home / "models.toml").open("a") as file:
        file.write('\n[profiles.vectors]\nembedding = "tiny-clip"\ntags = "zero-shot-tiny-clip"\n')
    (tmp_path / "mine").mkdir()
    for number in range(6):
        draw(number).save(tmp_path / "mine" / f"{number}.jpg")
    doctor = ("doctor", "--profile", "vectors", "--photos", tmp_path / "mine", "--seconds", "0.3", "--json")
    ran = tiny_clip(*doctor)
    stages = {each["name"]: each for each in ran.json["stages"]}
    measured = {name for name, each in stages.items() if each["rate"]}
    assert measured == {"decode", "place", "embedding", "tags", "store"}
    assert stages["embedding"]["runtime"].startswith(("openvino-", "onnxruntime-", "torch-"))
    assert stages["ocr"]["skipped"] == "no_model"
    assert ran.json["bottleneck"]["stage"] in measured
    assert ran.json["samples"].startswith("6 pictures")
    assert not tiny_clip.folder.exists()
    embedding = next(each for each in ran.json["models"] if each["task"] == "embedding")
    assert embedding["prepared"] is True
    assert embedding["runtime"] == stages["embedding"]["runtime"]

    # The fast form is overwritten afterwards, at its old size: torch takes its place, and that is told.
    [form] = (tiny_clip.home / "models").rglob("visual.onnx")
    form.write_bytes(bytes(form.stat().st_size))
    [finding] = [each for each in tiny_clip(*doctor).json["findings"] if each["code"] == "runtime_fell"]
    assert "and runs on torch-cpu-" in finding["message"]
    assert "when tried once more" not in finding["message"]


def test_a_library_whose_model_is_no_longer_described(tiny_clip: Shell, photos: Path) -> None:
    tiny_clip.scan(photos, code=1)
    with Library.writing(tiny_clip.folder) as library:
        library.catalog.set_setting("profile", "gone")
    ran = tiny_clip("doctor", "--quick", "--json", code=1)
    [finding] = [each for each in ran.json["findings"] if each["code"] == "library_model_unknown"]
    assert "gone" in finding["message"]
    assert finding["commands"] == ["photoindex scan FOLDER --profile fast"]


def test_a_runtime_that_cannot_be_had_is_refused(run: Shell, tmp_path: Path) -> None:
    draw(1).save(tmp_path / "1.jpg")
    refused = run("doctor", "--photos", tmp_path, "--runtime", "ocr=torch-cuda-f16", code=RuntimeRefused.exit_code)
    assert "openvino-cpu" in refused.err
    assert "no runtime is called" in run("doctor", "--quick", "--runtime", "abacus", code=2).err


def test_a_folder_without_pictures_is_wrong_usage(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "holds no pictures" in run("doctor", "--photos", tmp_path / "none", code=2).err
    assert "no folder" in run("doctor", "--photos", tmp_path / "nowhere", code=2).err


def test_json_is_documented(run: Shell) -> None:
    text = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
    section = text.partition("## doctor")[2].partition("\n## ")[0]
    for key in run("doctor", "--quick", "--json").json:
        assert f"`{key}`" in section, key


def _troubled() -> Examination:
    gpu = machine(gpus=(SILENT,), opencvs=("opencv-python-headless", "opencv-python"))
    missing = ModelFacts("embedding", "siglip", "missing", "x", "photoindex models pull siglip", GB)
    path = "/home/somebody/with a very long path/" + "folder/" * 12
    library = LibraryFacts(path, failures=(), last_run=None)
    stages = (stage("decode", 20.0), stage("ocr", 5.0, "openvino-cpu-bf16"), Stage("faces", skipped="weights_missing"))
    findings = [
        *check_machine(gpu),
        *check_models([missing]),
        *check_speed(stages, gpu),
        *check_library(library),
    ]
    slowest = find_bottleneck(stages, shared_cores=True)
    return Examination("1", "fast", gpu, (missing,), None, library, stages, "8 pictures", slowest, tuple(findings))


def test_it_fits_80_columns_and_says_what_to_do_after_each_problem(capsys: pytest.CaptureFixture[str]) -> None:
    examination = _troubled()
    print_examination(examination)
    lines = capsys.readouterr().out.splitlines()
    commands = [command for each in examination.findings if each.level != "ok" for command in each.commands]
    assert commands
    long = [line.strip() for line in lines if len(line) > 80]
    assert all(line in commands or "/folder/" in line for line in long)
    assert all(any(line.strip() == command for line in lines) for command in commands)
    assert lines[-1] == "2 problems, 1 warning."


def test_the_last_scan_is_told() -> None:
    facts = LibraryFacts("/x", last_run=LastRun("0.1", datetime(2026, 1, 2), "interrupted"))
    assert levels(check_library(facts))["last_scan"] == "ok"
