"""Models from a disk: out of a bundle, or a plain folder of files named as in models.toml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from photoindex.errors import BundleInvalid, PhotoindexError
from photoindex.models.bundle import MANIFEST, Moved, Offer, copy_hashed, owner_of, read_manifest
from photoindex.models.download import Fetched, Progress
from photoindex.models.install import locate
from photoindex.models.landing import Entries, is_right, is_wanted, land, model_folder, part_of, put
from photoindex.models.record import write_record
from photoindex.models.registry import Registry
from photoindex.models.spec import ModelFile


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
    owners = [owner_of(registry, registry.model(name)).name for name in names]
    offered = _offers(registry, folder, list(dict.fromkeys(owners)))
    if not offered:
        example = next(spec for spec in registry.models.values() if spec.files and not spec.package)
        hint = f"a bundle has {MANIFEST}; a plain folder, say, {example.name}/{example.files[0].name}"
        raise BundleInvalid(folder, f"it holds no model that models.toml knows ({hint})")
    return [_import(registry, name, *offered[name], models_dir, progress) for name in offered]


def _offers(registry: Registry, folder: Path, names: Sequence[str]) -> dict[str, tuple[Path, Offer]]:
    """For each model to import, the folder of its files and what the bundle says of them."""
    if (folder / MANIFEST).exists():
        listed = read_manifest(folder)
        missing = [name for name in names if name not in listed]
        if missing:
            raise BundleInvalid(folder, f"it holds no {missing[0]}; there are {', '.join(listed) or 'none'}")
        return {name: (folder / name, listed[name]["files"]) for name in names or listed}
    if names:
        return {name: (folder / name if (folder / name).is_dir() else folder, {}) for name in names}
    return {name: (folder / name, {}) for name in registry.models if (folder / name).is_dir()}


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
            found, count = copy_hashed(self._source / name, part, name, self._progress)
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
