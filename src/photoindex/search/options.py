"""What a search can be told besides its query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from photoindex.records import Filters

Mode = Literal["hybrid", "keyword", "semantic"]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    mode: Mode = "hybrid"
    limit: int = 20
    filters: Filters = field(default_factory=Filters)
    explain: bool = False
    warn: Callable[[str], None] = lambda _: None
