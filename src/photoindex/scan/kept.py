"""Models that stay loaded from one scan of a process to its next, for as long as nothing about them changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from photoindex.steps import ModelStep

Key = tuple[str, str | None, str | None]


def _say_nothing(_: str) -> None:
    return None


@dataclass(slots=True)
class KeptModels:
    """Loaded models by step, version of the model and what was asked to run it. `note` hears of their runtimes."""

    models: dict[Key, ModelStep] = field(default_factory=dict)
    note: Callable[[str], None] = _say_nothing

    def take(self, key: Key) -> ModelStep | None:
        """The model, which is the taker's now; others of its step, which nobody will ask for again, are closed."""
        for other in [each for each in self.models if each[0] == key[0] and each != key]:
            self.models.pop(other).close()
        return self.models.pop(key, None)

    def give(self, key: Key, model: ModelStep) -> None:
        self.models[key] = model

    def say(self, line: str) -> None:
        """Pass a line on to whoever uses the models now."""
        self.note(line)

    def close(self) -> None:
        """Let go of all of them."""
        while self.models:
            self.models.popitem()[1].close()
