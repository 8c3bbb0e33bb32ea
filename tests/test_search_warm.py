"""What a process keeps between two searches, and when it reads anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conftest import Shell
from photoindex.records import RuntimeOptions
from photoindex.steps import kept_encoder
from photoindex.store import remembered as remembered_module
from photoindex.store.library import Library
from test_search import lines, photo, save


class Encoder:
    """Counts how often it is loaded; a text "fail" fails."""

    opened: list[str] = []

    def __init__(self, installed: Any, _: RuntimeOptions) -> None:
        self.name = str(installed.path)
        self.opened.append(self.name)

    def encode(self, texts: Sequence[str]) -> Any:
        if "fail" in texts:
            raise ValueError("fail")
        return np.full((len(texts), 2), len(self.name), np.float32)

    def close(self) -> None:
        self.opened.append(f"-{self.name}")


def test_a_text_model_stays_loaded_until_another_is_needed_or_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_encoder, "TextEncoder", Encoder)
    monkeypatch.setattr(kept_encoder, "fingerprint", lambda installed: installed.path.name)
    monkeypatch.setattr(kept_encoder, "_kept", {})
    monkeypatch.setattr(Encoder, "opened", [])
    first, second = (SimpleNamespace(path=Path(name)) for name in ("/a", "/bb"))
    for model, text in ((first, "x"), (first, "y"), (second, "x"), (second, "y")):
        assert kept_encoder.encode_texts(model, RuntimeOptions(), [text]).shape == (1, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fail"):
        kept_encoder.encode_texts(second, RuntimeOptions(), ["fail"])  # type: ignore[arg-type]
    kept_encoder.encode_texts(second, RuntimeOptions(), ["x"])  # type: ignore[arg-type]
    assert Encoder.opened == ["/a", "-/a", "/bb", "-/bb", "/bb"]


def test_a_reader_sees_what_another_process_wrote_meanwhile(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_module, "_SETTLED_NS", -(10**12))  # else nothing is kept in so short a time
    save(run, photo("a.jpg", ocr=lines("receipt")))
    reader = Library.open(run.folder)
    assert reader.catalog.settings().get("colour") is None
    assert len(reader.vectors.holding([["receipt"]], 9, every=True)) == 1
    assert reader.catalog.file.answers != {}
    save(run, photo("b.jpg", ocr=lines("receipt forest")))
    with Library.writing(run.folder) as writer:
        writer.catalog.set_setting("colour", "red")
    assert reader.catalog.settings()["colour"] == "red"
    assert len(reader.vectors.holding([["receipt"]], 9, every=True)) == 2
    assert b"\nforest\t1\n" in reader.vectors.terms().lines


def test_a_reader_sees_what_a_killed_writer_committed(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_module, "_SETTLED_NS", -(10**12))  # else nothing is kept in so short a time
    save(run, photo("a.jpg"))
    reader = Library.open(run.folder)
    assert reader.catalog.settings().get("colour") is None
    catalog = run.folder / "catalog.duckdb"
    before = catalog.stat()
    code = (
        "import duckdb, os, sys\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "con.execute(\"INSERT INTO settings VALUES ('colour', 'red')\")\n"
        "os._exit(9)\n"  # before it is written into the file itself
    )
    subprocess.run([sys.executable, "-c", code, str(catalog)], check=False)
    assert (catalog.stat().st_size, catalog.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert catalog.with_name("catalog.duckdb.wal").stat().st_size > 0
    assert reader.catalog.settings()["colour"] == "red"
