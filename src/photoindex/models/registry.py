"""models.toml: which models there are and which one each profile uses, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, cast, get_args

from photoindex.errors import RegistryInvalid, UnknownModel, UnknownProfile
from photoindex.models.checks import check_base, check_file, check_files, check_profile, check_values
from photoindex.models.memory import read_memory
from photoindex.models.spec import ZERO_SHOT as ZERO_SHOT  # noqa: PLC0414 - other rooms read it here
from photoindex.models.spec import ModelFile, ModelSpec, Task

DEFAULT_PROFILE = "fast"
TASKS: tuple[str, ...] = get_args(Task)
RUNTIMES = ("torch", "onnxruntime", "openvino", "paddle")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEYS: Mapping[str, type] = {
    **dict.fromkeys(("task", "architecture", "licence", "package", "path", "source", "revision", "note"), str),
    **dict.fromkeys(("files", "runtimes"), list),
    **dict.fromkeys(("thresholds", "options", "memory"), dict),
    **dict.fromkeys(("input_size", "width", "about_mb"), int),
    "commercial": bool,
}
_NEEDED = ("task", "architecture", "licence", "commercial")
_FILE_KEYS: Mapping[str, type] = {"name": str, "url": str, "sha256": str, "size": int, "unpack": list}
_WORDS = {str: "text", bool: "true or false", int: "a whole number", list: "a list", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Registry:
    """The models by name, and for each profile the name of its model by task."""

    models: Mapping[str, ModelSpec]
    profiles: Mapping[str, Mapping[Task, str]]

    def model(self, name: str) -> ModelSpec:
        """Raises UnknownModel."""
        if name not in self.models:
            raise UnknownModel(name, self.models)
        return self.models[name]

    def for_profile(self, profile: str) -> Mapping[Task, ModelSpec]:
        """The profile's model for each task it names. Raises UnknownProfile."""
        if profile not in self.profiles:
            raise UnknownProfile(profile, self.profiles)
        return {task: self.models[name] for task, name in self.profiles[profile].items()}


def bundled_file() -> Path:
    """The models.toml that comes with photoindex: inside the wheel, or at the top of a checkout."""
    packaged = Path(str(resources.files("photoindex") / "models.toml"))
    return packaged if packaged.is_file() else Path(__file__).parents[3] / "models.toml"


def load_registry(user_file: Path | None = None) -> Registry:
    """Read photoindex's models.toml and, where it exists, the user's, whose blocks add to it or replace its blocks.

    Raises RegistryInvalid with the file, the block and the key.
    """
    sources = [_Source(bundled_file())]
    if user_file is not None and user_file.exists():
        sources.append(_Source(user_file))
    models = {name: (source, spec) for source in sources for name, spec in source.models()}
    profiles = {name: (source, block) for source in sources for name, block in source.profiles()}
    known = {name: spec for name, (_, spec) in models.items()}
    for source, spec in models.values():
        check_base(spec, known, source.fail)
    for name, (source, profile) in profiles.items():
        check_profile(name, profile, known, source.fail)
    return Registry(
        known,
        {name: cast("Mapping[Task, str]", profile) for name, (_, profile) in profiles.items()},
    )


class _Source:
    """One models.toml while it is being read; knows its name for the errors."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self.content = tomllib.loads(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            self.fail("toml", "syntax", str(error))
        for key in self.content:
            if key not in ("models", "profiles"):
                self.fail("top level", key, "unknown; there are [models.NAME] and [profiles.NAME]")

    def fail(self, block: str, key: str, what: str) -> NoReturn:
        raise RegistryInvalid(self.file, block, key, what)

    def models(self) -> Iterator[tuple[str, ModelSpec]]:
        for name, block in self._tables("models"):
            yield name, self._model(name, block)

    def profiles(self) -> Iterator[tuple[str, dict[str, str]]]:
        for name, block in self._tables("profiles"):
            for task, model in block.items():
                if task not in TASKS:
                    self.fail(f"profiles.{name}", task, f"no such task; there are {', '.join(TASKS)}")
                self._is(model, str, f"profiles.{name}", task)
            yield name, block

    def _tables(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        tables = self.content.get(kind, {})
        self._is(tables, dict, "top level", kind)
        for name, block in tables.items():
            self._is(block, dict, f"{kind}.{name}", "block")
            if not MODEL_NAME.fullmatch(name):
                self.fail(f"{kind}.{name}", "name", "use letters, digits, dot, dash and underscore")
            yield name, block

    def _model(self, name: str, block: dict[str, Any]) -> ModelSpec:
        where = f"models.{name}"
        self._keys(where, block, _KEYS, _NEEDED)
        if block["task"] not in TASKS:
            self.fail(where, "task", f"no such task as {block['task']!r}; there are {', '.join(TASKS)}")
        known = {**block, "name": name}
        known["files"] = tuple(self._file(where, entry, "package" in block) for entry in block.get("files", ()))
        check_files(where, known["files"], self.fail)
        known["runtimes"] = self._runtimes(where, block.get("runtimes", []))
        known["options"] = self._options(where, block.get("options", {}))
        known["path"] = self._folder(where, block.get("path"))
        check_values(where, block, self.fail)
        if "memory" in block:
            known["memory"] = read_memory(block["memory"], lambda key, what: self.fail(where, key, what))
        self._one_source(where, block)
        return ModelSpec(**known)

    def _one_source(self, where: str, block: dict[str, Any]) -> None:
        given = [key for key in ("files", "package", "path") if key in block]
        if block["architecture"] == ZERO_SHOT:
            if given or block["task"] != "tags":
                self.fail(where, "architecture", "zero-shot is for tags and has no weights of its own")
        elif not given or ("path" in given and len(given) > 1) or (given == ["files"] and not block["files"]):
            self.fail(where, "files", "give its weights as files to fetch, as a package, or as the path of a folder")

    def _file(self, where: str, entry: object, packaged: bool) -> ModelFile:
        self._is(entry, dict, where, "files")
        block = cast("dict[str, Any]", entry)
        self._keys(f"{where}.files", block, _FILE_KEYS, ("name",) if packaged else ("name", "url"))
        check_file(where, block, self.fail)
        if "sha256" in block and not _SHA256.fullmatch(block["sha256"]):
            self.fail(where, f"files.{block['name']}.sha256", "must be 64 lower-case hexadecimal digits")
        unpack = tuple(block.get("unpack", ()))
        return ModelFile(block["name"], block.get("url", ""), block.get("sha256"), block.get("size"), unpack)

    def _runtimes(self, where: str, names: list[Any]) -> tuple[str, ...]:
        for name in names:
            if name not in RUNTIMES:
                self.fail(where, "runtimes", f"no runtime is called {name!r}; there are {', '.join(RUNTIMES)}")
        return tuple(names)

    def _options(self, where: str, options: dict[str, Any]) -> dict[str, Any]:
        """The options; a vocabulary is looked for beside this file, then among photoindex's own, and made absolute."""
        name = options.get("vocabulary")
        if name is None:
            return options
        self._is(name, str, where, "options.vocabulary")
        places = (self.file.parent, Path(__file__).parent) if name.isprintable() else ()
        found = [path for folder in places if (path := folder / name).is_file()]
        if not found:
            self.fail(where, "options.vocabulary", f"no file {name} beside {self.file.name}")
        return {**options, "vocabulary": str(found[0].absolute())}

    def _folder(self, where: str, path: str | None) -> Path | None:
        try:
            return None if path is None else (self.file.absolute().parent / Path(path).expanduser())
        except RuntimeError as error:  # ~ of a user that does not exist
            self.fail(where, "path", str(error))

    def _keys(self, where: str, block: dict[str, Any], kinds: Mapping[str, type], needed: tuple[str, ...]) -> None:
        for key, value in block.items():
            if key not in kinds:
                self.fail(where, key, f"unknown key; there are {', '.join(kinds)}")
            self._is(value, kinds[key], where, key)
        for key in needed:
            if key not in block:
                self.fail(where, key, "is missing")

    def _is(self, value: object, kind: type, where: str, key: str) -> None:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(where, key, f"must be {_WORDS[kind]}, not {value!r}")
