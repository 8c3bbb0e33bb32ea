"""Text made fit for a terminal: names of files are bytes that anyone may choose."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 4_000
_AROUND = 60  # characters shown on either side of what `pointer` points at


def visible(text: str) -> str:
    """`text` with control characters, direction marks and stray bytes written as escapes, never sent raw."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) for char in text)


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8, as os.fsdecode marks it
        return f"\\x{ord(char) - 0xDC00:02x}"
    if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return char.encode("unicode_escape").decode("ascii")
    return char


def short_path(path: str) -> str:
    """A path as short as it stays unmistakable from here: below the current folder, relative to it."""
    here = os.getcwd().rstrip(os.sep) + os.sep
    return visible(path.removeprefix(here))


def size(count: float) -> str:
    """Bytes in decimal units, as file managers show them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def console(error: bool = False) -> Console:
    """A Rich console for stdout or stderr; where that is no terminal, wide and without colour or boxes."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=not stream.isatty())


def pointer(text: str, at: tuple[int, int]) -> list[str]:
    """A line of a person's text and one that points at the characters from `at[0]` up to `at[1]`."""
    first, last = max(0, at[0] - _AROUND), min(len(text), at[1] + _AROUND)
    before = ("… " if first else "") + visible(text[first : at[0]])
    marked = visible(text[at[0] : min(at[1], last)])
    after = visible(text[at[1] : last]) + (" …" if last < len(text) else "")
    return [f"  {before}{marked}{after}", f"  {' ' * _cells(before)}{'^' * max(1, _cells(marked))}"]


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def note(message: str) -> None:
    """One line for a person, on stderr."""
    print(f"photoindex: {visible(message)}", file=sys.stderr, flush=True)


def point_out(text: str, at: tuple[int, int]) -> None:
    """Show on stderr where in a person's text something is wrong."""
    print(*pointer(text, at), sep="\n", file=sys.stderr, flush=True)
