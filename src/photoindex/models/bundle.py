"""Models on a disk from hand to hand: for a machine that has no network.

A bundle is a folder with a folder for each model, holding its files under the names of models.toml, and
`photoindex-models.json`, which says what each file has to be. What models.toml knows a checksum of is compared with
that; the bundle's own word counts only for the rest, and `installed.json` then says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photoindex.errors import BundleInvalid, ModelBroken, ModelMissing, UsageError
from photoindex.models.download import CHUNK, SPARE_BYTES, Progress
from photoindex.models.install import locate
from photoindex.models.landing import names_of, put
from photoindex.models.record import read_record
from photoindex.models.registry import Registry
from photoindex.models.spec import ZERO_SHOT, ModelSpec

MANIFEST = "photoindex-models.json"
FORMAT = 1

Offer = Mapping[str, Mapping[str, Any]]
"""What a bundle says of a model's files by name, in the form of `installed.json`; empty for a plain folder."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one model: exported, imported, or already there and right; or why not (`problem`)."""

    model: str
    folder: Path
    problem: str | None = None
    already: bool = False


def exportable(registry: Registry, models_dir: Path, specs: Sequence[ModelSpec] | None = None) -> list[ModelSpec]:
    """The installed models that a bundle can hold; or these, zero-shot tags as the embedding model they use.

    Raises UsageError for one whose files are a package's or the user's own, ModelMissing, ModelBroken.
    """
    asked = registry.models.values() if specs is None else specs
    owners = list({spec.name: spec for spec in (owner_of(registry, spec) for spec in asked)}.values())
    fetched = [owner for owner in owners if owner.package is None and owner.path is None]
    if specs is None:
        return [owner for owner in fetched if _is_installed(registry, owner, models_dir)]
    for owner in owners:
        if owner.path is not None:
            raise UsageError(f"{owner.name} is your own folder {owner.path}; copy that, and its block of models.toml.")
        locate(registry, owner, models_dir)
    return fetched


def _is_installed(registry: Registry, spec: ModelSpec, models_dir: Path) -> bool:
    try:
        locate(registry, spec, models_dir)
    except (ModelMissing, ModelBroken):
        return False
    return True


def owner_of(registry: Registry, spec: ModelSpec) -> ModelSpec:
    return registry.model(str(spec.options["embedding"])) if spec.architecture == ZERO_SHOT else spec


def export_models(specs: Sequence[ModelSpec], models_dir: Path, folder: Path, progress: Progress) -> list[Moved]:
    """Copy installed models into a bundle in `folder`, which may hold others already, verifying each byte.

    The manifest is written last. Raises BundleInvalid, ModelBroken for a file that is no longer what it was.
    """
    manifest = _manifest_to_extend(folder, models_dir)
    _room(folder, specs, models_dir)
    moved = []
    try:
        for spec in specs:
            files = {name: _export_file(spec, name, models_dir, folder, progress) for name in _names(spec)}
            manifest["models"][spec.name] = {"revision": spec.revision, "licence": spec.licence, "files": files}
            _write_manifest(folder, manifest)
            moved.append(Moved(spec.name, folder / spec.name))
    except OSError as error:
        raise BundleInvalid(folder, f"{error.strerror}: {error.filename}") from error
    return moved


def _manifest_to_extend(folder: Path, models_dir: Path) -> dict[str, Any]:
    here, weights = folder.resolve(), models_dir.resolve()
    if here == weights or weights in here.parents:
        raise UsageError(f"{folder} is where photoindex keeps its weights. Choose another folder.")
    if (folder / MANIFEST).exists():
        return {"format": FORMAT, "models": dict(read_manifest(folder))}
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleInvalid(folder, "it is no bundle and not empty; give a new or empty folder")
    return {"format": FORMAT, "models": {}}


def _room(folder: Path, specs: Sequence[ModelSpec], models_dir: Path) -> None:
    needed = sum(int(read_record(models_dir / spec.name)[name]["size"]) for spec in specs for name in _names(spec))
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed + SPARE_BYTES > free:
        raise BundleInvalid(folder, f"it needs {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free")


def _names(spec: ModelSpec) -> list[str]:
    return [name for file in spec.files for name in names_of(file)]


def _export_file(spec: ModelSpec, name: str, models_dir: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    entry, target = read_record(models_dir / spec.name)[name], folder / spec.name / name
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part-{target.name}")
    sha256, _ = copy_hashed(models_dir / spec.name / name, part, name, progress)
    if sha256 != entry["sha256"]:
        part.unlink()
        what = f"{models_dir / spec.name / name} is no longer what was installed"
        raise ModelBroken(spec.name, what, f"photoindex models pull {spec.name}")
    put(part, target)
    return dict(entry)


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    part = folder / f".part-{MANIFEST}"
    part.write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
    put(part, folder / MANIFEST)


def read_manifest(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """The models of a bundle by name. Raises BundleInvalid where the manifest is not of the form it should be."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        models = manifest["models"]
        if manifest["format"] != FORMAT:
            raise BundleInvalid(folder, f"it is of format {manifest['format']!r}; this photoindex reads {FORMAT}")
        entries = [entry for model in models.values() for entry in model["files"].values()]
        sound = all(isinstance(e["sha256"], str) and isinstance(e["size"], int) for e in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleInvalid(folder, f"{MANIFEST} cannot be read ({type(error).__name__}: {error})") from error
    if not sound:
        raise BundleInvalid(folder, f"{MANIFEST} gives no sha256 and size for some files")
    found: Mapping[str, Mapping[str, Any]] = models
    return found


def copy_hashed(origin: Path, target: Path, name: str, progress: Progress) -> tuple[str, int]:
    """Copy a file, telling how far it is. Returns its SHA-256 and its bytes."""
    digest, done, total = hashlib.sha256(), 0, os.stat(origin).st_size
    with origin.open("rb") as source, target.open("wb") as out:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            done += out.write(chunk)
            progress(name, done, total)
    return digest.hexdigest(), done
