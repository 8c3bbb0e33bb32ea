"""Reading all weights again, to tell a disk that forgets or a file that someone changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from photoindex.errors import ModelMissing
from photoindex.models.download import Progress, sha256_of
from photoindex.models.identity import own_files
from photoindex.models.install import locate
from photoindex.models.landing import is_wanted, names_of
from photoindex.models.record import read_record
from photoindex.models.registry import Registry
from photoindex.models.spec import ZERO_SHOT, ModelSpec

Verdict = Literal["ok", "no checksum", "changed", "another version", "missing", "unreadable"]
BAD: tuple[Verdict, ...] = ("changed", "another version", "missing", "unreadable")


@dataclass(frozen=True, slots=True)
class Checked:
    """One file of a model. `sha256` is what it has now, `expected` what it should have; both may be unknown."""

    model: str
    path: Path
    verdict: Verdict
    sha256: str | None = None
    expected: str | None = None

    @property
    def good(self) -> bool:
        return self.verdict not in BAD


def verify(registry: Registry, spec: ModelSpec, models_dir: Path, progress: Progress) -> Iterator[Checked]:
    """Hash every file of a model and compare; for zero-shot tags those of the embedding model.

    A file of a user's own folder has no checksum to compare with. `progress` as for `pull`.
    Raises ModelMissing where nothing of the model is installed.
    """
    if spec.architecture == ZERO_SHOT:
        yield from verify(registry, registry.model(str(spec.options["embedding"])), models_dir, progress)
    elif spec.path is not None:
        folder = locate(registry, spec, models_dir).path
        for name in own_files(spec, folder):
            yield _checked(spec, folder / name, None, progress)
    elif spec.package is not None:
        folder = locate(registry, spec, models_dir).path
        for file in spec.files:
            yield _checked(spec, folder / file.name, file.sha256, progress)
    else:
        yield from _verify_fetched(spec, models_dir / spec.name, progress)


def _verify_fetched(spec: ModelSpec, folder: Path, progress: Progress) -> Iterator[Checked]:
    record = read_record(folder)
    if not record:
        raise ModelMissing(spec.name, f"photoindex models pull {spec.name}")
    for file in spec.files:
        for name in names_of(file):
            if name not in record:
                yield Checked(spec.name, folder / name, "missing")
                continue
            checked = _checked(spec, folder / name, str(record[name]["sha256"]), progress)
            if checked.good and not is_wanted(file, record[name]):
                yield Checked(spec.name, folder / name, "another version", checked.sha256, file.sha256)
            else:
                yield checked


def _checked(spec: ModelSpec, path: Path, expected: str | None, progress: Progress) -> Checked:
    try:
        found = sha256_of(path, progress)
    except FileNotFoundError:
        return Checked(spec.name, path, "missing", None, expected)
    except OSError:
        return Checked(spec.name, path, "unreadable", None, expected)
    verdict: Verdict = "no checksum" if expected is None else "ok" if found == expected else "changed"
    return Checked(spec.name, path, verdict, found, expected)
