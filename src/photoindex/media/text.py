"""Words out of metadata: whatever bytes a camera or an editor wrote, made safe to store and to show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

_LONGEST = 10_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def clean(value: Any) -> str | None:
    """Text of an EXIF, IPTC or XMP value; None where nothing is left. Control codes of terminals are taken out."""
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    if isinstance(value, bytes):
        value = decode(value)
    elif isinstance(value, str):
        value = _repair(value)
    if not isinstance(value, str):
        return None
    value = value.split("\0", 1)[0] if value.strip("\0") else ""
    value = _CONTROL.sub(" ", _TERMINAL_CODE.sub("", value.encode("utf-8", "replace").decode()))
    value = re.sub(r"[ \t]+", " ", unicodedata.normalize("NFC", value)).strip()
    return value[:_LONGEST] or None


def decode(value: bytes) -> str:
    """UTF-8 where it is that, else the Western code page that older programs wrote."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")


def _repair(value: str) -> str:
    """Pillow reads EXIF text as Latin-1 as the standard's ASCII suggests; most programs write UTF-8."""
    try:
        return decode(value.encode("latin-1"))
    except UnicodeEncodeError:
        return value


def utf16(value: Any) -> str | None:
    """Text of the XP tags of Windows: UTF-16, little endian, as bytes or as a tuple of numbers."""
    try:
        raw = bytes(value) if isinstance(value, bytes | tuple | list) else b""
    except (ValueError, TypeError):
        return None
    return clean(raw.decode("utf-16-le", "replace").rstrip("\0"))


def unique(words: Iterable[str | None]) -> tuple[str, ...]:
    """The words without repetition (case ignored), in order."""
    seen: dict[str, str] = {}
    for word in words:
        if word:
            seen.setdefault(word.casefold(), word)
    return tuple(seen.values())
