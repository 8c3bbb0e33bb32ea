"""What the search for near hashes found, kept so that only new ones are searched for: a file derived from the catalog.

It holds hashes and which of them are near, no word of the photos that have them, and is made again at any time.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from photoindex.records import Searched

# What reading a damaged file raises. RuntimeError: a flag says it is encrypted; NotImplementedError, one of those:
# another compression; TypeError: no archive but an array; MemoryError: a shape of any size.
_DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(RuntimeError, TypeError, AttributeError, MemoryError, SyntaxError, tokenize.TokenError, struct.error),
)


_TURNS = 8  # ways to turn and mirror a picture, the first of which leaves it as it is


class NearFile:
    """The file of one library. Kinds of hashes are told apart by name."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cache" / "near_hashes.npz"

    def read(self) -> dict[str, Searched]:
        """By kind; nothing where there is no file, or it is damaged or of another form."""
        with contextlib.suppress(*_DAMAGED), np.load(self.path) as saved:
            kinds = [name.removesuffix(" hashes") for name in saved.files if name.endswith(" hashes")]
            return {kind: _sound(_read(saved, kind)) for kind in kinds}
        return {}

    def write(self, kinds: Mapping[str, Searched]) -> None:
        """Replace what was kept. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for kind, known in kinds.items():
            arrays |= {f"{kind} hashes": known.words, f"{kind} pairs": known.pairs}
            arrays[f"{kind} threshold"] = np.array(known.threshold)
            arrays |= {} if known.turns is None else {f"{kind} turns": known.turns}
        try:
            with part.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **arrays)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """There is nothing in it that is not found again."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def _read(saved: Any, kind: str) -> Searched:
    turns = saved[f"{kind} turns"] if f"{kind} turns" in saved.files else None
    return Searched(saved[f"{kind} hashes"], saved[f"{kind} pairs"], int(saved[f"{kind} threshold"]), turns)


def _sound(known: Searched) -> Searched:
    """Raises ValueError where it is not what `write` writes."""
    words, pairs = known.words, known.pairs
    if words.dtype != np.uint64 or words.shape[1:] != (4,) or pairs.dtype != np.int64 or pairs.shape[1:] != (2,):
        raise ValueError
    if len(pairs) and not 0 <= pairs.min() <= pairs.max() < len(words):
        raise ValueError
    turns = known.turns
    if turns is None:
        return known
    if turns.dtype != np.uint8 or turns.shape != pairs.shape[:1] or not np.isin(turns, np.arange(1, _TURNS)).all():
        raise ValueError
    return known
