"""From a verified part file to a file of the model: under its own name there is never half of one."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from photoindex.durable import sync_file
from photoindex.errors import DownloadFailed
from photoindex.models.download import Fetched, sha256_of
from photoindex.models.record import read_record
from photoindex.models.spec import ModelFile

Entries = dict[str, dict[str, Any]]
"""By name, what `installed.json` is to say of a file: sha256, size, url, trust, and archive_sha256 of a member."""


@contextlib.contextmanager
def model_folder(name: str, models_dir: Path) -> Iterator[Path]:
    """The model's folder, made where it is not there, for one process at a time. Raises DownloadFailed."""
    from filelock import FileLock, Timeout

    folder = models_dir / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(models_dir / f".{name}.lock", timeout=0):
            yield folder
    except Timeout as error:
        raise DownloadFailed(name, "another photoindex is fetching it just now") from error
    except OSError as error:
        raise DownloadFailed(name, f"{error.strerror}: {error.filename}") from error


def names_of(file: ModelFile) -> tuple[str, ...]:
    """The names under which a file, or what is taken out of the archive it is, lies in the model's folder."""
    return file.unpack or (file.name,)


def part_of(folder: Path, name: str) -> Path:
    """Where a file is gathered before it is verified."""
    return folder / f".part-{name.replace('/', '-')}"


def is_wanted(file: ModelFile, entry: Mapping[str, Any]) -> bool:
    """Whether what was installed is what models.toml asks for now: by checksum, else by the address it came from."""
    if file.sha256 is None:
        return bool(entry.get("url", file.url) == file.url)
    return bool(entry.get("archive_sha256", entry["sha256"]) == file.sha256)


def is_right(file: ModelFile, folder: Path) -> bool:
    """Whether the file is there, byte for byte as it was verified, and models.toml wants no other."""
    record = read_record(folder)
    for name in names_of(file):
        entry = record.get(name)
        if entry is None or not (folder / name).is_file() or sha256_of(folder / name) != entry["sha256"]:
            return False
        if not is_wanted(file, entry):
            return False
    return True


def land(file: ModelFile, folder: Path, part: Path, fetched: Fetched) -> Entries:
    """Move a verified part file into place, or what models.toml takes out of it. Raises DownloadFailed."""
    facts: dict[str, Any] = {"url": file.url, "trust": fetched.trust}
    if file.unpack:
        facts["archive_sha256"] = fetched.sha256
        entries = {name: facts | _unpack(file, part, name, folder) for name in file.unpack}
        part.unlink()
        return entries
    put(part, folder / file.name)
    return {file.name: facts | {"sha256": fetched.sha256, "size": fetched.size}}


def put(part: Path, target: Path) -> None:
    """Give a part file its name once its bytes are on the disk: after a power cut it is whole, or not there."""
    sync_file(part)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)


def _unpack(file: ModelFile, archive: Path, name: str, folder: Path) -> dict[str, Any]:
    """Write one listed member under its own name; no name but those that models.toml lists is ever written."""
    part = part_of(folder, name)
    try:
        with zipfile.ZipFile(archive) as zipped, zipped.open(name) as source, part.open("wb") as out:
            shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, KeyError, RuntimeError, EOFError, zlib.error) as error:
        part.unlink(missing_ok=True)
        reason = error.args[0] if error.args else "it ends too early"
        raise DownloadFailed(file.name, f"the archive is not what it should be ({reason})") from error
    facts = {"sha256": sha256_of(part), "size": part.stat().st_size}
    put(part, folder / name)
    return facts
