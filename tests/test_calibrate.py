"""What everyday words reach in a library: kept up to date photo by photo, and the same as measured at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import Shell
from photoindex.search.nearest import background, by_vector
from photoindex.store.background import Background, BackgroundFile
from photoindex.store.catalog import Wanted
from photoindex.store.library import Library

pytest.importorskip("scenes", reason="scripts/scenes.py draws what the small model knows")

from scenes import render_scene

SCENES = ("a red circle", "a blue car", "a sun", "a green star", "a house in the snow")


def measured(run: Shell) -> Background:
    found = BackgroundFile(run.folder / "vectors", "image-tiny-clip").read()
    assert found is not None
    return found


@pytest.mark.slow
def test_photos_that_come_are_added_to_what_was_measured(tiny_clip: Shell, tmp_path: Path) -> None:
    photos = tmp_path / "scenes"
    photos.mkdir()
    scan = ("scan", photos, "--steps", "embedding", "--profile", "tiny")
    for n, words in enumerate(SCENES[:3]):
        render_scene(words, seed=n).save(photos / f"{n}.png")
    tiny_clip(*scan)
    few = measured(tiny_clip)
    for n, words in enumerate(SCENES[3:], 3):
        render_scene(words, seed=n).save(photos / f"{n}.png")
    tiny_clip(*scan)
    added = measured(tiny_clip)
    assert (len(few.photos), len(added.photos)) == (3, 5)
    assert (added.reached >= few.reached).all()
    assert (added.reached > few.reached).any()
    (tiny_clip.folder / "vectors" / "image-tiny-clip.background.npz").write_bytes(b"damaged")
    tiny_clip(*scan)
    anew = measured(tiny_clip)
    for name in ("words", "crowd", "reached", "mean"):
        assert np.allclose(getattr(anew, name), getattr(added, name), atol=2e-3), name
    assert anew.photos.tolist() == added.photos.tolist()
    assert len(anew.words) >= 8
    assert len(anew.crowd) > 100  # words that the small model was never shown


TABLE = "image-clip"


def some_background(width: int, version: str) -> Background:
    words = np.eye(8, width, dtype=np.float32)
    return Background(words, words[:2], words[:, 0], words[0], np.arange(3), f"{version} texts")


def of_version(library: Library, fingerprint: str) -> None:
    library.expect_versions([Wanted("embedding", 1, "clip", fingerprint)])


def test_a_background_goes_with_its_table_when_the_model_changes_its_version(library: Library) -> None:
    file = BackgroundFile(library.vectors.folder, TABLE)
    of_version(library, "old")
    library.vectors.put_images("clip", {n: np.eye(3, 16, dtype=np.float16)[n] for n in range(3)})
    file.write(some_background(16, "old"))
    of_version(library, "new")
    assert background(library, "clip") is None
    assert not file.path.exists()
    library.vectors.put_images("clip", {0: np.ones(32, np.float16)})
    file.write(some_background(32, "new"))
    of_version(library, "old")
    assert getattr(background(library, "clip"), "version", None) == "old"
    assert library.vectors.drop(TABLE) > 0
    assert not file.path.exists()
    assert (library.vectors.folder / f"{TABLE}.new.background.npz").exists()


def test_a_background_of_other_vectors_cuts_nothing(library: Library) -> None:
    of_version(library, "new")
    library.vectors.put_images("clip", {n: np.eye(3, 16, dtype=np.float16)[n] for n in range(3)})
    BackgroundFile(library.vectors.folder, TABLE).write(some_background(16, "old"))
    assert background(library, "clip") is None
    query = np.eye(1, 16, dtype=np.float32)[0]
    found = by_vector(library, "clip", query, 10, None, some_background(32, "new"))
    assert (found.answers[0].photo_id, found.answers[0].kept) == (0, True)
    assert len(found.answers) == 3
