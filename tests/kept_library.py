"""A library with something of every kind in it, without any scan, and all that it holds, to be compared."""

from __future__ import annotations

import hashlib
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photoindex.dupes.decisions import id_of
from photoindex.keeping import backup
from photoindex.records import (
    Analysed,
    Candidate,
    Decision,
    Face,
    FoundFile,
    Hashes,
    Look,
    Metadata,
    Outcome,
    PhotoCollection,
    Place,
    TagRule,
    TextLine,
    photo_id_of,
)
from photoindex.scan.documents import write_due_documents
from photoindex.store.background import Background, BackgroundFile
from photoindex.store.library import Library

WHEN = datetime(2026, 5, 1, 12, 30)
PHOTOS = 12
# Times and numbers of no meaning, which differ between two libraries of the same photos.
_LEFT_OUT = {"schema_migrations", "runs", "run_details"}


def sha(n: int) -> str:
    return hashlib.sha256(b"%d" % n).hexdigest()


def photo_id(n: int) -> int:
    return photo_id_of(sha(n))


BOTH = {sha(0): 1, sha(3): 2}  # photos of a decision


def path_of(n: int) -> str:
    return f"/photos/{'b' if n % 3 == 0 else 'a'}/{n}.jpg"


def thumbnail(n: int) -> bytes:
    return b"\xff\xd8\xff thumbnail %d \xff\xd9" % n


def record(n: int) -> Analysed:
    """A photo with facts of every step, the same at every call."""
    values = np.random.default_rng(n)
    vector = values.normal(size=8)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    face = Face((0, 0, 1, 1), (0.5,) * 10, 0.9, unit)
    facts: dict[str, Any] = {
        "metadata": Metadata("JPEG", 10, 10, title=f"title{n}", keywords=("süß", "🍕")),
        "place": Place("Berlin", None, None, "Germany", "DE"),
        "thumbnail": thumbnail(n),
        "hash": Hashes(values.bytes(32), 100, values.bytes(32), 100, b"t" * 32, b"word", 1.5),
        "ocr": (TextLine(f"text{n}", 0.9, (0.0,) * 8),),
        "embedding": unit.astype(np.float16),
        "tags": (Candidate("cat", 0.5), Candidate(f"tag{n}", 0.25)),
        "faces": (face, face),
        "captions": f"caption {n}",
    }
    models = dict.fromkeys(("embedding", "faces", "tags", "ocr", "captions"), "m")
    outcomes = tuple(Outcome(step, 1, "done", value, models.get(step)) for step, value in facts.items())
    return Analysed(FoundFile(path_of(n), "/photos", 1, 1, 1, n), sha(n), outcomes)


def fill(library: Library, first: int = 0, last: int = PHOTOS) -> None:
    """Photos, as a scan saves them."""
    library.save([record(n) for n in range(first, last)])
    write_due_documents(library)


def say(library: Library) -> None:
    """The user's words of every kind."""
    library.collections.replace(
        {
            "trip": PhotoCollection("trip", None, WHEN, {sha(0): WHEN, sha(1): WHEN, "ef" * 32: WHEN}),
            "cats": PhotoCollection("cats", "tag:cat", WHEN),
        }
    )
    library.decisions.put(
        [
            Decision(id_of(BOTH), "keep-this", BOTH, sha(0), WHEN),
            Decision(id_of({sha(4): 2}), "keep-all", {sha(4): 2}, None, WHEN),
        ]
    )
    library.tag_scores.set_choices("m", {"cat": 0.25, None: 0.125})
    library.tag_scores.put_rule("m", TagRule(0.1), TagRule(0.125, {"cat": 0.25}), applied=True)
    library.catalog.set_categories({"pets": ["cat", "dog"]})
    library.catalog.set_settings({"categories": "set", "profile": "tiny", "model for embedding": "m"})


def make(folder: Path) -> None:
    """A library with all that a library may hold."""
    with Library.writing(folder) as library:
        library.runs.start("0", ["/photos"], "tiny", {})
        say(library)
        fill(library)
        library.catalog.set_setting("embedding_model", "m")
        library.likeness.remember(
            {(photo_id(0), photo_id(1)): Look(True, 0.5, 0.5, 1.0, 1.0)}, {photo_id(2): b"digest"}, 1
        )
        ids = np.sort(library.vectors.ids("image-m"))
        reached, words = np.zeros(2, np.float32), np.ones((2, 8), np.float32)
        background = Background(words, words, reached, np.zeros(8, np.float32), ids, "f x")
        BackgroundFile(library.vectors.folder, "image-m").write(background)
        library.catalog.mark_missing([path_of(5), path_of(6)])


def state(library: Library) -> dict[str, Any]:
    """Every row of both stores, the thumbnails and what lies beside the vectors."""
    found: dict[str, Any] = {}
    with library.catalog.file.read() as con:
        for (table,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall():
            if table not in _LEFT_OUT:
                found[table] = con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
    for table in library.vectors.tables():
        rows = library.vectors.snapshot(table).to_table().to_pylist()
        found[f"{table}.lance"] = sorted(rows, key=lambda row: (row["id"], row.get("face", 0)))
    files = [*library.folder.glob("vectors/*.npz"), *library.folder.glob("vectors/terms.txt")]
    files += [path for path in library.folder.glob("cache/**/*") if path.is_file()]
    found["files"] = {str(path.relative_to(library.folder)): path.read_bytes() for path in files}
    return found


# --- fixtures, which conftest.py hands to all tests ----------------------------------------------------------------


@pytest.fixture(scope="session")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    make(folder / "library")
    backup(Library.open(folder / "library"), folder / "backup.zip")
    return folder


@pytest.fixture
def made(_kept: Path, tmp_path: Path) -> Path:
    """A full library, of this test alone."""
    shutil.copytree(_kept / "library", tmp_path / "made")
    return tmp_path / "made"


@pytest.fixture
def packed(_kept: Path, tmp_path: Path) -> Path:
    """A folder with a full `library`, of this test alone, and its `backup.zip`."""
    shutil.copytree(_kept, tmp_path / "made")
    return tmp_path / "made"
