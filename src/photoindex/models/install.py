"""Weights on this machine: found, fetched, verified and written down in `installed.json` beside them."""

from __future__ import annotations

import importlib.util
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photoindex.errors import DownloadFailed, ModelBroken, ModelMissing
from photoindex.models.download import Fetched, Progress, fetch, sha256_of
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
        from filelock import FileLock, Timeout

        folder = models_dir / spec.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(models_dir / f".{spec.name}.lock", timeout=0):
                for file in spec.files:
                    _install(spec, file, folder, progress)
        except Timeout as error:
            raise DownloadFailed(spec.name, "another photoindex is fetching it just now") from error
        except OSError as error:
            raise DownloadFailed(spec.name, f"{error.strerror}: {error.filename}") from error
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
        for name in file.unpack or (file.name,):
            if name not in record or not (folder / name).is_file():
                raise ModelMissing(spec.name, _command(spec))
            size = (folder / name).stat().st_size
            if size != record[name]["size"]:
                what = f"{folder / name} has {size:,} bytes instead of {record[name]['size']:,}"
                raise ModelBroken(spec.name, what, _command(spec))
            if not _wanted(file, record[name]):
                raise ModelBroken(spec.name, f"{folder / name} is another version", _command(spec))


def _wanted(file: ModelFile, entry: Mapping[str, Any]) -> bool:
    """Whether what was installed is what models.toml asks for now: by checksum, else by the address it came from."""
    if file.sha256 is None:
        return bool(entry.get("url", file.url) == file.url)
    return bool(entry.get("archive_sha256", entry["sha256"]) == file.sha256)


def _install(spec: ModelSpec, file: ModelFile, folder: Path, progress: Progress) -> None:
    if _is_right(file, folder):
        return
    part = folder / f".part-{file.name.replace('/', '-')}"
    fetched = _adopt(file, folder, part) or fetch(file, part, progress)
    facts: dict[str, Any] = {"url": file.url, "trust": fetched.trust}
    if file.unpack:
        facts["archive_sha256"] = fetched.sha256
        entries = {name: facts | _unpack(file, part, name, folder) for name in file.unpack}
        part.unlink()
    else:
        (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        part.replace(folder / file.name)
        entries = {file.name: facts | {"sha256": fetched.sha256, "size": fetched.size}}
    write_record(spec, folder, entries)


def _is_right(file: ModelFile, folder: Path) -> bool:
    """Whether the file is there, byte for byte as it was verified, and models.toml wants no other."""
    record = read_record(folder)
    for name in file.unpack or (file.name,):
        entry = record.get(name)
        if entry is None or not (folder / name).is_file() or sha256_of(folder / name) != entry["sha256"]:
            return False
        if not _wanted(file, entry):
            return False
    return True


def _adopt(file: ModelFile, folder: Path, part: Path) -> Fetched | None:
    """Take a file that someone copied into the folder of a machine without a network, if its checksum is right."""
    own = folder / file.name
    if file.sha256 is None or not own.is_file() or sha256_of(own) != file.sha256:
        return None
    own.replace(part)
    return Fetched(file.sha256, part.stat().st_size, "models.toml")


def _unpack(file: ModelFile, archive: Path, name: str, folder: Path) -> dict[str, Any]:
    """Write one listed member under its own name; no name but those that models.toml lists is ever written."""
    target, part = folder / name, folder / f".part-{name.replace('/', '-')}"
    try:
        with zipfile.ZipFile(archive) as zipped, zipped.open(name) as source, part.open("wb") as out:
            shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, KeyError, RuntimeError, EOFError, zlib.error) as error:
        part.unlink(missing_ok=True)
        raise DownloadFailed(file.name, f"the archive is not what it should be ({error.args[0]})") from error
    facts = {"sha256": sha256_of(part), "size": part.stat().st_size}
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)
    return facts
