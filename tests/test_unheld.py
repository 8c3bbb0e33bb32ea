"""What a file held before it was edited goes, out of both stores and off the disk; what is only missing stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from conftest import Shell, draw
from photoindex.records import Problem
from photoindex.store.library import Library
from photoindex.store.vectors import image_table
from test_search import lines, photo, taken


def test_a_scan_forgets_what_an_edited_file_held(run: Shell, photos: Path) -> None:
    run.scan(photos, code=1)
    (before,) = run("search", "name:plain", "--format", "json").json
    run("collections", "create", "kept")
    run("collections", "add", "kept", photos / "plain.bmp")
    draw(71).save(photos / "plain.bmp")
    (photos / "beach.webp").unlink()
    run.scan(photos)
    library = run.open()
    known = run.rows("SELECT photo_id FROM photos ORDER BY 1")
    assert len(known) == 11  # one of them cannot be decoded
    assert sorted(library.vectors.ids("documents").tolist()) == [row[0] for row in known]
    for table in ("ledger", "metadata", "hashes"):
        assert set(run.rows(f"SELECT DISTINCT photo_id FROM {table}")) <= set(known)
    assert not library.thumbnail_path(before["photo"]).exists()
    assert len([*(run.folder / "cache").rglob("*.jpg")]) == 10
    assert run("search", "name:beach.webp", "--count").text == "1\n"
    assert run.rows("SELECT sha256 FROM collection_photos") == [(before["photo"],)]  # it may come back


def test_only_photos_without_any_file_go(library: Library) -> None:
    edited, copied, kept = (photo(name, ocr=lines("x"), metadata=taken(2020)) for name in ("a.jpg", "b.jpg", "c.jpg"))
    library.save([edited, copied, kept])
    library.save([replace(copied, file=replace(copied.file, path="/p/copy.jpg"))])
    library.vectors.put_images("m", {item.photo_id: np.ones(4, np.float16) for item in (edited, copied, kept)})
    after = [replace(item, sha256=f"{n}" * 64) for n, item in enumerate((edited, copied))]
    library.save(after, [(kept.file, Problem("unreadable", "The disk fails."))])
    assert library.drop_unheld() == 1
    left = {copied.photo_id, kept.photo_id}
    assert set(library.catalog.photo_ids()) == left | {item.photo_id for item in after}
    assert set(library.vectors.ids(image_table("m")).tolist()) == left
    assert library.drop_unheld() == 0
