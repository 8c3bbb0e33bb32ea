"""What a models.toml may say beyond the types of its keys: values, options, and how its blocks fit together.

Each check reports a mistake to `fail(block, key, what is wrong)`, which does not return.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NoReturn
from urllib.parse import urlsplit

from photoindex.models.spec import ZERO_SHOT, ModelFile, ModelSpec

SCORINGS = ("softmax", "sigmoid")
# Names in a model's folder that photoindex writes itself.
_OURS = ("installed.json", "hashes.json")
_OUR_FOLDERS = ("forms-",)

Fail = Callable[[str, str, str], NoReturn]


def check_profile(name: str, profile: Mapping[str, str], models: Mapping[str, ModelSpec], fail: Fail) -> None:
    """Every model it names exists and does the task; tags that build on vectors build on this profile's vectors."""
    where = f"profiles.{name}"
    for task, model in profile.items():
        if model not in models:
            fail(where, task, f"no model is called {model!r}")
        if models[model].task != task:
            fail(where, task, f"{model} is a model for {models[model].task}")
    tags = models[profile["tags"]] if "tags" in profile else None
    if tags is None or tags.architecture != ZERO_SHOT:
        return
    base, own = tags.options.get("embedding"), profile.get("embedding")
    if base != own:
        has = f"the profile's is {own}" if own else "the profile names none"
        fail(where, "tags", f"{tags.name} builds on the vectors of the embedding model {base}, but {has}")


def check_base(spec: ModelSpec, models: Mapping[str, ModelSpec], fail: Fail) -> None:
    """A zero-shot tagger rests on an embedding model that exists, and says with which words and how."""
    if spec.architecture != ZERO_SHOT:
        return
    where, options = f"models.{spec.name}", spec.options
    base = models.get(str(options.get("embedding")))
    if base is None or base.task != "embedding":
        fail(where, "options.embedding", "must name a model whose task is embedding")
    if "vocabulary" not in options:
        fail(where, "options.vocabulary", "must name a file of tags")
    if options.get("scoring", SCORINGS[0]) not in SCORINGS:
        fail(where, "options.scoring", f"must be {' or '.join(SCORINGS)}, not {options['scoring']!r}")
    _check_templates(where, options.get("template", "{}"), fail)
    limit = options.get("limit", 1)
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        fail(where, "options.limit", f"must be a whole number from 1, not {limit!r}")


def _check_templates(where: str, given: object, fail: Fail) -> None:
    for template in given if isinstance(given, list) and given else [given]:
        if not isinstance(template, str) or "{}" not in template:
            fail(where, "options.template", "must be a text, or a list of texts, each with {} where the tag goes")


def check_values(where: str, block: Mapping[str, Any], fail: Fail) -> None:
    """Texts that must say something, sizes that must be some, thresholds that are numbers."""
    for key in ("architecture", "licence", "package", "path"):
        if key in block and not (block[key].strip() and block[key].isprintable()):
            fail(where, key, "must not be empty or hold control characters")
    if not all(part.isidentifier() for part in block.get("package", "a").split(".")):
        fail(where, "package", f"{block['package']!r} is not the name of a Python package")
    for key in ("input_size", "width", "about_mb"):
        if key in block and block[key] < 1:
            fail(where, key, f"must be a whole number from 1, not {block[key]}")
    for key, value in block.get("thresholds", {}).items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            fail(where, f"thresholds.{key}", f"must be a number, not {value!r}")


def check_files(where: str, files: Sequence[ModelFile], fail: Fail) -> None:
    """No two files, or members of archives, go to one name."""
    names = [name.casefold() for file in files for name in file.unpack or (file.name,)]
    for name in names:
        if names.count(name) > 1:
            fail(where, "files", f"two files are called {name!r}")


def check_file(where: str, block: Mapping[str, Any], fail: Fail) -> None:
    """Names that stay inside the model's folder, an address that photoindex can fetch from, a size that is one."""
    for member in (block["name"], *block.get("unpack", ())):
        _check_name(where, member, fail)
    key = f"files.{block['name']}"
    if block.get("size", 1) < 1:
        fail(where, f"{key}.size", f"must be a whole number from 1, not {block['size']}")
    if "unpack" in block and not block["unpack"]:
        fail(where, f"{key}.unpack", "must list what to take out of the archive")
    scheme = _scheme(where, key, block.get("url", "file:///"), fail)
    if scheme == "http" and "sha256" not in block:
        fail(where, f"{key}.sha256", "is needed: plain http:// proves nothing")


def _scheme(where: str, key: str, url: str, fail: Fail) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        fail(where, f"{key}.url", str(error))
    if parts.scheme not in ("https", "http", "file"):
        fail(where, f"{key}.url", "must begin with https://, http:// or file://")
    if parts.scheme != "file" and not parts.hostname:
        fail(where, f"{key}.url", "names no host")
    return parts.scheme


def _check_name(where: str, name: object, fail: Fail) -> None:
    path = PurePosixPath(name) if isinstance(name, str) else None
    hidden = path is None or any(part.startswith(".") for part in path.parts)
    strange = "\\" in str(name) or ":" in str(name) or not str(name).isprintable()
    if path is None or hidden or strange or path.is_absolute() or not path.parts:
        fail(where, "files", f"{name!r} is not a file name inside the model's folder")
    if str(path) in _OURS or path.parts[0].startswith(_OUR_FOLDERS):
        fail(where, "files", f"{name!r} is a name that photoindex uses itself")
