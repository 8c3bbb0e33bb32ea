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

from photoindex.errors import BundleInvalid, ModelBroken, ModelMissing, PhotoindexError, UsageError
from photoindex.models.download import CHUNK, SPARE_BYTES, Fetched, Progress
from photoindex.models.install import locate
from photoindex.models.landing import Entries, is_right, is_wanted, land, model_folder, names_of, part_of, put
from photoindex.models.record import read_record, write_record
from photoindex.models.registry import Registry
from photoindex.models.spec import ZERO_SHOT, ModelFile, ModelSpec

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


# --- out -----------------------------------------------------------------------------------------------------------


def exportable(registry: Registry, models_dir: Path, specs: Sequence[ModelSpec] | None = None) -> list[ModelSpec]:
    """The installed models that a bundle can hold; or these, zero-shot tags as the embedding model they use.

    Raises UsageError for one whose files are a package's or the user's own, ModelMissing, ModelBroken.
    """
    asked = registry.models.values() if specs is None else specs
    owners = list({spec.name: spec for spec in (_owner(registry, spec) for spec in asked)}.values())
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


def _owner(registry: Registry, spec: ModelSpec) -> ModelSpec:
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
        return {"format": FORMAT, "models": dict(_read_manifest(folder))}
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
    sha256, _ = _copy(models_dir / spec.name / name, part, name, progress)
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


# --- in ------------------------------------------------------------------------------------------------------------


def import_models(
    registry: Registry, folder: Path, models_dir: Path, names: Sequence[str], progress: Progress
) -> list[Moved]:
    """Install models from a bundle, or from a plain folder that holds files as models.toml names them.

    All of them, or those called `names`. Every file of a model is copied and verified before the first one of it
    gets its name; a model that does not match is left out, with the reason in its `problem`. In a plain folder the
    files of a model lie in a folder of its name, or, where `names` says whose they are, in `folder` itself.
    Raises BundleInvalid where there is nothing to import, UnknownModel.
    """
    if not folder.is_dir():
        raise BundleInvalid(folder, "there is no such folder")
    owners = [_owner(registry, registry.model(name)).name for name in names]
    offered = _offers(registry, folder, list(dict.fromkeys(owners)))
    if not offered:
        example = next(spec for spec in registry.models.values() if spec.files and not spec.package)
        hint = f"a bundle has {MANIFEST}; a plain folder, say, {example.name}/{example.files[0].name}"
        raise BundleInvalid(folder, f"it holds no model that models.toml knows ({hint})")
    return [_import(registry, name, *offered[name], models_dir, progress) for name in offered]


def _offers(registry: Registry, folder: Path, names: Sequence[str]) -> dict[str, tuple[Path, Offer]]:
    """For each model to import, the folder of its files and what the bundle says of them."""
    if (folder / MANIFEST).exists():
        listed = _read_manifest(folder)
        missing = [name for name in names if name not in listed]
        if missing:
            raise BundleInvalid(folder, f"it holds no {missing[0]}; there are {', '.join(listed) or 'none'}")
        return {name: (folder / name, listed[name]["files"]) for name in names or listed}
    if names:
        return {name: (folder / name if (folder / name).is_dir() else folder, {}) for name in names}
    return {name: (folder / name, {}) for name in registry.models if (folder / name).is_dir()}


def _read_manifest(folder: Path) -> Mapping[str, Mapping[str, Any]]:
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


def _import(registry: Registry, name: str, source: Path, offer: Offer, models_dir: Path, progress: Progress) -> Moved:
    try:
        spec = registry.model(name)
        if not spec.files or spec.package is not None:
            raise BundleInvalid(source, f"{name} has no files of its own")
        with model_folder(name, models_dir) as folder:
            wanting = [file for file in spec.files if not is_right(file, folder)]
            entries = _Intake(source, offer, folder, progress).install(wanting)
            if entries:
                write_record(spec, folder, entries)
        return Moved(name, locate(registry, spec, models_dir).path, already=not entries)
    except PhotoindexError as error:
        return Moved(name, models_dir / name, str(error))


class _Intake:
    """The files of one model on their way in: all are copied aside and verified before the first gets its name."""

    def __init__(self, source: Path, offer: Offer, folder: Path, progress: Progress) -> None:
        self._source, self._offer, self._folder, self._progress = source, offer, folder, progress
        self._parts: list[Path] = []

    def install(self, files: Sequence[ModelFile]) -> Entries:
        """What `installed.json` is to say of these files, which are in place then. Raises BundleInvalid."""
        try:
            taken = [self._take(file) for file in files]
            entries: Entries = {}
            for file, fetched in zip(files, taken, strict=True):
                entries |= self._land(file, fetched)
            return entries
        finally:
            for part in self._parts:
                part.unlink(missing_ok=True)

    def _take(self, file: ModelFile) -> Fetched | Entries:
        """Copy a file, or the members of an archive that the bundle holds in its place, and verify."""
        if not file.unpack or (self._source / file.name).is_file():
            fetched = self._copy(file.name, file.sha256, file.size)
            if file.sha256 is None and not is_wanted(file, self._offer.get(file.name, {})):
                raise self._refuse(f"{file.name} is of another version than models.toml wants")
            return fetched
        return {name: self._take_member(file, name) for name in file.unpack}

    def _take_member(self, file: ModelFile, name: str) -> dict[str, Any]:
        offered = self._offer.get(name)
        if offered is None:
            raise self._refuse(f"{file.name} is not there")
        if not is_wanted(file, offered):
            raise self._refuse(f"{name} is of another version than models.toml wants")
        fetched = self._copy(name, None, None)
        facts = {"url": file.url, "trust": fetched.trust, "archive_sha256": offered.get("archive_sha256")}
        return facts | {"sha256": fetched.sha256, "size": fetched.size}

    def _copy(self, name: str, sha256: str | None, size: int | None) -> Fetched:
        """Copy one file aside. `sha256` and `size` are those of models.toml; without them the bundle's word counts."""
        part = part_of(self._folder, name)
        self._parts.append(part)
        try:
            found, count = _copy(self._source / name, part, name, self._progress)
        except OSError as error:
            raise self._refuse(f"{name}: {error.strerror or error}") from error
        promised = sha256 or self._offer.get(name, {}).get("sha256")
        if size is not None and count != size:
            raise self._refuse(f"{name} has {count:,} bytes instead of {size:,}")
        if promised is not None and found != promised:
            whose = "models.toml" if sha256 else MANIFEST
            raise self._refuse(f"the sha256 of {name} is {found}, not the {promised} of {whose}")
        return Fetched(found, count, "models.toml" if sha256 else "bundle" if promised else "first use")

    def _land(self, file: ModelFile, taken: Fetched | Entries) -> Entries:
        if isinstance(taken, Fetched):
            return land(file, self._folder, part_of(self._folder, file.name), taken)
        for name in taken:
            put(part_of(self._folder, name), self._folder / name)
        return taken

    def _refuse(self, what: str) -> BundleInvalid:
        return BundleInvalid(self._source, what)


def _copy(origin: Path, target: Path, name: str, progress: Progress) -> tuple[str, int]:
    """Copy a file, telling how far it is. Returns its SHA-256 and its bytes."""
    digest, done, total = hashlib.sha256(), 0, os.stat(origin).st_size
    with origin.open("rb") as source, target.open("wb") as out:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            done += out.write(chunk)
            progress(name, done, total)
    return digest.hexdigest(), done
