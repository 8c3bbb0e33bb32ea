"""Removing a model's files: only what photoindex itself put into its folder for weights."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from photoindex.errors import UsageError
from photoindex.models.landing import model_folder
from photoindex.models.record import RECORD
from photoindex.models.registry import MODEL_NAME, Registry
from photoindex.models.spec import ZERO_SHOT, ModelSpec


@dataclass(frozen=True, slots=True)
class Removal:
    """What would go, and what would miss it: profiles, and tags models that build on it."""

    name: str
    folder: Path
    bytes: int
    profiles: tuple[str, ...] = ()
    resting: tuple[str, ...] = ()


def plan_removal(registry: Registry, name: str, models_dir: Path) -> Removal:
    """What `remove` would delete of a model. Of one in a package or a user's own folder: the forms made from it.

    A model that no models.toml knows any more can go too. Raises UnknownModel, and UsageError where there is
    nothing that photoindex may delete.
    """
    folder = models_dir / name
    if name not in registry.models and MODEL_NAME.fullmatch(name) and (folder / RECORD).is_file():
        return Removal(name, folder, _bytes(folder))
    spec = registry.model(name)
    if spec.architecture == ZERO_SHOT:
        raise UsageError(f"{name} has no files of its own; it uses those of {spec.options['embedding']}.")
    if not folder.is_dir():
        raise UsageError(_nothing(spec))
    if spec.path is not None and _within(spec.path, folder):
        raise UsageError(f"{name} is your own folder {spec.path}; photoindex does not delete it.")
    resting = tuple(m.name for m in registry.models.values() if m.options.get("embedding") == name)
    used = tuple(p for p, models in registry.profiles.items() if {name, *resting} & set(models.values()))
    return Removal(name, folder, _bytes(folder), used, resting)


def remove(removal: Removal) -> None:
    """Delete it: out of the way first, at once, so that half a model is never found. Raises DownloadFailed, OSError."""
    aside = removal.folder.with_name(f".removed-{removal.name}-{os.getpid()}")
    if removal.folder.is_symlink():
        removal.folder.unlink()
        return
    with model_folder(removal.name, removal.folder.parent):
        removal.folder.rename(aside)
    shutil.rmtree(aside)


def _nothing(spec: ModelSpec) -> str:
    if spec.package is not None:
        return f"{spec.name} belongs to the package {spec.package}, and nothing was made from it."
    if spec.path is not None:
        return f"{spec.name} is your own folder {spec.path}, and nothing was made from it elsewhere."
    return f"{spec.name} is not installed; there is nothing to remove."


def _within(path: Path, folder: Path) -> bool:
    """Whether one of the two holds the other, links followed."""
    inner, outer = path.resolve(), folder.resolve()
    return inner == outer or outer in inner.parents or inner in outer.parents


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
