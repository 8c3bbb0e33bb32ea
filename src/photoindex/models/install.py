"""Weights on this machine: found, fetched, verified and written down in `installed.json` beside them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from photoindex.errors import ModelBroken, ModelMissing
from photoindex.models.download import Fetched, Progress, fetch, sha256_of
from photoindex.models.landing import is_right, is_wanted, land, model_folder, names_of, part_of
from photoindex.models.record import read_record, write_record
from photoindex.models.registry import Registry
from photoindex.models.spec import ZERO_SHOT, InstalledModel, ModelFile, ModelSpec


def locate(registry: Registry, spec: ModelSpec, models_dir: Path) -> InstalledModel:
    """The model's weights where they are. Looks at presence and size only: `pull` has verified the checksums.

    Raises ModelMissing or ModelBroken, both with the command that helps.
    """
    if spec.architecture == ZERO_SHOT:
        base = locate(registry, registry.model(str(spec.options["embedding"])), models_dir)
        return InstalledModel(spec, base.path, models_dir / spec.name, base)
    if spec.package is not None:
        return _in_package(spec, spec.package, models_dir)
    if spec.path is not None:
        if not spec.path.is_dir():
            raise ModelBroken(spec.name, f"there is no folder {spec.path}", _command(spec))
        return InstalledModel(spec, spec.path, models_dir / spec.name)
    _check(spec, models_dir / spec.name)
    return InstalledModel(spec, models_dir / spec.name)


def pull(registry: Registry, spec: ModelSpec, models_dir: Path, progress: Progress) -> InstalledModel:
    """Fetch what is missing, verify everything, and install it. What is already right is not fetched again.

    Each file goes to `.part-NAME`, is verified, then moved into place, so that a file under its own name is whole.
    `progress(file, bytes so far, bytes in all or None)` is called often. Raises DownloadFailed and what locate raises.
    """
    if spec.architecture == ZERO_SHOT:
        pull(registry, registry.model(str(spec.options["embedding"])), models_dir, progress)
    elif spec.package is None and spec.path is None:
        with model_folder(spec.name, models_dir) as folder:
            for file in spec.files:
                _install(spec, file, folder, progress)
    return locate(registry, spec, models_dir)


def download_bytes(spec: ModelSpec) -> int | None:
    """The size of the model's own files; 0 where it has none to fetch, None where models.toml does not say."""
    if spec.package is not None or spec.path is not None:
        return 0
    sizes = [file.size for file in spec.files]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _command(spec: ModelSpec) -> str:
    return f"photoindex models pull {spec.name}"


def _in_package(spec: ModelSpec, package: str, models_dir: Path) -> InstalledModel:
    found = importlib.util.find_spec(package)  # finds a top-level package without importing it
    command = f"pip install --force-reinstall {package}"
    if found is None or found.origin is None:
        raise ModelMissing(spec.name, command)
    folder = Path(found.origin).parent / str(spec.options.get("folder", ""))
    for file in spec.files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != (file.size or path.stat().st_size):
            raise ModelBroken(spec.name, f"this version of {package} has another {file.name}, or none", command)
    return InstalledModel(spec, folder, models_dir / spec.name)


def _check(spec: ModelSpec, folder: Path) -> None:
    record = read_record(folder)
    for file in spec.files:
        for name in names_of(file):
            if name not in record or not (folder / name).is_file():
                raise ModelMissing(spec.name, _command(spec))
            size = (folder / name).stat().st_size
            if size != record[name]["size"]:
                what = f"{folder / name} has {size:,} bytes instead of {record[name]['size']:,}"
                raise ModelBroken(spec.name, what, _command(spec))
            if not is_wanted(file, record[name]):
                raise ModelBroken(spec.name, f"{folder / name} is another version", _command(spec))


def _install(spec: ModelSpec, file: ModelFile, folder: Path, progress: Progress) -> None:
    if not is_right(file, folder):
        part = part_of(folder, file.name)
        fetched = _adopt(file, folder, part) or fetch(file, part, progress)
        write_record(spec, folder, land(file, folder, part, fetched))


def _adopt(file: ModelFile, folder: Path, part: Path) -> Fetched | None:
    """Take a file that someone copied into the folder of a machine without a network, if its checksum is right."""
    own = folder / file.name
    if file.sha256 is None or not own.is_file() or sha256_of(own) != file.sha256:
        return None
    own.replace(part)
    return Fetched(file.sha256, part.stat().st_size, "models.toml")
