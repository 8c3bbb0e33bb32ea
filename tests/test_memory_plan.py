"""Amounts of memory, the planner that keeps a scan within one, and what a machine may give."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoindex.errors import MemoryTooSmall
from photoindex.pure.memory_plan import (
    WANTED_PIXELS,
    DecodeNeed,
    ModelNeed,
    Way,
    _decodings,
    plan_memory,
)
from photoindex.pure.sizes import parse_size, show_size
from photoindex.records import MemoryPlan
from photoindex.runtimes.machine_memory import MachineMemory, default_budget, read_machine_memory
from photoindex.scan.room import PIXEL, Room

MB, GB = 1_000_000, 1_000_000_000
STEPS = ("ocr", "embedding", "tags", "faces", "caption")

ways = st.builds(Way, st.integers(0, 6 * GB), st.integers(0, 2 * GB))
decodes = st.builds(
    DecodeNeed,
    main=st.integers(0, GB),
    worker=st.integers(0, 500 * MB),
    pixel=st.integers(1, 16),
    picture=st.integers(0, 20 * MB),
    workers=st.integers(1, 16),
    batch=st.integers(1, 64),
    prefetch=st.integers(1, 4),
    pixels=st.sampled_from((24_000_000, 50_000_000, 200_000_000)),
)
budgets = st.integers(100 * MB, 24 * GB)


@st.composite
def models(draw: st.DrawFn) -> list[ModelNeed]:
    names = STEPS[: draw(st.integers(0, len(STEPS)))]
    needs = []
    for at, name in enumerate(names):
        preferred, lean = draw(ways), draw(ways)
        leaner = (Way(lean.weights, lean.picture, "lean"),) if draw(st.booleans()) else ()
        after = tuple(draw(st.lists(st.sampled_from(names[:at]), max_size=2, unique=True))) if at else ()
        needs.append(ModelNeed(name, (preferred, *leaner), draw(st.integers(1, 64)), after))
    return needs


def planned(budget: int, decode: DecodeNeed, needs: list[ModelNeed]) -> MemoryPlan | None:
    try:
        return plan_memory(budget, decode, needs)
    except MemoryTooSmall:
        return None


def decoding_bytes(plan: MemoryPlan, need: DecodeNeed) -> int:
    """What decoding takes, summed here once more."""
    usual = min(plan.max_pixels, 24_000_000)
    each = need.worker + usual * need.pixel
    waiting = (plan.workers * plan.prefetch + 2) * plan.batch * need.picture
    return need.main + plan.workers * each + (plan.max_pixels - usual) * need.pixel + waiting


def worth(plan: MemoryPlan) -> tuple[int, int, int, int]:
    """Less is better; see the module's docstring for the order."""
    leaner = sum(share.runtime is not None for one in plan.passes for share in one.models.values())
    return len(plan.refused), -min(plan.max_pixels, WANTED_PIXELS), leaner, len(plan.passes)


# --- the planner ---------------------------------------------------------------------------------------------------


@given(budgets, decodes, models())
def test_no_pass_exceeds_the_budget(budget: int, decode: DecodeNeed, needs: list[ModelNeed]) -> None:
    plan = planned(budget, decode, needs)
    if plan is None:
        return
    ways_of = {(need.step, way.runtime): way for need in needs for way in need.ways}
    base = decoding_bytes(plan, decode)
    for one in plan.passes:
        models_take = 0
        for step, share in one.models.items():
            way = ways_of[step, share.runtime]
            models_take += way.weights + share.batch * way.picture
            assert way.weights + share.batch * way.picture <= share.bytes
        assert base + models_take == one.bytes <= plan.bytes <= budget
        assert base + sum(share.bytes for share in one.models.values()) <= budget
    assert base <= plan.bytes <= budget


@given(budgets, decodes, models())
def test_every_model_is_in_one_pass_or_refused(budget: int, decode: DecodeNeed, needs: list[ModelNeed]) -> None:
    plan = planned(budget, decode, needs)
    if plan is None:
        return
    placed = [step for one in plan.passes for step in one.models]
    assert sorted([*placed, *plan.refused]) == sorted(need.step for need in needs)
    assert all(one.models for one in plan.passes)
    for need in needs:
        for step in need.after:
            if need.step in placed and step in placed:
                at = {name: number for number, one in enumerate(plan.passes) for name in one.models}
                assert at[step] <= at[need.step]


@given(budgets, decodes, models())
def test_nothing_wanted_is_exceeded_and_nothing_is_less_than_one(
    budget: int, decode: DecodeNeed, needs: list[ModelNeed]
) -> None:
    plan = planned(budget, decode, needs)
    if plan is None:
        return
    assert 1 <= plan.workers <= decode.workers
    assert 1 <= plan.batch <= decode.batch
    assert 1 <= plan.prefetch <= decode.prefetch
    assert 24_000_000 <= plan.max_pixels <= decode.pixels
    wanted = {need.step: need.batch for need in needs}
    assert all(1 <= share.batch <= wanted[step] for one in plan.passes for step, share in one.models.items())


@given(budgets, st.integers(0, 8 * GB), decodes, models())
def test_more_memory_never_gives_a_worse_plan(
    budget: int, more: int, decode: DecodeNeed, needs: list[ModelNeed]
) -> None:
    less, most = planned(budget, decode, needs), planned(budget + more, decode, needs)
    if less is None:
        return
    assert most is not None
    assert worth(most) <= worth(less)
    if worth(most) == worth(less):
        assert decoding_bytes(most, decode) >= decoding_bytes(less, decode)


@given(budgets, decodes, models())
def test_what_a_refusal_names_would_do(budget: int, decode: DecodeNeed, needs: list[ModelNeed]) -> None:
    plan = planned(budget, decode, needs)
    for step, least in (plan.refused if plan else {}).items():
        assert least > budget
        alone = [need for need in needs if need.step == step]
        assert not plan_memory(least, decode, alone).refused
        below = planned(least - 1, decode, alone)
        assert below is None or below.refused


@given(decodes)
def test_each_way_to_decode_takes_no_more_than_the_one_before(decode: DecodeNeed) -> None:
    taken = [each.bytes(decode) for each in _decodings(decode)]
    assert taken == sorted(taken, reverse=True)


DECODE = DecodeNeed(main=700 * MB, worker=220 * MB, pixel=8, picture=5 * MB, workers=4, batch=8)


def need(step: str, weights: int, picture: int = 10 * MB, batch: int = 8, after: tuple[str, ...] = ()) -> ModelNeed:
    return ModelNeed(step, (Way(weights, picture),), batch, after)


def test_with_plenty_of_memory_everything_is_as_wanted() -> None:
    plan = plan_memory(32 * GB, DECODE, [need("ocr", GB), need("embedding", 5 * GB)])
    assert (plan.workers, plan.prefetch, plan.batch, plan.max_pixels) == (4, 2, 8, 200_000_000)
    [only] = plan.passes
    assert {step: share.batch for step, share in only.models.items()} == {"ocr": 8, "embedding": 8}


def test_models_that_do_not_fit_together_take_turns() -> None:
    plan = plan_memory(4 * GB, DECODE, [need("ocr", 1500 * MB), need("embedding", 1500 * MB), need("faces", 10 * MB)])
    assert [set(one.models) for one in plan.passes] == [{"ocr", "faces"}, {"embedding"}]
    assert plan.refused == {}


def test_a_model_comes_after_what_it_builds_on() -> None:
    tags = need("tags", 1500 * MB, after=("embedding",))
    plan = plan_memory(4 * GB, DECODE, [tags, need("embedding", 1500 * MB)])
    assert [set(one.models) for one in plan.passes] == [{"embedding"}, {"tags"}]


def test_speed_is_given_up_before_a_single_pass_and_large_pictures_before_a_model() -> None:
    both = [need("ocr", 900 * MB), need("embedding", 600 * MB)]
    plan = plan_memory(3200 * MB, DECODE, both)
    assert (plan.workers, len(plan.passes), plan.max_pixels) == (1, 1, 64_000_000)
    plan = plan_memory(2050 * MB, DECODE, both)
    assert (len(plan.passes), plan.max_pixels, plan.refused) == (2, 24_000_000, {})


def test_a_leaner_runtime_is_taken_where_the_preferred_one_fits_not_even_alone() -> None:
    either = ModelNeed("embedding", (Way(5 * GB, 0), Way(2 * GB, 0, "onnxruntime")), 8)
    share = plan_memory(4 * GB, DECODE, [either]).passes[0].models["embedding"]
    assert share.runtime == "onnxruntime"
    assert plan_memory(8 * GB, DECODE, [either]).passes[0].models["embedding"].runtime is None


def test_batches_shrink_before_a_model_is_refused() -> None:
    plan = plan_memory(3 * GB, DECODE, [need("tags", 1300 * MB, 190 * MB)])
    assert plan.passes[0].models["tags"].batch < 8
    assert plan_memory(16 * GB, DECODE, [need("tags", 1300 * MB, 190 * MB)]).passes[0].models["tags"].batch == 8


def test_a_budget_below_decoding_alone_is_an_error_that_says_what_would_do() -> None:
    with pytest.raises(MemoryTooSmall, match=r"1\.\dG .*--max-memory") as caught:
        plan_memory(500 * MB, DECODE, [])
    least = parse_size(caught.value.args[0])
    assert plan_memory(least, DECODE, []).workers == 1


# --- amounts of memory ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 << 20),
        ("4G", 4 << 30),
        ("4g", 4 << 30),
        ("4GiB", 4 << 30),
        ("4 GiB", 4 << 30),
        ("4GB", 4 * GB),
        ("1.5G", 3 << 29),
        ("1,5G", 3 << 29),
        ("2T", 2 << 40),
        ("2048K", 2 << 20),
        ("50%", 5 * GB),
    ],
)
def test_an_amount_is_read(text: str, size: int) -> None:
    assert parse_size(text, whole=10 * GB) == size


@pytest.mark.parametrize("text", ["", "4", "G", "4X", "-4G", "0G", "four", "4GG", "1e3M", "0%", "101%", "inf"])
def test_an_amount_that_makes_no_sense_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"512M, 4G, 1\.5GiB or 50%"):
        parse_size(text, whole=10 * GB)


@given(st.integers(1, 1 << 45))
def test_an_amount_shown_is_never_less_than_it_was(size: int) -> None:
    assert size <= parse_size(show_size(size)) <= max(size * 1.11, size + (1 << 20))


# --- what the machine may give -------------------------------------------------------------------------------------


def cgroups(tmp_path: Path, listing: str, files: dict[str, str]) -> MachineMemory:
    (tmp_path / "own").write_text(listing)
    (tmp_path / "meminfo").write_text("MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:   8000000 kB\n")
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_machine_memory(tmp_path / "cgroup", tmp_path / "own", tmp_path / "meminfo")


def test_without_control_groups_memory_is_what_the_machine_has(tmp_path: Path) -> None:
    found = read_machine_memory(tmp_path, tmp_path / "none", _meminfo(tmp_path))
    assert found == MachineMemory(16_000_000 * 1024, 8_000_000 * 1024)


def _meminfo(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text("MemTotal:       16000000 kB\nMemAvailable:   8000000 kB\n")
    return tmp_path / "meminfo"


@pytest.mark.parametrize(
    ("listing", "files"),
    [
        ("0::/\n", {"memory.max": "3000000000\n", "memory.current": "1000000000\n"}),
        ("0::/a/b\n", {"a/memory.max": "3000000000\n", "a/memory.current": "1000000000\n", "a/b/memory.max": "max\n"}),
        (
            "4:memory:/a\n0::/\n",
            {
                "memory/a/memory.limit_in_bytes": "3000000000\n",
                "memory/a/memory.usage_in_bytes": "1000000000\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
        ),
        (
            "4:memory:/docker/of/the/host\n",
            {"memory/memory.limit_in_bytes": "3000000000\n", "memory/memory.usage_in_bytes": "1000000000\n"},
        ),
    ],
    ids=["container", "group around", "version 1", "container of version 1"],
)
def test_the_limit_of_a_container_counts(tmp_path: Path, listing: str, files: dict[str, str]) -> None:
    assert cgroups(tmp_path, listing, files) == MachineMemory(3_000_000_000, 2_000_000_000)


def test_files_that_a_container_has_read_do_not_count_as_taken(tmp_path: Path) -> None:
    files = {
        "memory.max": "3000000000\n",
        "memory.current": "2900000000\n",
        "memory.stat": "anon 900000000\ninactive_file 1400000000\nactive_file 600000000\n",
    }
    assert cgroups(tmp_path, "0::/\n", files) == MachineMemory(3_000_000_000, 2_100_000_000)


def test_this_machine_has_memory() -> None:
    found = read_machine_memory()
    assert 0 < found.available <= found.total


def test_the_default_leaves_room_for_others() -> None:
    assert default_budget(MachineMemory(16 * GB, 15 * GB)) == 12 * GB
    assert default_budget(MachineMemory(16 * GB, 10 * GB)) == 9 * GB
    assert default_budget(MachineMemory(16 * GB, 1 * GB)) == 8 * GB


def test_one_large_picture_at_a_time_may_take_what_the_plan_leaves_over() -> None:
    plan = MemoryPlan(budget=8 * 2**30, bytes=5 * 2**30, workers=2, prefetch=1, batch=8, max_pixels=200_000_000)
    assert Room.of(plan, "turns").most == 200_000_000 * PIXEL + 3 * 2**30
    assert Room.of(replace(plan, bytes=plan.budget), "turns").most == 200_000_000 * PIXEL
