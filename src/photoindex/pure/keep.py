"""Which of several copies to keep, by rules a person can order, and the reason in words.

Rules are asked one after the other. Each drops the files that are clearly worse than the best by it; the next rule
chooses among those left. A minus before a name turns it round: `-resolution` keeps the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from photoindex.errors import UsageError
from photoindex.pure.names import is_copy_name
from photoindex.pure.tiers import RAW_FORMATS
from photoindex.records import DupeFacts, PhotoRow

DEFAULT_RULES = "original,resolution,tones,compression,earliest,metadata,sharpness,format,name,path"
BURST_RULES = "sharpness,resolution,earliest,path"
# No camera writes these: the web, messengers and conversions do.
_OF_CONVERSIONS = ("WEBP", "AVIF", "JXL", "GIF")
# Bytes that JPEG needs for what this format says in one: rough, and only used where formats differ.
_MIXED_SLACK = 0.5
_WORTH = {"HEIF": 2.0, "AVIF": 2.0, "JXL": 2.0, "WEBP": 1.4, "PNG": 0.4, "TIFF": 0.3, "BMP": 0.2, "GIF": 0.3}


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that may be kept: where it lies and what is known of its content. `framed`: others lack its margin;
    `clipped`: others still have highlights, shadows or colours that it has not; `sidecar`: there is XMP beside it."""

    path: str
    facts: DupeFacts
    framed: bool = False
    clipped: bool = False
    sidecar: bool = False


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asked for: rules in order, folders to prefer (the first counts most), folders never touched.

    `decided`: the SHA-256 of contents that the person decided to keep, which counts before all else.
    """

    rules: tuple[str, ...]
    prefer: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    decided: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Rule:
    """`value`: higher is better, None unknown (which never drops a file). `slack`: how much worse, as a share of the
    best, still counts as equal. `say`: why the best is kept, given it and the best of those dropped."""

    value: Callable[[Copy], float | None]
    slack: float
    say: Callable[[Copy, Copy], str]


def parse_rules(text: str) -> tuple[str, ...]:
    """The names of a comma-separated list. Raises UsageError for one that is not known."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    wrong = [name for name in names if name.removeprefix("-") not in RULES]
    if wrong or not names:
        what = f"no rule is called {wrong[0]!r}" if wrong else "no rule is given"
        raise UsageError(f"--keep: {what}. There are: {', '.join(RULES)}; a minus before one turns it round.")
    return names


def choose(copies: Sequence[Copy], wishes: Wishes) -> tuple[int, str]:
    """The position of the copy to keep, and why, in words."""
    left, reasons = list(range(len(copies))), list[str]()
    decided = [i for i in left if copies[i].facts.sha256 in wishes.decided]
    if decided:
        left, reasons = decided, ["you decided to keep it"]
    protected = [i for i in left if is_below(copies[i].path, wishes.protect)]
    if protected and len(protected) < len(left):
        left, reasons = protected, [*reasons, "it lies in a protected folder"]
    for folder in wishes.prefer:
        liked = [i for i in left if is_below(copies[i].path, (folder,))]
        if liked and len(liked) < len(left):
            left, reasons = liked, [*reasons, f"it lies in {folder}, which you prefer"]
    for name in wishes.rules:
        kept = _kept(copies, left, name)
        if len(kept) < len(left):
            dropped = _best(copies, [i for i in left if i not in kept], name)
            reasons.append(_say(name, copies[_best(copies, kept, name)], copies[dropped]))
            left = kept
        if len(left) == 1:
            break
    chosen = min(left, key=lambda i: (len(copies[i].path), copies[i].path))
    return chosen, "; ".join(reasons[:3]) or "all are alike; its path is the shortest"


def choose_name(rows: Sequence[PhotoRow], wishes: Wishes | None = None) -> tuple[str, str]:
    """Which of several files of the same bytes to keep, and why: names, folders and sidecars tell them apart."""
    wishes = wishes or Wishes(parse_rules(DEFAULT_RULES))
    facts = DupeFacts(0, "", 0, b"", b"", 0)
    chosen, reason = choose([Copy(row.path, facts, sidecar=row.sidecars > 0) for row in rows], wishes)
    return rows[chosen].path, reason


def is_below(path: str, folders: Sequence[str]) -> bool:
    """Whether a path is one of these folders or lies in one."""
    return any(PurePath(path).is_relative_to(folder) for folder in folders)


def _kept(copies: Sequence[Copy], among: Sequence[int], name: str) -> list[int]:
    rule, sign = RULES[name.removeprefix("-")], -1.0 if name.startswith("-") else 1.0
    values = {i: sign * value for i in among if (value := rule.value(copies[i])) is not None}
    if name.removeprefix("-") != "compression":
        good = _near_best(values, rule.slack)
    else:  # what bytes are worth is known well within a format only
        by_format: dict[str | None, dict[int, float]] = {}
        for i, value in values.items():
            by_format.setdefault(copies[i].facts.format, {})[i] = value
        good = {i for mine in by_format.values() for i in _near_best(mine, rule.slack)}
        if len(by_format) > 1:
            good &= _near_best(values, _MIXED_SLACK)
    return [i for i in among if i not in values or i in good]


def _near_best(values: Mapping[int, float], slack: float) -> set[int]:
    if not values:
        return set()
    best = max(values.values())
    return {i for i, value in values.items() if value >= best - slack * abs(best)}


def _best(copies: Sequence[Copy], among: Sequence[int], name: str) -> int:
    rule, sign = RULES[name.removeprefix("-")], -1.0 if name.startswith("-") else 1.0
    return max(among, key=lambda i: sign * (rule.value(copies[i]) or 0.0))


def _say(name: str, kept: Copy, dropped: Copy) -> str:
    sentence = RULES[name.removeprefix("-")].say(kept, dropped)
    return f"{sentence} (as -{name[1:]} asks)" if name.startswith("-") else sentence


def _original(copy: Copy) -> float:
    facts = copy.facts
    raw, exif = facts.format in RAW_FORMATS, facts.taken_source in ("exif_original", "exif_digitized")
    return 4.0 * raw + 2.0 * bool(facts.camera) + 1.0 * exif - 8.0 * copy.framed


def _say_original(kept: Copy, dropped: Copy) -> str:
    if dropped.framed and not kept.framed:
        return "no frame was put round it"
    if kept.facts.format in RAW_FORMATS and dropped.facts.format not in RAW_FORMATS:
        return "it is the camera's raw file"
    if kept.facts.camera and not dropped.facts.camera:
        return f"it still says which camera took it ({kept.facts.camera})"
    return "it still has the camera's date"


def _pixels(copy: Copy) -> float | None:
    facts = copy.facts
    return float(facts.width * facts.height) if facts.width and facts.height else None


def _say_pixels(kept: Copy, dropped: Copy) -> str:
    one, other = kept.facts, dropped.facts
    return f"{one.width}x{one.height} pixels, not {other.width}x{other.height}"


def _bytes_a_pixel(copy: Copy) -> float | None:
    pixels = _pixels(copy)
    return copy.facts.size * _WORTH.get(copy.facts.format or "", 1.0) / pixels if pixels else None


def _say_fuller(kept: Copy, dropped: Copy) -> str:
    fuller = kept.facts.described != dropped.facts.described
    return "its metadata is fuller" if fuller else "a sidecar lies beside it"


def _earliest(copy: Copy) -> float | None:
    taken = copy.facts.taken_at
    return -float(taken.toordinal() * 86400 + taken.hour * 3600 + taken.minute * 60 + taken.second) if taken else None


RULES: dict[str, _Rule] = {
    "original": _Rule(_original, 0.0, _say_original),
    "resolution": _Rule(_pixels, 0.01, _say_pixels),
    "tones": _Rule(lambda copy: -float(copy.clipped), 0.0, lambda *_: "it still has tones that others have lost"),
    "compression": _Rule(_bytes_a_pixel, 0.05, lambda *_: "it is compressed less"),
    "sharpness": _Rule(lambda copy: copy.facts.sharpness, 0.1, lambda *_: "it is sharper"),
    "earliest": _Rule(_earliest, 0.0, lambda kept, _: f"its date is the earliest ({kept.facts.taken_at:%Y-%m-%d})"),
    "metadata": _Rule(lambda copy: copy.facts.described + 0.5 * copy.sidecar, 0.0, _say_fuller),
    "format": _Rule(
        lambda copy: -float(copy.facts.format in _OF_CONVERSIONS),
        0.0,
        lambda kept, dropped: f"it is {kept.facts.format}, and no camera writes {dropped.facts.format}",
    ),
    "bytes": _Rule(lambda copy: float(copy.facts.size), 0.0, lambda *_: "it has more bytes"),
    "name": _Rule(
        lambda copy: 0.0 if is_copy_name(copy.path) else 1.0, 0.0, lambda _, dropped: _quoted_copy(dropped.path)
    ),
    "path": _Rule(lambda copy: -float(len(copy.path)), 0.0, lambda *_: "its path is the shortest"),
}


def _quoted_copy(path: str) -> str:
    return f"its name is not that of a copy, as {PurePath(path).name!r} is"
