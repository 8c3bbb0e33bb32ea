"""Amounts of memory and sizes of files as people write them."""

from __future__ import annotations

import math
import re

_UNITS = {"k": 1, "m": 2, "g": 3, "t": 4}
_WRITTEN = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*([kmgt])(i?b)?\s*", re.IGNORECASE)
_SHARE = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*%\s*")


def parse_size(text: str, whole: int | None = None) -> int:
    """Bytes: `512M`, `4G`, `1.5 GiB` count in 1024s, `4GB` in 1000s, as tools for containers and disks do; `50%` is a
    share of `whole`. Raises ValueError, whose text says what may be written.
    """
    if (share := _SHARE.fullmatch(text)) and whole is not None and 0 < _number(share[1]) <= 100:
        return int(whole * _number(share[1]) / 100)
    written = _WRITTEN.fullmatch(text)
    size = 0
    if written:
        base = 1000 if (written[3] or "").lower() == "b" else 1024
        size = int(_number(written[1]) * base ** _UNITS[written[2].lower()])
    if size < 1:
        shares = "" if whole is None else " or 50%"
        raise ValueError(f"{text!r} is no amount of memory. Write it with its unit: 512M, 4G, 1.5GiB{shares}.")
    return size


def show_size(size: int) -> str:
    """Bytes for people, so that `parse_size` reads back no less: 512M, 1.6G (in 1024s, rounded up)."""
    if size >= 10 << 30:
        return f"{math.ceil(size / (1 << 30))}G"
    if size >= 1 << 30:
        return f"{math.ceil(size / (1 << 30) * 10) / 10:g}G"
    return f"{math.ceil(size / (1 << 20))}M"


def show_bytes(count: float) -> str:
    """The size of a file in decimal units, as file managers show it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _number(text: str) -> float:
    return float(text.replace(",", "."))
