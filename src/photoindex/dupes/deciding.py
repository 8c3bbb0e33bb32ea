"""Deciding about groups of duplicates for good; taking that back; handing it to another library."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from photoindex.dupes.decisions import KEEP_THIS, KINDS, NOT_DUPLICATES, id_of
from photoindex.dupes.find import DEFAULTS, dupes
from photoindex.dupes.options import DupeOptions
from photoindex.errors import UsageError
from photoindex.pure.keep import choose_name
from photoindex.pure.tiers import DEFAULT, DUPLICATES, TIERS
from photoindex.pure.times import utc_time
from photoindex.records import Decision, Group, PhotoRow
from photoindex.store.library import Library

FORMAT = "photoindex decisions 1"
_LEAST_DIGITS = 6
_MOST_FILES = 1_000_000
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision that was just made, and the earlier ones that it took the place of."""

    decision: Decision
    replaced: tuple[Decision, ...]


def decide(library: Library, kind: str, what: Sequence[str], options: DupeOptions = DEFAULTS) -> Decision:
    """Save what the user decided: "not-duplicates", "keep-all" or "keep-this".

    `what`: the id of a group (six digits or more), or files of the library; with "keep-this" the file to keep comes
    first, and with nothing else it is about that file's group. Earlier decisions about a part of it are replaced.
    A decision is about bytes: a file is refused where the rules would keep another of the same bytes. Raises
    UsageError. `library` must be open for writing.
    """
    if kind not in KINDS:
        raise UsageError(f"No decision is called {kind!r}. There are: {', '.join(KINDS)}.")
    keeper = _file(library, what[0]) if kind == KEEP_THIS and what else None
    photos = _contents(library, what, keeper, options)
    if keeper and keeper.photo not in photos:
        raise UsageError(f"{keeper.path} is not in that group. Give the file to keep first, then its group.")
    if keeper:
        _check_that_it_stays(library, keeper, options)
    return _settle(library, kind, photos, keeper.photo if keeper else None).decision


def _check_that_it_stays(library: Library, keeper: PhotoRow, options: DupeOptions) -> None:
    """Raises UsageError where of the files of these bytes another one would stay."""
    same = [row for row in library.queries.file_rows() if row.photo == keeper.photo]
    stays, why = choose_name(same, options.wishes)
    if stays != keeper.path:
        raise UsageError(
            f"A decision goes by bytes, not by path. {stays} has the bytes of {keeper.path}, and of the two it would "
            f"stay: {why}. Nothing was decided. To keep the file you named: `photoindex dupes plan --prefer "
            f"{shlex.quote(keeper.path)}`, or edit the plan. To keep every file: `photoindex dupes decide keep-all`. "
            f"To keep these bytes under the other name: `photoindex dupes decide keep-this {shlex.quote(stays)}`."
        )


def decide_group(library: Library, kind: str, group: Group, keeper: str | None = None) -> Settled:
    """As `decide`, about a group that `dupes` found. `keeper`: with "keep-this" the SHA-256 of the member to keep."""
    return _settle(library, kind, _of_group(group), keeper)


def take_back(library: Library, settled: Settled) -> None:
    """Undo `decide_group`: the decision goes, and those that it replaced are back."""
    library.decisions.put(settled.replaced, {settled.decision.id})


def _settle(library: Library, kind: str, photos: dict[str, int], keeper: str | None) -> Settled:
    if sum(photos.values()) < 2:
        raise UsageError("A decision is about two files or more. `photoindex dupes` shows groups with their ids.")
    if kind == NOT_DUPLICATES and len(photos) < 2:
        raise UsageError("These files hold the same bytes. `keep-all` keeps every one of them.")
    decision = Decision(id_of(photos), kind, photos, keeper, _now())
    replaced = tuple(d for d in library.decisions.read() if d.photos.keys() <= photos.keys())
    library.decisions.put([decision], [d.id for d in replaced])
    return Settled(decision, replaced)


def revoke(library: Library, ids: Sequence[str]) -> list[Decision]:
    """Forget decisions, by id (six digits or more); their groups come back. Raises UsageError for one not known."""
    known, gone = library.decisions.read(), list[Decision]()
    for asked in ids:
        found = [d for d in known if len(asked) >= _LEAST_DIGITS and d.id.startswith(asked)]
        if len(found) != 1:
            how = "No decision has" if not found else "More than one decision has"
            raise UsageError(f"{how} the id {asked!r}. `photoindex dupes decisions list` shows them.")
        gone += found
    library.decisions.put([], {decision.id for decision in gone})
    return gone


def export_decisions(library: Library) -> dict[str, Any]:
    """All decisions as JSON values, which `import_decisions` of another library takes."""
    return {"format": FORMAT, "decisions": [decision_object(d) for d in library.decisions.read()]}


def decision_object(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "decision": decision.kind,
        "keeper": decision.keeper,
        "decided_at": decision.decided_at.isoformat(),
        "photos": [{"photo": sha256, "copies": copies} for sha256, copies in decision.photos.items()],
    }


def import_decisions(library: Library, value: Any) -> int:
    """Add exported decisions; of two about one group the later holds. Returns how many were taken.

    Raises UsageError, which says where, and then takes none.
    """
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("decisions"), list):
        raise UsageError(f'This is no file of decisions: it should say "format": "{FORMAT}" and hold "decisions".')
    given = [read_decision(item, f"decisions[{at}]") for at, item in enumerate(value["decisions"])]
    mine = {decision.id: decision for decision in library.decisions.read()}
    latest = {d.id: d for d in sorted(given, key=lambda d: d.decided_at)}
    newer = [d for d in latest.values() if d.id not in mine or mine[d.id].decided_at < d.decided_at]
    library.decisions.put(newer)
    return len(newer)


def read_decision(item: Any, where: str) -> Decision:
    """A decision as `decision_object` gave it; `where` it stands, for errors. Raises UsageError.

    The id is computed, so that an edited file cannot hold two about the same photos.
    """
    if not isinstance(item, dict):
        raise UsageError(f"{where}: {item!r} is no object with the fields that docs/json.md names.")
    photos = _read_photos(item.get("photos"), f"{where}.photos")
    kind, keeper = item.get("decision"), item.get("keeper")
    if kind not in KINDS:
        raise UsageError(f"{where}.decision: no decision is called {kind!r}. There are: {', '.join(KINDS)}.")
    if kind != KEEP_THIS and keeper is not None:
        raise UsageError(f"{where}.keeper: with {kind!r} it should be null.")
    if kind == KEEP_THIS and keeper not in photos:
        raise UsageError(f"{where}.keeper: {keeper!r} is none of the photos of this decision.")
    if sum(photos.values()) < 2:
        raise UsageError(f"{where}: a decision is about two files or more.")
    return Decision(id_of(photos), kind, photos, keeper, _read_time(item.get("decided_at"), f"{where}.decided_at"))


def _read_photos(value: Any, where: str) -> dict[str, int]:
    if not isinstance(value, list):
        raise UsageError(f"{where}: {value!r} is no array of photos.")
    found = {}
    for at, photo in enumerate(value):
        sha256, copies = (photo.get("photo"), photo.get("copies")) if isinstance(photo, dict) else (photo, 1)
        if not isinstance(sha256, str) or len(sha256) != 64 or not set(sha256) <= _HEX:
            raise UsageError(f"{where}[{at}].photo: {sha256!r} is no SHA-256.")
        if not isinstance(copies, int) or isinstance(copies, bool) or copies < 1:
            raise UsageError(f"{where}[{at}].copies: {copies!r} is no number of files, 1 or more.")
        found[sha256] = copies
    if sum(found.values()) > _MOST_FILES:
        raise UsageError(f"{where}: these are more than {_MOST_FILES:,} files, more than a decision is about.")
    return found


def _read_time(value: Any, where: str) -> datetime:
    try:
        return utc_time(value)
    except ValueError:
        raise UsageError(f"{where}: {value!r} is no time such as 2026-01-31T12:00:00.") from None


def _contents(library: Library, what: Sequence[str], keeper: PhotoRow | None, options: DupeOptions) -> dict[str, int]:
    """The contents that are meant, with the number of files of each."""
    rest = what[1:] if keeper else what
    if len(rest) == 1 and _is_id(rest[0]):
        return _of_group(_find(library, options, lambda group: group.id.startswith(rest[0]), repr(rest[0])))
    if keeper and not rest:
        mine = keeper.path
        return _of_group(
            _find(library, options, lambda group: any(m.photo.path == mine for m in group.members), f"of {mine}")
        )
    chosen = {row.photo for row in ([keeper] if keeper else [])} | {_file(library, path).photo for path in rest}
    return dict(Counter(row.photo for row in library.queries.file_rows() if row.photo in chosen))


def _of_group(group: Group) -> dict[str, int]:
    return dict(Counter(member.photo.photo for member in group.members))


def _find(library: Library, options: DupeOptions, is_meant: Any, name: str) -> Group:
    """The group that is meant, whichever tiers it was listed with."""
    for tiers in (DEFAULT, TIERS, *(DUPLICATES[:count] for count in range(1, len(DUPLICATES)))):
        groups = dupes(library, replace(options, tiers=tiers, decided=True))
        found = [group for group in groups if len(group.members) > 1 and is_meant(group)]
        if found:
            return found[0]
    raise UsageError(f"There is no group {name}. `photoindex dupes` shows groups with their ids.")


def _is_id(text: str) -> bool:
    return _LEAST_DIGITS <= len(text) <= 16 and set(text) <= _HEX and not os.path.exists(text)


def _file(library: Library, path: str) -> PhotoRow:
    wanted = os.path.abspath(os.path.expanduser(path))
    found = next(iter(_rows(library.queries.file_rows(), wanted)), None)
    if found is None:
        raise UsageError(f"The library has no file {path}. Scan its folder first, or give the id of a group.")
    return found


def _rows(rows: Iterable[PhotoRow], path: str) -> list[PhotoRow]:
    return [row for row in rows if row.path == path]


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def known_paths(library: Library, decisions: Sequence[Decision]) -> Mapping[str, list[str]]:
    """Where the contents of decisions lie now, by SHA-256."""
    wanted = {sha256 for decision in decisions for sha256 in decision.photos}
    found: dict[str, list[str]] = {}
    for row in library.queries.file_rows():
        if row.photo in wanted:
            found.setdefault(row.photo, []).append(row.path)
    return found
