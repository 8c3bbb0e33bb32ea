"""Models that stay loaded from one scan of a watch to the next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import photoindex.scan.steps
from photoindex.scan.kept import KeptModels
from photoindex.scan.steps import Steps
from photoindex.steps import STEPS


class Model:
    """A loaded model that notes when it is let go of."""

    runtime, views, batch_size = "test", (), 1

    def __init__(self, name: str) -> None:
        self.model, self.closed = name, False

    def close(self) -> None:
        self.closed = True


def test_models_stay_loaded_from_one_scan_to_the_next_unless_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Model] = []

    def load(spec: Any, installed: Any, options: Any) -> Model:
        loaded.append(Model(installed.spec.name))
        return loaded[-1]

    monkeypatch.setattr(photoindex.scan.steps, "open_model_step", load)
    kept = KeptModels()

    def one_scan(version: str, keep: bool = True) -> Steps:
        steps = Steps([STEPS["embedding"]], kept=kept, fingerprints={"embedding": version})
        steps.installed["embedding"] = SimpleNamespace(spec=SimpleNamespace(name="m"), base=None)  # type: ignore[assignment]
        steps.open({"embedding"}, lambda: False)
        assert not loaded[-1].closed
        steps.close(keep=keep)
        return steps

    one_scan("1")
    last = one_scan("1")
    assert len(loaded) == 1
    kept.say("a word of a runtime")
    assert last.notes == ["a word of a runtime"]
    one_scan("2")
    assert [model.closed for model in loaded] == [True, False]
    one_scan("2", keep=False)
    assert [model.closed for model in loaded] == [True, True]
    one_scan("2")
    kept.close()
    assert [model.closed for model in loaded] == [True, True, True]
