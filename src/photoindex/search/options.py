"""What a search can be told besides its query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["hybrid", "keyword", "semantic"]
Sort = Literal["relevance", "date", "name"]
# What a place in each list counts in the fusion. The words of a photo's tags are in its text too, so they count twice
# where somebody or something tagged it with just these.
WEIGHTS: Mapping[str, float] = {"text": 1.0, "tags": 0.5, "vector": 1.0}


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """`limit`: at most so many hits, 0 for all of them. `everything`: also what is no good match, after what is.
    `min_score`: only photos that match at least so well, 0 to 1. `weights`: of the lists named in WEIGHTS.
    `runtime`: what is to run the text model, e.g. `onnxruntime`; None lets photoindex choose."""

    mode: Mode = "hybrid"
    limit: int = 20
    explain: bool = False
    everything: bool = False
    sort: Sort = "relevance"
    min_score: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
    runtime: str | None = None
    warn: Callable[[str], None] = lambda _: None
