"""Text made fit for a terminal: names of files are bytes that anyone may choose."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import unicodedata
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from photoindex.pure.sizes import show_bytes as size

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "columns_of",
    "console",
    "hanging",
    "hung",
    "note",
    "point_out",
    "pointer",
    "print_line",
    "print_part",
    "remark",
    "short_path",
    "size",
    "visible",
    "width_of",
]
_LEAST_COLUMN = 30  # characters: a narrower column is harder to read than one that begins further left
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


def console(error: bool = False) -> Console:
    """A Rich console for stdout or stderr; where that is no terminal, wide and without colour or boxes."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False, markup=False, emoji=False)
    plain = cast("IO[str]", _Trimmed(stream))
    return Console(file=plain, width=_WIDE, highlight=False, markup=False, emoji=False, soft_wrap=True)


def hanging(target: Console, head: str, text: str, style: str = "") -> None:
    """Print `head` and beside it `text`. On a terminal too narrow for one line all lines of the text begin in the
    column in which its first does, or, where that leaves little room, below `head`, a little further in."""
    from rich.text import Text

    whole = Text(head + text, style=style)
    if not target.is_terminal or whole.cell_len <= target.width:
        target.print(whole)
        return
    indent = Text(head).cell_len
    if target.width - indent < _LEAST_COLUMN:
        target.print(Text(head.rstrip(), style=style))
        indent = len(head) - len(head.lstrip()) + 2
        head = " " * indent
    for line in Text(text).wrap(target, max(1, target.width - indent)):
        line.rstrip()
        target.print(Text(head + line.plain, style=style))
        head = " " * indent


class _Trimmed:
    """A stream whose lines lose the blanks at their ends: those that pad a table's last column."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(re.sub(r" +(?=\n)", "", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def pointer(text: str, at: tuple[int, int]) -> list[str]:
    """A line of a person's text and one that points at the characters from `at[0]` up to `at[1]`."""
    first, last = max(0, at[0] - _AROUND), min(len(text), at[1] + _AROUND)
    before = ("… " if first else "") + visible(text[first : at[0]])
    marked = visible(text[at[0] : min(at[1], last)])
    after = visible(text[at[1] : last]) + (" …" if last < len(text) else "")
    return [f"  {before}{marked}{after}", f"  {' ' * width_of(before)}{'^' * max(1, width_of(marked))}"]


def width_of(text: str) -> int:
    """How many columns of a terminal a line takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def note(message: str) -> None:
    """One message for a person, on stderr; on a terminal the lines that it takes begin below one another."""
    head = "photoindex: "
    print(_for_stderr(f"{head}{visible(message)}", len(head)), file=sys.stderr, flush=True)


def remark(message: str) -> None:
    """A message among the results of a command, on stderr."""
    print(_for_stderr(visible(message), 2), file=sys.stderr, flush=True)


def _for_stderr(text: str, indent: int) -> str:
    columns = columns_of(sys.stderr)
    return hung(text, columns, indent) if columns else text


def columns_of(stream: TextIO) -> int | None:
    """How wide the terminal is that a stream writes to; None where it is none."""
    if not stream.isatty():
        return None
    with contextlib.suppress(OSError, ValueError):
        return int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(stream.fileno()).columns
    return None


def hung(text: str, width: int, indent: int) -> str:
    """A text in lines of `width` columns, all but the first indented. `Commands` that fit into a line stay in one, so
    that they can be copied; a word that is too long for a line is left to the terminal."""
    if width_of(text) <= width:
        return text
    lines, begun = [""], False
    for word in re.findall(r"\S*`[^`]+`\S*|\S+", text):
        for part in [word] if width_of(word) <= width - indent else word.split():
            if begun and width_of(lines[-1]) + 1 + width_of(part) > width:
                lines, begun = [*lines, " " * indent], False
            lines[-1] += f" {part}" if begun else part
            begun = True
    return "\n".join(lines)


def print_part(text: str) -> None:
    """A part of a line on stdout, shown at once: a question, or what was typed."""
    print(text, end="", flush=True)


def print_line(text: str) -> None:
    """The end of such a line."""
    print(visible(text), flush=True)


def point_out(text: str, at: tuple[int, int]) -> None:
    """Show on stderr where in a person's text something is wrong."""
    print(*pointer(text, at), sep="\n", file=sys.stderr, flush=True)
