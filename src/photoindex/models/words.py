"""The words of zero-shot tags, and the categories they belong to."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from photoindex.errors import RegistryInvalid

CATEGORIES = Path(__file__).with_name("categories.toml")
VOCABULARY = Path(__file__).with_name("vocabulary.txt")


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """The tags of a vocabulary file, one a line, each once, in its order; empty lines and lines with # do not count.

    `path` is `spec.options["vocabulary"]` of a zero-shot model. Raises RegistryInvalid where it holds none.
    """
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryInvalid(path, "vocabulary", "file", str(error)) from error
    tags = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not tags:
        raise RegistryInvalid(path, "vocabulary", "tags", "it is empty; write one tag a line")
    return tags


def read_categories(path: Path = CATEGORIES) -> Mapping[str, tuple[str, ...]]:
    """The tags of each category. Raises RegistryInvalid where the file is not of that form."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RegistryInvalid(path, "toml", "cannot be read", error.strerror) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RegistryInvalid(path, "toml", "syntax", str(error)) from error
    for name, tags in table.items():
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise RegistryInvalid(path, "categories", name, "must be a list of tags")
    return {name: tuple(tags) for name, tags in table.items()}
