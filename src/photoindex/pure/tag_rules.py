"""A model's rule for its tags and the user's own thresholds, joined into the rule that is in force."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from photoindex.records import TagRule

_NEVER = 1.0


def in_force(given: TagRule, choices: Mapping[str | None, float]) -> TagRule:
    """The model's rule with the user's thresholds in it, in float32 as scores are.

    `choices[tag]` replaces whatever the model says of that tag. `choices[None]` replaces the model's least score for
    all others: theirs are raised to it, never lowered, and those that are never shown (1 and above) stay so.
    """
    least = _float32(choices.get(None, given.at_least))
    raised = {tag: _float32(value if value >= _NEVER else max(value, least)) for tag, value in given.own.items()}
    chosen = {tag: _float32(value) for tag, value in choices.items() if tag is not None}
    standing = None if given.standing is None else _float32(given.standing)
    return TagRule(least, {**raised, **chosen}, standing, given.most)


def _float32(value: float) -> float:
    return float(np.float32(value))
