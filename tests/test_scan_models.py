"""`photoindex scan` with little memory, and with models that fail."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import QUICK, Shell, draw
from photoindex.config import read_settings
from photoindex.errors import RuntimeUnavailable
from photoindex.models.registry import load_registry
from photoindex.records import View
from photoindex.runtimes.attendant import STUCK
from photoindex.scan import ScanOptions, scan
from photoindex.store.library import Library
from scan_state import ledger

# --- memory ---------------------------------------------------------------------------------------------------------


def test_an_amount_of_memory_that_makes_no_sense_or_never_suffices_is_an_error(
    run: Shell, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'4' is no amount of memory. Write it with its unit" in run("scan", sound, "--max-memory", "4", code=2).err
    assert "--max-memory" in run("scan", sound, "--max-memory", "100M", "--dry-run", code=27).err
    monkeypatch.setenv("PHOTOINDEX_MAX_MEMORY", "100M")
    assert "may take 100M" in run("scan", sound, "--dry-run", code=27).err


def test_a_scan_that_ends_by_an_error_is_noted_as_failed(run: Shell, sound: Path) -> None:
    run("scan", sound, *QUICK, "--max-memory", "100M", code=27)
    assert run.rows("SELECT outcome, ended_at IS NULL FROM runs") == [("failed", False)]


def test_too_little_memory_to_do_a_step_again_forgets_nothing(run: Shell, sound: Path) -> None:
    run("scan", sound, *QUICK)
    before = ledger(run)
    run("scan", sound, *QUICK, "--rescan", "hash", "--max-memory", "100M", code=27)
    assert ledger(run) == before
    assert run.rows("SELECT outcome FROM runs") == [("finished",)]


def test_a_dry_run_shows_how_memory_is_shared(run: Shell, sound: Path) -> None:
    roomy = run("scan", sound, *QUICK, "--dry-run", "--max-memory", "8G")
    assert re.search(r"memory +\d.* of the 8G that it may take", roomy.text)
    assert "workers: 2" in roomy.text
    tight = run("scan", sound, *QUICK, "--dry-run", "--max-memory", "1.6G", "--format", "json").json["memory"]
    assert tight["workers"] == 1
    assert tight["bytes"] <= tight["budget"] == int(1.6 * 2**30)


def test_a_picture_too_large_for_the_memory_is_a_failure_until_there_is_more(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    draw(1).save(tmp_path / "photos" / "usual.png")
    Image.new("RGB", (7_000, 5_000), "teal").save(tmp_path / "photos" / "large.png", compress_level=1)
    report = run.scan(tmp_path / "photos", "--max-memory", "1.3G", code=1)
    assert report["steps"]["hash"] == {"done": 1}
    [failure] = run("failures", "--format", "json").json
    assert (failure["code"], os.path.basename(failure["path"])) == ("over_memory", "large.png")
    assert "35 megapixels, more than a scan may take (1.3G in all)" in failure["message"]
    assert "--retry-failed" in failure["message"]
    again = run.scan(tmp_path / "photos", "--max-memory", "8G", "--retry-failed")
    assert again["steps"]["hash"] == {"done": 1}


def test_large_pictures_are_decoded_by_one_worker_after_the_other(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for n in range(4):
        Image.new("RGB", (6_000, 5_000 + n), "navy").save(tmp_path / "photos" / f"{n}.png", compress_level=1)
    report = run.scan(tmp_path / "photos", "--max-memory", "8G", "--batch-size", "1")
    assert report["steps"]["hash"] == {"done": 4}
    assert (report["memory"]["workers"], report["failed"]) == (2, 0)


@pytest.fixture
def two_large_models(tiny_clip: Shell) -> Shell:
    """OCR, and an embedding model that claims so much that both do not fit into 3 GiB."""
    registry = tiny_clip.home / "models.toml"
    needs = "memory = { weights_mb = 500, picture_mb = { f32 = 1 } }\n"
    registry.write_text(registry.read_text().replace("width = 64\n", f"width = 64\n{needs}"))
    return tiny_clip


PASSES = ("--profile", "tiny", "--steps", "metadata,place,hash,ocr,embedding,tags", "--max-memory", "2300M")


@pytest.mark.slow
def test_models_that_do_not_fit_together_take_turns_over_the_same_photos(two_large_models: Shell, sound: Path) -> None:
    run = two_large_models
    ran = run("scan", sound, *PASSES, "--limit", "4", "--format", "json")
    passes = [set(one["models"]) for one in ran.json["memory"]["passes"]]
    assert sorted(map(len, passes)) == [1, 2]
    assert {"ocr"} in passes
    [line] = [note for note in ran.json["notes"] if "2 times" in note]
    assert line in ran.err
    assert "More --max-memory makes it one." in line
    assert (ran.json["analysed"], ran.json["failed"], ran.json["due"]) == (4, 0, 4)
    steps = ("metadata", "place", "hash", "ocr", "embedding", "tags")
    assert {step: counts["done"] for step, counts in ran.json["steps"].items()} == dict.fromkeys(steps, 4)
    assert run.rows("SELECT count(DISTINCT photo_id), count(*) FROM ledger WHERE status = 'done'") == [(4, 24)]


@pytest.mark.slow
def test_a_scan_stopped_between_passes_goes_on_with_what_is_left(two_large_models: Shell, sound: Path) -> None:
    run, seen = two_large_models, []
    settings = read_settings()
    options = ScanOptions(
        steps=("metadata", "ocr", "embedding"),
        profile="tiny",
        max_memory=2300 << 20,
        limit=3,
        progress=lambda moment: seen.append(moment.stage),
        stop=lambda: seen.count("analyse (1 of 2)") > 0,
    )
    registry = load_registry(settings.user_models)
    with Library.writing(settings.library) as library:
        first = scan(library, [str(sound)], registry, settings.models_dir, options)
        assert first.interrupted
        assert len(first.steps) == 2  # metadata, and the one model of the first pass
        again = scan(library, [str(sound)], registry, settings.models_dir, replace(options, stop=lambda: False))
    [left] = {"ocr", "embedding"} - set(first.steps)
    assert again.steps[left]["done"] == 3
    assert run.rows("SELECT step FROM ledger WHERE status <> 'done'") == []


class Dying:
    """A step with a model that works for three pictures and never again."""

    model, runtime, batch_size = "dying", "test-cpu-f32", 2
    views = (View("embedding", "crop", 48),)
    left = 3

    def run(self, pictures: list[Any], _: list[Any]) -> list[Any]:
        if self.left < len(pictures):
            raise RuntimeUnavailable("dying", "the device is gone")
        self.left -= len(pictures)
        return [np.ones(64, np.float16)] * len(pictures)

    def close(self) -> None:
        self.left = 0


@pytest.mark.slow
def test_a_model_that_dies_is_left_out_and_the_rest_goes_on(
    tiny_clip: Shell, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_clip
    arguments = ("scan", sound, "--profile", "tiny", "--steps", "metadata,hash,embedding", "--workers", "1")
    with monkeypatch.context() as patch:
        patch.setattr("photoindex.scan.steps.open_model_step", lambda *_: Dying())
        ran = run(*arguments, "--format", "json")
    assert ran.json["steps"]["hash"] == {"done": 10}
    assert ran.json["steps"]["embedding"] == {"done": 3, "skipped": 7}
    assert ran.json["skipped"]["embedding"]["code"] == "model_died"
    assert "the device is gone" in ran.json["skipped"]["embedding"]["message"]
    [line] = [note for note in ran.json["notes"] if "stopped working" in note]
    assert ran.err.count(line) == 1
    assert ran.json["failed"] == 0
    assert run.rows("SELECT DISTINCT runtime FROM ledger WHERE step = 'embedding' AND status = 'done'") == [
        ("test-cpu-f32",)
    ]
    assert run(*arguments, "--format", "json").json["steps"] == {"embedding": {"done": 7}}


def test_a_scan_beside_a_call_that_is_stuck_leaves_at_once_with_its_own_exit_code(run: Shell, sound: Path) -> None:
    """And the next scan of the same process works: this one ended none of what both need."""
    over = threading.Event()
    threading.Thread(target=over.wait, name=STUCK, daemon=True).start()
    try:
        assert run.scan(sound, "--limit", "3")["analysed"] == 3
        assert run.scan(sound)["analysed"] == 8
    finally:
        over.set()


class Choosy(Dying):
    """A step with a model that cannot take one picture, and is sound otherwise."""

    def run(self, pictures: list[Any], _: list[Any]) -> list[Any]:
        if any(picture.file.path.endswith("plain.bmp") for picture in pictures):
            raise RuntimeUnavailable("dying", "not this one")
        return [np.ones(64, np.float16)] * len(pictures)


def test_a_picture_that_a_model_cannot_take_fails_alone(
    tiny_clip: Shell, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoindex.scan.steps.open_model_step", lambda *_: Choosy())
    arguments = ("scan", sound, "--profile", "tiny", "--steps", "embedding", "--workers", "1", "--batch-size", "1")
    assert tiny_clip(*arguments, "--format", "json", code=1).json["steps"]["embedding"] == {"done": 9, "failed": 1}
