"""What everyday words reach in a library: kept up to date photo by photo, and the same as measured at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import Shell
from photoindex.store.background import Background, BackgroundFile

pytest.importorskip("scenes", reason="scripts/scenes.py draws what the small model knows")

from scenes import render_scene

SCENES = ("a red circle", "a blue car", "a sun", "a green star", "a house in the snow")


def measured(run: Shell) -> Background:
    found = BackgroundFile(run.folder / "vectors", "image-tiny-clip").read()
    assert found is not None
    return found


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
