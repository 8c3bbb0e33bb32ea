"""Which of several files of a photo a query means: the one that its path: and name: fields speak of."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from fnmatch import translate

from photoindex.pure.query import Node
from photoindex.pure.query.tree import And, Field, Or, Text


def fields_fitted(where: Node | None) -> Callable[[str], int]:
    """How many of the path: and name: fields that a photo may be found by fit a path."""
    tests = [
        path_test(field.value.text, field.value.glob, whole=field.name == "path")
        for field in _asked(where)
        if isinstance(field.value, Text) and field.name in ("path", "name")
    ]
    return lambda path: sum(test(path) for test in tests)


def path_test(text: str, glob: bool, *, whole: bool) -> Callable[[str], bool]:
    """Whether a path, or its last part, contains the text, or is what the pattern describes."""
    asked = _one_spelling(text)
    pattern = re.compile(translate(asked.replace("[", "[[]"))) if glob else None

    def fits(path: str) -> bool:
        name = _one_spelling(path if whole else os.path.basename(path))
        return bool(pattern.match(name)) if pattern else asked in name

    return fits


def _asked(node: Node | None) -> Iterator[Field]:
    match node:
        case Field():
            yield node
        case And(parts) | Or(parts):
            for part in parts:
                yield from _asked(part)


def _one_spelling(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()
