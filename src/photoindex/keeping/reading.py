"""Reading JSON that people may have edited: each value is checked, and what is wrong is said with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from photoindex.errors import UsageError
from photoindex.pure.times import utc_time

_SHA256 = re.compile(r"[0-9a-f]{64}")


def array(value: Mapping[str, Any], name: str, where: str = "") -> list[Any]:
    """The array `name` of an object; an empty one where it is not there."""
    found = value.get(name, [])
    if not isinstance(found, list):
        raise _wrong(f"{where}{name}", "an array", found)
    return found


def object_of(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    return value


def text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(where, "text", value)
    return value


def number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise _wrong(where, "a number", value)
    return float(value)


def at_time(value: Any, where: str) -> datetime:
    """A time in ISO 8601 as UTC without a zone."""
    try:
        return utc_time(value)
    except ValueError:
        raise _wrong(where, "a time such as 2026-05-01T12:00:00", value) from None


def shas(value: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """An object whose keys are photos."""
    for key in value:
        if not _SHA256.fullmatch(key):
            raise _wrong(where, "photos by SHA-256, which are 64 characters of 0-9a-f", key)
    return value


def _wrong(where: str, wanted: str, value: Any) -> UsageError:
    return UsageError(f"{where} should be {wanted}, not {str(value)[:80]!r}. Nothing was changed.")
