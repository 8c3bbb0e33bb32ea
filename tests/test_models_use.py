"""`photoindex models use`: a library changes its models, and searching never loses a photo by it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Shell, install_tiny_clip, shell
from photoindex.cli.options import registry_of
from photoindex.config import read_settings
from photoindex.scan.switching import drop_old_vectors
from photoindex.store.library import Library

pytest_plugins = ("small_clip",)

PHOTOS = 12
Ended = Callable[[subprocess.Popen[bytes]], subprocess.Popen[bytes]]
# Two pictures a batch; once two batches are saved, the writer waits for a file called `go`.
IN_STEPS = """
import time
from pathlib import Path
import photoindex.scan.budget as budget
from photoindex.store.library import Library
budget.DEFAULT_BATCH = 2
save, saved = Library.save, []

def wait(*arguments):
    save(*arguments)
    saved.append(1)
    while len(saved) == 2 and not Path({go!r}).exists():
        time.sleep(0.02)

Library.save = wait
"""


def add_models(run: Shell) -> None:
    """`better-clip` with its tags beside `tiny-clip`: the same weights, so that what is right is known. `lone-clip`
    is an embedding model that no tags build on."""
    registry = run.home / "models.toml"
    blocks = registry.read_text()
    better = blocks.partition("[profiles.tiny]")[0].replace("tiny-clip]", "better-clip]")
    better = better.replace('embedding = "tiny-clip"', 'embedding = "better-clip"')
    lone = better.partition("[models.zero-shot")[0].replace("better-clip]", "lone-clip]")
    registry.write_text(blocks + better + lone)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory, clip: Any) -> Iterator[Path]:
    """The home and photos of a library with vectors and tags of tiny-clip. Tests work on copies."""
    from scenes import THINGS, render_scene

    folder = tmp_path_factory.mktemp("use")
    (folder / "photos").mkdir()
    for n, thing in zip(range(PHOTOS), THINGS, strict=False):
        render_scene(f"a {thing}", seed=n).save(folder / "photos" / f"{n}.png")
    with pytest.MonkeyPatch.context() as patch:
        run = shell(folder / "home", patch)
        install_tiny_clip(run)
        add_models(run)
        arguments = ("--steps", "metadata,embedding,tags", "--profile", "tiny", "--format", "json")
        assert run("scan", folder / "photos", *arguments).json["steps"]["tags"] == {"done": PHOTOS}
        run("models", "use", "better-clip", "--later")  # makes its forms once for all tests
        run("models", "use", "better-clip")
        shutil.rmtree(run.folder)
        run("scan", folder / "photos", *arguments)
        yield folder


@pytest.fixture
def run(scanned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    shutil.copytree(scanned / "home", tmp_path / "home")
    return shell(tmp_path / "home", monkeypatch)


def searched_by(run: Shell) -> str:
    return str(run.open().catalog.settings()["embedding_model"])


def made_by(run: Shell) -> dict[str, int]:
    return dict(run.rows("SELECT model, count(*) FROM ledger WHERE step = 'embedding' GROUP BY 1"))


def searchable(run: Shell) -> int:
    """How many photos a search by meaning lists, good matches and others."""
    arguments = ("--mode", "semantic", "--all", "--limit", "0", "--format", "paths")
    return len(run("search", "a red circle", *arguments).out.splitlines())


@pytest.mark.slow
def test_new_vectors_are_made_searched_and_the_old_kept_until_they_are_dropped(run: Shell) -> None:
    used = run("models", "use", "better-clip", "--format", "json")
    assert used.json["chosen"] == {"embedding": "better-clip", "tags": "zero-shot-better-clip"}
    assert (used.json["change"], used.json["due"]) == (None, {"embedding": 0, "tags": 0})
    assert f"tiny-clip → better-clip, {PHOTOS} of {PHOTOS}. Searching uses the new vectors now" in used.err
    assert (searched_by(run), made_by(run)) == ("better-clip", {"better-clip": PHOTOS})
    assert searchable(run) == PHOTOS
    assert run.rows("SELECT DISTINCT model FROM tags") == [("zero-shot-better-clip",)]
    assert {"image-tiny-clip", "image-better-clip"} <= set(run.open().vectors.tables())
    freed = run("models", "use", "better-clip", "--drop-old", "--format", "json").json["freed"]
    assert list(freed) == ["image-tiny-clip"]
    assert freed["image-tiny-clip"] > 0
    assert "image-tiny-clip" not in run.open().vectors.tables()
    assert searchable(run) == PHOTOS


@pytest.mark.slow
def test_a_change_stopped_in_the_middle_searches_the_old_vectors_and_goes_on_with_the_next_scan(
    run: Shell, scanned: Path, ended: Ended, tmp_path: Path
) -> None:
    script = IN_STEPS.format(go=str(tmp_path / "go"))
    process = ended(run.start("models", "use", "better-clip", script=script))
    deadline = time.monotonic() + 600
    while made_by(run).get("better-clip", 0) < 4:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert searched_by(run) == "tiny-clip"
    assert searchable(run) == PHOTOS  # while it runs
    os.kill(process.pid, signal.SIGINT)
    (tmp_path / "go").touch()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err.decode()
    assert b"The next scan goes on" in err
    done = made_by(run)["better-clip"]
    assert 4 <= done < PHOTOS
    assert searched_by(run) == "tiny-clip"
    assert searchable(run) == PHOTOS
    assert f"embedding: tiny-clip → better-clip, {done} of {PHOTOS}" in run("status").err
    shown = run("models", "use", "--format", "json").json
    assert shown["change"] == {
        "before": "tiny-clip", "after": "better-clip", "done": done, "total": PHOTOS, "problem": None
    }  # fmt: skip
    report = run("scan", scanned / "photos", "--steps", "embedding", "--format", "json").json
    assert report["steps"]["embedding"] == {"done": PHOTOS - done}
    assert (searched_by(run), searchable(run)) == ("better-clip", PHOTOS)
    assert "embedding:" not in run("status").err


def test_going_back_to_a_finished_model_searches_its_vectors_and_has_its_tags(run: Shell) -> None:
    run("models", "use", "better-clip")
    back = run("models", "use", "tiny-clip", "--format", "json")
    assert f"better-clip → tiny-clip, {PHOTOS} of {PHOTOS}. Searching uses the new vectors now" in back.err
    assert (back.json["change"], back.json["due"]) == (None, {"embedding": 0, "tags": 0})
    assert (searched_by(run), made_by(run)) == ("tiny-clip", {"tiny-clip": PHOTOS})
    assert run.rows("SELECT DISTINCT model FROM tags") == [("zero-shot-tiny-clip",)]
    assert list(run("models", "use", "tiny-clip", "--drop-old", "--format", "json").json["freed"]) == [
        "image-better-clip"
    ]
    assert searchable(run) == PHOTOS


def test_dropping_searches_the_vectors_that_are_complete_first(run: Shell, scanned: Path) -> None:
    run("models", "use", "better-clip")
    settings = read_settings()
    registry = registry_of(settings)
    with Library.writing(run.folder) as library:
        library.catalog.set_setting("embedding_model", "tiny-clip")  # as a killed scan leaves it
        freed = drop_old_vectors(library, registry, settings.models_dir, registry.model("better-clip"))
    assert list(freed) == ["image-tiny-clip"]
    assert (searched_by(run), searchable(run)) == ("better-clip", PHOTOS)


def test_going_back_in_the_middle_does_nothing_twice(run: Shell, scanned: Path) -> None:
    run("models", "use", "better-clip", "--later")
    run("scan", scanned / "photos", "--steps", "embedding", "--limit", "5")
    assert made_by(run) == {"better-clip": 5, "tiny-clip": PHOTOS - 5}
    back = run("models", "use", "tiny-clip", "--format", "json").json
    assert (back["report"], back["change"]) == (None, None)
    assert made_by(run) == {"tiny-clip": PHOTOS}
    forth = run("models", "use", "better-clip", "--later", "--format", "json").json
    assert forth["change"]["done"] == 5
    report = run("scan", scanned / "photos", "--steps", "embedding", "--format", "json").json
    assert report["steps"]["embedding"] == {"done": PHOTOS - 5}
    assert run("models", "use", "tiny-clip", "--later", "--format", "json").json["due"]["embedding"] == 0
    assert run("scan", scanned / "photos", "--steps", "embedding", "--format", "json").json["due"] == 0
    assert (searched_by(run), made_by(run)) == ("tiny-clip", {"tiny-clip": PHOTOS})


def test_a_photo_made_again_on_request_is_made_again_after_a_change_there_and_back(run: Shell, scanned: Path) -> None:
    run("models", "use", "better-clip")
    run("models", "use", "tiny-clip", "--later")
    arguments = ("scan", scanned / "photos", "--steps", "embedding", "--rescan", "embedding", "--format", "json")
    assert run(*arguments).json["steps"]["embedding"] == {"done": PHOTOS}


def test_dropping_needs_the_work_to_be_done(run: Shell) -> None:
    assert "--later does not make them" in run("models", "use", "better-clip", "--later", "--drop-old", code=2).err
    assert "Name a model" in run("models", "use", "--drop-old", code=2).err
    assert run.rows("SELECT * FROM settings WHERE key LIKE 'model for%'") == []


def test_missing_photos_do_not_hold_the_change_up_and_unreachable_folders_do(
    run: Shell, scanned: Path, tmp_path: Path
) -> None:
    from scenes import render_scene

    (tmp_path / "disk").mkdir()
    for n in range(2):
        render_scene("a red circle", seed=100 + n).save(tmp_path / "disk" / f"d{n}.png")
    run("scan", tmp_path / "disk", "--steps", "metadata,embedding,tags")
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    used = run("models", "use", "better-clip", "--format", "json")
    assert f"{tmp_path / 'disk'} is not there now" in used.err
    assert used.json["change"] == {
        "before": "tiny-clip", "after": "better-clip", "done": PHOTOS, "total": PHOTOS + 2, "problem": None
    }  # fmt: skip
    assert (searched_by(run), searchable(run)) == ("tiny-clip", PHOTOS + 2)
    refused = run("models", "use", "better-clip", "--drop-old", code=2)
    assert f"{PHOTOS} of {PHOTOS + 2}. The old vectors are searched until then, and stay" in refused.err
    (tmp_path / "unplugged").rename(tmp_path / "disk")
    (tmp_path / "disk" / "d1.png").unlink()
    run("scan", tmp_path / "disk", "--steps", "embedding")
    assert (searched_by(run), searchable(run)) == ("better-clip", PHOTOS + 1)


def test_what_is_chosen_is_remembered_until_a_profile_is_asked_for(run: Shell, scanned: Path) -> None:
    run("models", "use", "better-clip", "--later")
    rows = {row["task"]: row for row in run("models", "use", "--format", "json").json["models"]}
    assert rows["embedding"] == {"task": "embedding", "model": "better-clip", "chosen_by": "you"}
    assert rows["faces"]["chosen_by"] == "profile"
    dry = run("scan", scanned / "photos", "--steps", "embedding", "--dry-run", "--format", "json").json
    assert dry["due"] == PHOTOS
    dry = ("scan", scanned / "photos", "--steps", "embedding", "--profile", "tiny", "--dry-run", "--format", "json")
    assert run(*dry).json["due"] == 0
    assert run("models", "use", "--format", "json").json["models"][0]["chosen_by"] == "you"  # a dry run changes nothing
    run("scan", scanned / "photos", "--steps", "metadata", "--profile", "tiny")
    assert {row["chosen_by"] for row in run("models", "use", "--format", "json").json["models"]} == {"profile"}
    assert run("models", "use", "--format", "json").json["change"] is None


def test_other_tasks_are_done_again_by_the_next_scan(run: Shell) -> None:
    used = run("models", "use", "rapidocr-ppocr-v6-small")
    assert "The next `photoindex scan` does what is due" in used.err
    assert f"ocr rapidocr-ppocr-v6-small {PHOTOS}" in " ".join(used.text.split())


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("nonsense", 17, "No model is called 'nonsense'"),
        ("ram-plus-swin-l", 18, "photoindex models pull ram-plus-swin-l"),
        ("zero-shot-better-clip", 2, "Run `photoindex models use better-clip` first"),
        ("lone-clip", 2, "Add a zero-shot block for lone-clip"),
    ],
)
def test_what_cannot_be_chosen_is_said_and_nothing_changes(run: Shell, name: str, code: int, message: str) -> None:
    assert message in run("models", "use", name, code=code).err
    assert run.rows("SELECT * FROM settings WHERE key LIKE 'model for%'") == []
    assert run("models", "use", "rapidocr-ppocr-v6-small", "--drop-old", code=2).err.count("replaced photo by photo")


def test_a_choice_that_models_toml_no_longer_holds_is_said(run: Shell, scanned: Path) -> None:
    run("models", "use", "better-clip", "--later")
    install_tiny_clip(run)
    assert "'better-clip'" in run("scan", scanned / "photos", "--steps", "embedding", code=17).err
    run("scan", scanned / "photos", "--steps", "embedding", "--profile", "tiny")


def test_a_library_whose_profile_no_models_file_defines_asks_for_that_file(scanned: Path, run: Shell) -> None:
    (run.home / "models.toml").unlink()
    for command in (("scan", scanned / "photos", "--dry-run"), ("models", "use")):
        assert "This library's profile 'tiny' is in no models file" in run(*command, code=17).err


def test_texts_that_a_run_killed_at_its_end_has_left_are_written_though_nothing_else_is_due(run: Shell) -> None:
    with Library.writing(run.folder) as library:
        library.catalog.make_documents_due()
    assert run.open().catalog.documents_due()
    assert run("models", "use", "tiny-clip", "--format", "json").json["report"] is None
    assert run.open().catalog.documents_due() == []
