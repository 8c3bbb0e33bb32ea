"""What travels with a picture: its XMP files, and the raw file or video of its shot where a copy of that stays."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from photoindex.dupes.moving import FileChanged, sha256_of
from photoindex.media.formats import PICTURE_SUFFIXES
from photoindex.pure.names import VIDEO_SUFFIXES, same_shot
from photoindex.pure.tiers import RAW_FORMATS

SIDECARS, RAW, VIDEO = "sidecars", "raw", "video"
KINDS = (SIDECARS, RAW, VIDEO)
_XMP = ".xmp"


@dataclass(frozen=True, slots=True)
class Companions:
    """`go`: paths that travel; `stay`: of one shot with the picture, but nothing with these bytes would be left."""

    go: tuple[str, ...]
    stay: tuple[str, ...] = ()


def companions(path: str, keeper: str, kinds: Collection[str], planned: Collection[str]) -> Companions:
    """What goes with the picture at `path`, for which `keeper` stays. What the plan names goes or stays as it says.

    A raw file or video travels only where the keeper has one with the same bytes beside it, and no other picture of
    the shot is left that it belongs to. Raises OSError.
    """
    folder, name = os.path.split(path)
    names = sorted(other for other in os.listdir(folder) if other != name)
    twins = [t for t in _twins(path, names, kinds) if os.path.join(folder, t) not in planned]
    if any(_is_other_picture(path, os.path.join(folder, n), planned) for n in names):
        twins = []
    alike = {twin: _has_equal(os.path.join(folder, twin), keeper) for twin in twins}
    go = [twin for twin, equal in alike.items() if equal]
    if SIDECARS in kinds:
        for mine in (name, *(twin for twin, equal in alike.items() if equal)):
            go += [s for s in _sidecars(mine, names, {name, *go}) if s not in go]
    found = [os.path.join(folder, other) for other in go]
    return Companions(tuple(p for p in found if _is_file(p)), tuple(t for t, equal in alike.items() if not equal))


def _twins(path: str, names: list[str], kinds: Collection[str]) -> Iterator[str]:
    folder = os.path.dirname(path)
    for name in names:
        kind = _kind(name)
        if kind in kinds and kind != _kind(path) and same_shot(path, os.path.join(folder, name)):
            yield name


def _kind(name: str) -> str:
    suffix = PurePath(name).suffix.lower()
    return VIDEO if suffix in VIDEO_SUFFIXES else RAW if suffix[1:].upper() in RAW_FORMATS else ""


def _is_other_picture(path: str, other: str, planned: Collection[str]) -> bool:
    """Whether another picture of the shot stays, as the HEIC file beside a JPEG one."""
    suffix = PurePath(other).suffix.lower()
    if _kind(other) == VIDEO or suffix not in PICTURE_SUFFIXES or not same_shot(path, other):
        return False
    return not _kind(other) or other in planned


def _has_equal(twin: str, keeper: str) -> bool:
    folder = os.path.dirname(keeper)
    try:
        mine, seen = sha256_of(twin)
        for name in os.listdir(folder):
            other = os.path.join(folder, name)
            if _kind(name) != _kind(twin) or not same_shot(keeper, other) or os.lstat(other).st_size != seen.st_size:
                continue
            theirs, found = sha256_of(other)
            if theirs == mine and not os.path.samestat(seen, found):
                return True
    except (OSError, FileChanged):
        return False
    return False


def _sidecars(name: str, names: list[str], going: Collection[str]) -> list[str]:
    """NAME.jpg.xmp, and NAME.xmp unless another file of that name, which stays, may own it."""
    stem = PurePath(name).stem
    own = [other for other in names if other.lower() == f"{name}{_XMP}".lower()]
    plain = [other for other in names if other.lower() == f"{stem}{_XMP}".lower()]
    others = [n for n in names if PurePath(n).stem == stem and not n.lower().endswith(_XMP) and n not in going]
    return [*own, *([] if others else plain)]


def _is_file(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)
