"""Which version of a model is on this machine: a fingerprint of everything that decides its results."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from photoindex.errors import ModelBroken
from photoindex.models.download import Progress, sha256_of, unheard
from photoindex.models.landing import names_of
from photoindex.models.record import read_record
from photoindex.models.spec import InstalledModel, ModelSpec
from photoindex.models.words import read_vocabulary

HASHES = "hashes.json"
# Weights and what describes them; a README or a list of words in a user's own folder is neither.
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".npz", ".onnx", ".data", ".pdiparams", ".pdmodel", ".xml")
# By folder what could not be kept there, as on a full disk: once in a process gigabytes are read for it, and no more.
_READ: dict[Path, dict[str, list[Any]]] = {}
# The words of a vocabulary and the fingerprint of the embedding model count instead of their names; how many tags are
# shown is decided when they are, from the scores that are kept.
_NOT_AS_SUCH = ("vocabulary", "embedding", "limit")


def fingerprint(installed: InstalledModel, progress: Progress = unheard) -> str:
    """Twelve hexadecimal digits that are others when the model would give other results.

    Architecture, revision, the bytes of its files, options, the words of a vocabulary, input size and width decide,
    for zero-shot tags those of the embedding model too. Licence, notes, thresholds, limits of what is shown, runtimes
    and the place on disk do not. Files are hashed once and then known by size and times; that reads gigabytes, so
    `progress` is told as `pull` does, and may raise to end it: files that are hashed by then are known.
    Raises ModelBroken where one cannot be read or is not what was installed, RegistryInvalid for a vocabulary that
    cannot.
    """
    spec = installed.spec
    words = spec.options.get("vocabulary")
    described = {
        "task": spec.task,
        "architecture": spec.architecture,
        "revision": spec.revision,
        "input": [spec.input_size, spec.width],
        "options": {key: value for key, value in spec.options.items() if key not in _NOT_AS_SUCH},
        "words": read_vocabulary(Path(words)) if words is not None else None,
        "files": None if installed.base else dict(sorted(_contents(installed, progress).items())),
        "base": fingerprint(installed.base, progress) if installed.base else None,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _contents(installed: InstalledModel, progress: Progress) -> Mapping[str, str]:
    """The SHA-256 of each of the model's files, by name. Raises ModelBroken where one is not as it was installed."""
    spec = installed.spec
    if spec.path is not None:
        return _hashed(installed, list(own_files(spec, installed.path)), progress)
    if spec.package is not None:  # pip has compared them
        known = {file.name: file.sha256 for file in spec.files if file.sha256}
        return known | _hashed(installed, [name for name in _names(spec) if name not in known], progress)
    record = read_record(installed.path)
    vouched = {name: str(record[name]["sha256"]) for name in _names(spec) if name in record}
    if not _can_keep(installed.derived):
        return vouched | _hashed(installed, [name for name in _names(spec) if name not in vouched], progress)
    found = _hashed(installed, _names(spec), progress)
    if changed := [name for name, sha256 in found.items() if vouched.get(name, sha256) != sha256]:
        what = f"{installed.path / changed[0]} is not what was installed: its checksum is another"
        raise ModelBroken(spec.name, what, f"photoindex models pull {spec.name}")
    return found


def keep_hashes(installed: InstalledModel) -> None:
    """Keep the hashes of a fetched model whose files were verified just now: the next scan need not read them all."""
    spec = installed.spec
    if spec.path is not None or spec.package is not None or installed.base is not None:
        return
    record, now = read_record(installed.path), {}
    with contextlib.suppress(OSError):
        for name in (name for name in _names(spec) if name in record):
            now[name] = [*_seen(installed.path / name), str(record[name]["sha256"])]
        _write_hashes(installed.derived, now)


def _can_keep(folder: Path) -> bool:
    """Whether hashes can be kept there. Else gigabytes would be read at each search, of files that cannot be written
    from here either."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _names(spec: ModelSpec) -> list[str]:
    return [name for file in spec.files for name in names_of(file)]


def own_files(spec: ModelSpec, folder: Path) -> Iterator[str]:
    """The files of a user's folder that are weights, or that the model's options name."""
    named = {str(value) for key, value in spec.options.items() if key not in _NOT_AS_SUCH and isinstance(value, str)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and (path.suffix in _WEIGHTS or name in named):
            yield name


def _hashed(installed: InstalledModel, names: list[str], progress: Progress) -> dict[str, str]:
    """Hash these files of the model's folder, except those that were hashed before and look the same.

    The time of change is the system's own: unlike the one of modification nobody sets it back.
    """
    if not names:
        return {}
    kept, now = _READ.get(installed.derived) or _read_hashes(installed.derived), {}
    try:
        for name in names:
            seen = _seen(installed.path / name)
            before = kept.get(name)
            same = before is not None and before[:3] == seen
            now[name] = before if before and same else [*seen, sha256_of(installed.path / name, progress)]
    except OSError as error:
        what = f"{error.filename} cannot be read ({error.strerror})"
        raise ModelBroken(installed.spec.name, what, "photoindex models list") from error
    finally:  # what was hashed before the rest was broken off is not read again
        known = {name: kept[name] for name in names if name in kept} | now
        if known != kept and not _write_hashes(installed.derived, known):
            _READ[installed.derived] = known
    return {name: str(entry[3]) for name, entry in now.items()}


def _seen(path: Path) -> list[Any]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _read_hashes(folder: Path) -> dict[str, list[Any]]:
    try:
        kept = json.loads((folder / HASHES).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in kept.items() if isinstance(v, list) and len(v) == 4} if isinstance(kept, dict) else {}


def _write_hashes(folder: Path, hashes: Mapping[str, list[Any]]) -> bool:
    """Kept where that is possible, and whether it was; a folder that cannot be written costs time only."""
    _READ.pop(folder, None)
    part = folder / f".part-{os.getpid()}-{HASHES}"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(hashes, indent=2), encoding="utf-8")
        part.replace(folder / HASHES)
        return True
    return False
