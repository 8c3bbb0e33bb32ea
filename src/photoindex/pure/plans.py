"""Plans: which duplicates may go and which stay, as people read and edit them; and what makes one sound.

A plan is JSON (or csv, a row a file). Moving an entry from `go` to `keep` or taking it out is a sound edit; anything
that would leave no copy of a photo is not.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from photoindex.errors import PlanInvalid
from photoindex.pure.keep import is_below
from photoindex.pure.tiers import DUPLICATES, IDENTICAL

FORMAT = "photoindex plan 1"
COLUMNS = ("group", "tier", "action", "path", "sha256", "size", "mtime_ns", "reason", "library", "protect")
WRITTEN_COLUMNS = (*COLUMNS, "along")  # the last is for people to read
_MOST_TOLD = 10
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file as it was when the plan was made: size in bytes, time of change in nanoseconds since 1970.

    `tier`: what it is to the first file that stays; "keeper" for those that stay. `along`: the sidecars that travel
    with it, told for people to read; `apply` looks anew.
    """

    path: str
    sha256: str
    size: int
    mtime_ns: int
    tier: str
    along: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """`keep` stays, the one to keep first, for `reason`; `go` may go."""

    id: str
    tier: str
    reason: str
    keep: tuple[PlannedFile, ...]
    go: tuple[PlannedFile, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """`library`: the folder of the library; `protect`: folders below which nothing goes."""

    library: str
    groups: tuple[PlannedGroup, ...]
    protect: tuple[str, ...] = ()

    @property
    def frees(self) -> int:
        """Bytes of what goes."""
        return sum(file.size for group in self.groups for file in group.go)


def plan_object(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values."""
    return {
        "format": FORMAT,
        "library": plan.library,
        "protect": list(plan.protect),
        "groups": [
            {
                "id": group.id,
                "tier": group.tier,
                "reason": group.reason,
                "keep": [_file_object(file) for file in group.keep],
                "go": [_file_object(file) for file in group.go],
            }
            for group in plan.groups
        ],
    }


def _file_object(file: PlannedFile) -> dict[str, Any]:
    found = {name: getattr(file, name) for name in PlannedFile.__slots__ if name != "along"}
    return {**found, "along": [*file.along]} if file.along else found


def plan_rows(plan: Plan) -> Iterator[dict[str, Any]]:
    """A plan as rows of csv. Raises PlanInvalid for names that csv cannot hold."""
    for group in plan.groups:
        for action, files in (("keep", group.keep), ("go", group.go)):
            for file in files:
                if not file.path.isprintable():
                    raise PlanInvalid(f"csv cannot hold the name {file.path!r}; take JSON")
                shared = {"group": group.id, "action": action, "library": plan.library}
                protect = os.pathsep.join(plan.protect)
                yield {**_file_object(file), **shared, "reason": group.reason, "protect": protect}


def parse_plan(value: Any) -> Plan:
    """The plan that JSON values say. Raises PlanInvalid, which names each place that is wrong."""
    problems = _Problems()
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise PlanInvalid(f'format: should be "{FORMAT}"; `photoindex dupes plan` writes plans')
    groups = [
        _group(item, f"groups[{at}]", problems) for at, item in enumerate(problems.items(value, "groups", "groups"))
    ]
    protect = [p for p in problems.items(value, "protect", "protect") if isinstance(p, str)]
    plan = Plan(problems.text(value, "library", "library"), tuple(groups), tuple(protect))
    _check(plan, problems)
    problems.raise_any()
    return plan


def parse_rows(rows: Iterable[Mapping[str, Any]]) -> Plan:
    """The plan that rows of csv say; places are counted in rows, the heading being row 1. Raises PlanInvalid."""
    problems = _Problems()
    files: dict[str, dict[str, list[PlannedFile]]] = {}
    reasons, library, protect = dict[str, str](), set[str](), set[str]()
    for number, row in enumerate(rows, 2):
        where = f"row {number}"
        group, action = problems.text(row, "group", f"{where}.group"), row.get("action")
        if action not in ("keep", "go"):
            problems.add(f"{where}.action", f"should be keep or go, not {action!r}")
            continue
        numbers = {name: _number(row.get(name)) for name in ("size", "mtime_ns")}
        files.setdefault(group, {"keep": [], "go": []})[action].append(_file({**row, **numbers}, where, problems))
        reasons.setdefault(group, str(row.get("reason") or ""))
        library.add(str(row.get("library") or ""))
        protect.update(filter(None, str(row.get("protect") or "").split(os.pathsep)))
    if len(library) > 1:
        problems.add("library", "differs between rows")
    groups = [
        PlannedGroup(number, _weakest(found["go"]), reasons[number], tuple(found["keep"]), tuple(found["go"]))
        for number, found in files.items()
    ]
    plan = Plan(next(iter(library), ""), tuple(groups), tuple(sorted(protect)))
    _check(plan, problems)
    problems.raise_any()
    return plan


@dataclass(slots=True)
class _Problems:
    found: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        self.found.append(f"{where}: {what}")

    def text(self, item: Mapping[str, Any], name: str, where: str) -> str:
        value = item.get(name)
        if not isinstance(value, str) or not value:
            self.add(where, f"should be text, not {value!r}")
            return ""
        return value

    def items(self, item: Mapping[str, Any], name: str, where: str) -> list[Any]:
        value = item.get(name)
        if not isinstance(value, list):
            self.add(where, "should be an array")
            return []
        return value

    def raise_any(self) -> None:
        if self.found:
            more = f"; and {len(self.found) - _MOST_TOLD} more" if len(self.found) > _MOST_TOLD else ""
            raise PlanInvalid("; ".join(self.found[:_MOST_TOLD]) + more)


def _group(item: Any, where: str, problems: _Problems) -> PlannedGroup:
    if not isinstance(item, dict):
        problems.add(where, "should be an object")
        return PlannedGroup("", IDENTICAL, "", (), ())
    found = {
        name: tuple(
            _file(file, f"{where}.{name}[{at}]", problems)
            for at, file in enumerate(problems.items(item, name, f"{where}.{name}"))
        )
        for name in ("keep", "go")
    }
    number = problems.text(item, "id", f"{where}.id")
    return PlannedGroup(number, _weakest(found["go"]), str(item.get("reason") or ""), found["keep"], found["go"])


def _file(item: Any, where: str, problems: _Problems) -> PlannedFile:
    if not isinstance(item, dict):
        problems.add(where, "should be an object")
        return PlannedFile("", "", 0, 0, IDENTICAL)
    path, sha256 = (problems.text(item, name, f"{where}.{name}") for name in ("path", "sha256"))
    if path and (not os.path.isabs(path) or os.path.normpath(path) != path or "\0" in path):
        problems.add(f"{where}.path", f"{path!r} should be a whole path without .. or doubled separators")
    if sha256 and (len(sha256) != 64 or not set(sha256) <= _HEX):
        problems.add(f"{where}.sha256", "should be 64 hex digits in lower case")
    size, mtime = item.get("size"), item.get("mtime_ns")
    for name, value in (("size", size), ("mtime_ns", mtime)):
        if not isinstance(value, int) or isinstance(value, bool):
            problems.add(f"{where}.{name}", f"should be a whole number, not {value!r}")
    along = item.get("along")  # of csv it is not read again
    told = tuple(str(path) for path in along) if isinstance(along, list) else ()
    return PlannedFile(path, sha256, _number(size) or 0, _number(mtime) or 0, str(item.get("tier") or ""), told)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _weakest(go: Sequence[PlannedFile]) -> str:
    return max((file.tier for file in go if file.tier in DUPLICATES), key=DUPLICATES.index, default=IDENTICAL)


def _check(plan: Plan, problems: _Problems) -> None:
    """What no edit may bring about: a photo of which nothing is left, or something going that must stay."""
    going = Counter(file.path for group in plan.groups for file in group.go)
    numbers = Counter(group.id for group in plan.groups)
    for at, group in enumerate(plan.groups):
        where = f"groups[{at}]"
        if numbers[group.id] > 1:
            problems.add(f"{where}.id", f"{group.id!r} stands there more than once")
        if not group.keep:
            problems.add(f"{where}.keep", "is empty: no copy of the photo would be left")
        for number, file in enumerate(group.keep):
            if going[file.path]:
                problems.add(f"{where}.keep[{number}].path", f"{file.path} goes as well: it could not stay")
        for number, file in enumerate(group.go):
            for what in _wrong(file, group, plan.protect, going):
                problems.add(f"{where}.go[{number}]", what)


def _wrong(file: PlannedFile, group: PlannedGroup, protect: Sequence[str], going: Mapping[str, int]) -> Iterator[str]:
    if file.tier not in DUPLICATES:
        yield f"tier should be one of {', '.join(DUPLICATES)}, not {file.tier!r}"
    if file.tier == IDENTICAL and group.keep and file.sha256 not in {kept.sha256 for kept in group.keep}:
        yield "it is identical to nothing that stays"
    if going[file.path] > 1:
        yield f"{file.path} goes more than once"
    if is_below(file.path, protect):
        yield f"{file.path} lies in a protected folder"
