"""What a search for duplicates is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from photoindex.errors import UsageError
from photoindex.pure.keep import DEFAULT_RULES, Wishes, parse_rules
from photoindex.pure.tiers import DEFAULT, TIERS

# Beyond this PDQ's authors expect unrelated pictures among the pairs (ThreatExchange, "Hashing FAQ").
CONFIDENT_THRESHOLD = 31


@dataclass(frozen=True, slots=True)
class DupeOptions:
    """`threshold`: PDQ bits up to which two photos are looked at; `tiers`: which links count; `wishes`: what to keep.

    `folders`: only groups with a file below one of them; `min_size`: files of fewer bytes are left out; `progress` is
    told how many of how many pairs have been looked at, where there are many. `decided`: also the groups that the user
    has decided about.
    """

    threshold: int = CONFIDENT_THRESHOLD
    tiers: tuple[str, ...] = DEFAULT
    wishes: Wishes = field(default_factory=lambda: Wishes(parse_rules(DEFAULT_RULES)))
    folders: tuple[str, ...] = ()
    min_size: int = 0
    progress: Callable[[int, int], None] = lambda *_: None
    decided: bool = False

    def __post_init__(self) -> None:
        for tier in self.tiers:
            if tier not in TIERS:
                raise UsageError(f"No tier is called {tier!r}. There are: {', '.join(TIERS)}.")
        if not self.tiers:
            raise UsageError("No tier is left to look for.")
