"""How a scan stays within a budget of memory: decode workers, batches, and which models are open at the same time.

Models that fit beside each other run together over the same decoded batches. Those that do not are put into passes:
the library is worked off once for each pass. Taking turns over a batch kept in memory would decode only once, but
loading a model takes seconds, so that many thousands of prepared pictures (4 MB each) would have to wait for every
turn; decoding again costs a hundredth of a second a picture, while models too large to be together take far longer
for it. A pass also needs nothing that a scan has not anyway: what is due is in the ledger, also after a kill.

What is given up for want of memory, the last first: models, pictures of up to 64 megapixels, the preferred runtime of
a model for a leaner one, a single pass, and easily what costs some speed only (several workers, waiting batches).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from photoindex.errors import MemoryTooSmall
from photoindex.pure.sizes import show_size
from photoindex.records import MemoryPass, MemoryPlan, ModelShare

# A worker's own share is for pictures up to this; larger ones are decoded one at a time, with one share for all.
USUAL_PIXELS = 24_000_000
# Pictures up to this are worth more than speed.
WANTED_PIXELS = 64_000_000
_LIMITS = (200_000_000, 100_000_000, WANTED_PIXELS, 48_000_000, 36_000_000, USUAL_PIXELS)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run a model, in bytes: `weights` while it is open, `picture` for each picture of a batch.

    `runtime`: how that is asked for, None for the preferred way, which leaves the choice open.
    """

    weights: int
    picture: int
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class ModelNeed:
    """A model step. `ways`: the preferred one first; `batch`: pictures a run; `after`: steps it builds on."""

    step: str
    ways: tuple[Way, ...]
    batch: int = 1
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DecodeNeed:
    """Everything but the models, in bytes, and what is wanted of it.

    `main`: the process itself and what starts its workers; `worker`: an idle one; `pixel`: of a picture while it is
    decoded; `picture`: the prepared views of one, waiting for the models.
    """

    main: int
    worker: int
    pixel: int
    picture: int
    workers: int
    batch: int
    prefetch: int = 2
    pixels: int = _LIMITS[0]


@dataclass(frozen=True, slots=True)
class Decoding:
    """A way to decode: workers, batches waiting for each, pictures a batch, pixels of the largest picture."""

    workers: int
    prefetch: int
    batch: int
    pixels: int

    def bytes(self, need: DecodeNeed) -> int:
        """At most: every worker at a usual picture, one of them at the largest, all batches full, two in main."""
        workers = self.workers * (need.worker + min(self.pixels, USUAL_PIXELS) * need.pixel)
        large = max(0, self.pixels - USUAL_PIXELS) * need.pixel
        return need.main + workers + large + (self.workers * self.prefetch + 2) * self.batch * need.picture


def plan_memory(budget: int, decode: DecodeNeed, models: Sequence[ModelNeed]) -> MemoryPlan:
    """The best plan whose every pass stays within `budget` bytes by its own sums.

    Each model is in exactly one pass, or in `refused` with the budget in bytes that it would take.
    Raises MemoryTooSmall where not even decoding fits.
    """
    ladder = list(_decodings(decode))
    least = ladder[-1].bytes(decode)
    if least > budget:
        raise MemoryTooSmall(show_size(least), show_size(budget))
    rungs = [rung for rung in ladder if rung.bytes(decode) <= budget]
    plans = [_with(budget, decode, rung, models) for rung in rungs]
    return min(plans, key=_score)


def _score(plan: MemoryPlan) -> tuple[int, int, int, int]:
    """What was given up, the gravest first. Between equals the first plan wins, whose decoding is better."""
    leaner = sum(share.runtime is not None for one in plan.passes for share in one.models.values())
    return len(plan.refused), -min(plan.max_pixels, WANTED_PIXELS), leaner, len(plan.passes)


def _decodings(need: DecodeNeed) -> Iterator[Decoding]:
    """Ways to decode, from what is wanted to the least, each with no more memory than the one before."""
    limits = [min(need.pixels, limit) for limit in _LIMITS]
    now = Decoding(need.workers, need.prefetch, need.batch, limits[0])
    yield now
    for pixels in [limit for limit in limits if WANTED_PIXELS <= limit < now.pixels]:
        yield (now := replace(now, pixels=pixels))
    while now.prefetch > 1:
        yield (now := replace(now, prefetch=now.prefetch - 1))
    while now.workers > 1:
        yield (now := replace(now, workers=now.workers - 1))
    while now.batch > 1:
        yield (now := replace(now, batch=now.batch // 2))
    for pixels in [limit for limit in limits if limit < now.pixels]:
        yield (now := replace(now, pixels=pixels))


def _with(budget: int, decode: DecodeNeed, rung: Decoding, models: Sequence[ModelNeed]) -> MemoryPlan:
    """The plan for one way to decode: each model in its preferred way, or where that fits not even alone, its least."""
    taken = rung.bytes(decode)
    least = {need.step: min(need.ways, key=_least) for need in models}
    chosen = {n.step: n.ways[0] if _least(n.ways[0]) <= budget - taken else least[n.step] for n in models}
    fitting = [need for need in models if _least(chosen[need.step]) <= budget - taken]
    passes = tuple(_shares(group, chosen, budget, taken) for group in _passes(fitting, chosen, budget - taken))
    floor = list(_decodings(decode))[-1].bytes(decode)
    refused = {need.step: floor + _least(least[need.step]) for need in models if need not in fitting}
    used = max((one.bytes for one in passes), default=taken)
    return MemoryPlan(budget, used, rung.workers, rung.prefetch, rung.batch, rung.pixels, passes, refused)


def _least(way: Way) -> int:
    return way.weights + way.picture


def _passes(models: Sequence[ModelNeed], chosen: dict[str, Way], free: int) -> list[list[ModelNeed]]:
    """The fewest groups, each within `free` bytes, none before what it builds on; early groups as large as can be.

    All divisions are tried: a scan has a handful of models, and a rule of thumb could do worse with more memory.
    """
    count, place = len(models), {need.step: at for at, need in enumerate(models)}
    before = [sum(1 << place[step] for step in need.after if step in place) for need in models]
    least = [_least(chosen[need.step]) for need in models]

    def fits(group: int, done: int) -> bool:
        mine = [at for at in range(count) if group >> at & 1]
        return sum(least[at] for at in mine) <= free and all(not before[at] & ~(done | group) for at in mine)

    @cache
    def fewest(done: int) -> tuple[int, ...]:
        left = (1 << count) - 1 & ~done
        groups = sorted((g for g in _subsets(left) if fits(g, done)), key=lambda g: (-g.bit_count(), g))
        return min(((group, *fewest(done | group)) for group in groups), key=len, default=())

    return [[need for at, need in enumerate(models) if group >> at & 1] for group in fewest(0)]


def _subsets(mask: int) -> Iterator[int]:
    """Every part of a set of bits but the empty one."""
    part = mask
    while part:
        yield part
        part = (part - 1) & mask


def _shares(group: Sequence[ModelNeed], chosen: dict[str, Way], budget: int, taken: int) -> MemoryPass:
    """One pass: batches as large as fit, no model's below another's unless less was wanted; the rest is shared out."""
    at_most = max(need.batch for need in group)
    while True:
        sizes = {need.step: min(need.batch, at_most) for need in group}
        own = {step: chosen[step].weights + size * chosen[step].picture for step, size in sizes.items()}
        if taken + sum(own.values()) <= budget or at_most == 1:
            break
        at_most = max(1, at_most // 2)
    used = taken + sum(own.values())
    spare = max(0, budget - used) // len(group)
    return MemoryPass({step: ModelShare(sizes[step], own[step] + spare, chosen[step].runtime) for step in sizes}, used)
