"""What a scan shows while it loads models, and what it refuses before it begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import photoindex.render.scanning
import photoindex.scan.steps
from conftest import Shell
from photoindex.config import read_settings
from photoindex.models.identity import HASHES
from photoindex.models.registry import load_registry
from photoindex.records import RuntimeOptions, ScanReport
from photoindex.render.output import ScanFormat
from photoindex.render.scanning import bottleneck, print_report, progress_view
from photoindex.runtimes.session import Interrupted
from photoindex.scan import ScanOptions, scan
from photoindex.scan.chosen import choices_in
from photoindex.scan.options import ScanProgress
from photoindex.scan.steps import Steps, told_and_stopped
from photoindex.scan.use import use_model
from photoindex.steps import STEPS
from photoindex.store.library import Library


def test_what_is_loaded_and_measured_is_told_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def load(spec: Any, installed: Any, options: RuntimeOptions) -> Any:
        options.doing("measure openvino-cpu-f32")
        told.append("loaded")
        return SimpleNamespace(runtime="test", close=lambda: None)

    monkeypatch.setattr(photoindex.scan.steps, "open_model_step", load)
    steps = Steps([STEPS["embedding"]])
    steps.installed["embedding"] = SimpleNamespace(spec=SimpleNamespace(name="clip"), base=None)  # type: ignore[assignment]
    steps.open({"embedding"}, lambda: False, RuntimeOptions(doing=told.append))
    assert told == ["embedding: load clip", "embedding: measure openvino-cpu-f32", "loaded"]


def test_where_there_is_no_terminal_a_line_says_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(photoindex.render.scanning.time, "monotonic", lambda: now[0])
    with progress_view() as view:
        view.show(ScanProgress("embedding: load clip", is_waiting=True))
        now[0] += 3
        view.show(ScanProgress("embedding: measure openvino-cpu-f32", is_waiting=True))
        view.show(ScanProgress("analyse", 1, 9))
        now[0] += 20
        view.show(ScanProgress("analyse", 2, 9))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "embedding: measure openvino-cpu-f32"
    assert said[1].startswith("analyse: 2 of 9")
    assert len(said) == 2


def test_loading_is_no_bottleneck_of_the_rate() -> None:
    assert bottleneck({"load": 30.0, "decode": 3.0, "ocr": 1.0}) == "decoding 75%"


def test_a_dry_run_refuses_a_runtime_that_a_model_cannot_run_on(run: Shell, photos: Path) -> None:
    refused = run("scan", photos, "--dry-run", "--steps", "ocr", "--runtime", "ocr=torch-cuda", code=22)
    assert "torch-cuda" in refused.err
    assert "onnxruntime-cpu-f32" in refused.err
    run("scan", photos, "--dry-run", "--steps", "ocr", "--runtime", "ocr=onnxruntime-cpu-f32")


def test_ctrl_c_does_not_wait_for_weights_that_are_read_for_the_first_time(tiny_clip: Shell, sound: Path) -> None:
    settings, seen = read_settings(), list[str]()
    registry = load_registry(settings.user_models)
    for kept in settings.models_dir.rglob(HASHES):
        kept.unlink()
    first = "check open_clip_model.safetensors (20%)"  # of four megabytes
    options = ScanOptions(("embedding",), "tiny", progress=lambda p: seen.append(p.stage), stop=lambda: first in seen)
    with Library.writing(tiny_clip.folder) as library:
        report = scan(library, [str(sound)], registry, settings.models_dir, options)
        assert (report.interrupted, report.run_id, report.found) == (True, 0, 0)
        assert seen == ["check open_clip_config.json (100%)", first]
        assert library.runs.latest() == []
        follow = told_and_stopped(lambda: True, seen.append)
        with pytest.raises(Interrupted):
            use_model(library, registry, settings.models_dir, registry.model("tiny-clip"), None, follow)
        assert choices_in(library.catalog.settings()) == {}


def test_a_scan_that_was_stopped_before_it_began_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(ScanReport(0, interrupted=True), ScanFormat.table)
    assert capsys.readouterr() == ("", "Stopped as asked; nothing was saved yet.\n")
