"""Everything known of a model: its block of models.toml, what is on this machine, and who uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from photoindex.errors import ModelBroken, ModelMissing, PhotoindexError
from photoindex.models.identity import fingerprint, own_files
from photoindex.models.install import download_bytes, locate
from photoindex.models.landing import names_of, part_of
from photoindex.models.memory import memory_of
from photoindex.models.record import read_record
from photoindex.models.registry import Registry
from photoindex.models.spec import InstalledModel, MemoryNeeds, ModelSpec

Installed = Literal["yes", "no", "broken"]


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model and whether it can be used. `bytes`: of the download, None where models.toml does not say exactly;
    `bytes_about`: about how many, where it says only that."""

    spec: ModelSpec
    installed: Installed
    path: Path | None
    problem: str | None
    bytes: int | None
    profiles: tuple[str, ...]
    bytes_about: int | None = None


@dataclass(frozen=True, slots=True)
class FileState:
    """A file of a model. `have`: its bytes on this disk; `partial`: those of a download that broke off.

    An archive has `members`, which are files of the model in its place once it is unpacked.
    `trust` says who vouches for the checksum: models.toml, hub, bundle, or nobody but the first use.
    """

    name: str
    size: int | None
    sha256: str | None
    url: str
    have: int | None = None
    partial: int | None = None
    trust: str | None = None
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """What was made from the weights for this machine: a file or folder in the model's folder, and its bytes."""

    path: Path
    bytes: int


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """`files` of the model itself; `memory` as models.toml says or as estimated (`memory_stated` False);
    `base` the model whose weights it uses, `resting` those that use its own."""

    state: ModelState
    files: tuple[FileState, ...]
    forms: tuple[Form, ...]
    memory: MemoryNeeds | None
    memory_stated: bool
    fingerprint: str | None
    base: str | None
    resting: tuple[str, ...]


def state_of(registry: Registry, spec: ModelSpec, models_dir: Path) -> ModelState:
    """Whether it is installed, by presence and size as `locate` looks."""
    path: Path | None = None
    installed: Installed = "yes"
    problem: str | None = None
    try:
        path = locate(registry, spec, models_dir).path
    except ModelMissing as error:
        installed, problem = "no", str(error)
    except ModelBroken as error:
        installed, problem = "broken", str(error)
    profiles = tuple(name for name, used in registry.profiles.items() if spec.name in used.values())
    exact = download_bytes(spec)
    about = spec.about_mb * 10**6 if exact is None and spec.about_mb is not None else None
    return ModelState(spec, installed, path, problem, exact, profiles, about)


def details_of(registry: Registry, spec: ModelSpec, models_dir: Path) -> ModelDetails:
    """Everything. Hashes the files of a user's own folder where that has not happened before."""
    state = state_of(registry, spec, models_dir)
    found = locate(registry, spec, models_dir) if state.installed == "yes" else None
    base = spec.options.get("embedding")
    return ModelDetails(
        state=state,
        files=_files(spec, found, models_dir / spec.name),
        forms=_forms(spec, models_dir / spec.name),
        memory=memory_of(found) if found else spec.memory,
        memory_stated=spec.memory is not None,
        fingerprint=_fingerprint(found),
        base=str(base) if base is not None else None,
        resting=tuple(m.name for m in registry.models.values() if m.options.get("embedding") == spec.name),
    )


def _fingerprint(found: InstalledModel | None) -> str | None:
    try:
        return fingerprint(found) if found else None
    except PhotoindexError:
        return None


def _files(spec: ModelSpec, found: InstalledModel | None, folder: Path) -> tuple[FileState, ...]:
    if spec.path is not None:
        names = own_files(spec, spec.path) if spec.path.is_dir() else ()
        return tuple(FileState(name, None, None, "", _size(spec.path / name)) for name in names)
    where = found.path if found else folder
    record = {} if spec.package else read_record(where)
    states = []
    for file in spec.files:
        partial = _size(part_of(folder, file.name))
        if file.unpack:
            states.append(FileState(file.name, file.size, file.sha256, file.url, None, partial, None, file.unpack))
        for name in names_of(file):
            entry = record.get(name, {})
            sha256, size = (None, None) if file.unpack else (file.sha256, file.size)
            sha256, size, trust = sha256 or entry.get("sha256"), size or entry.get("size"), entry.get("trust")
            left = None if file.unpack else partial
            states.append(FileState(name, size, sha256, file.url, _size(where / name), left, trust))
    return tuple(states)


def _forms(spec: ModelSpec, folder: Path) -> tuple[Form, ...]:
    """What lies in the model's folder besides its files and their record."""
    if not folder.is_dir() or folder == spec.path:
        return ()
    own = {Path(name).parts[0] for file in spec.files for name in names_of(file)}
    made = [path for path in sorted(folder.iterdir()) if path.name not in own and path.is_dir()]
    made = [path for path in made if not path.name.startswith(".")]
    return tuple(Form(path, sum(p.stat().st_size for p in path.rglob("*") if p.is_file())) for path in made)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
