"""What Lance says of a table that it cannot read, in words: it tells chains of types, and places in its source."""

from __future__ import annotations

import re

_LENGTH = 200
# ", /rustc/48a2.../function.rs:250:5", and who wrapped what in what
_PLACE = re.compile(r",? ?\S*\.rs:\d+(:\d+)?")
_CHAIN = re.compile(
    r"\b(External error|LanceError\([^)]*\)|Generic [\w/]+ error|Wrapped error|Encountered internal error): "
)
_CUT = re.compile(r"Invalid range (\d+)\.\.(\d+) for object of size (\d+) bytes")
_GONE = re.compile(r".*Not found: (.+)")


def in_words(error: BaseException) -> str:
    """Why, in at most a few words, for a person who has never heard of Lance."""
    text = _CHAIN.sub("", _PLACE.sub("", " ".join(str(error).split()))).strip(" ,")
    if cut := _CUT.search(text):
        return (
            f"one of its files is cut short: it has {int(cut[3]):,} bytes, and those up to {int(cut[2]):,} are needed"
        )
    if gone := _GONE.search(text):
        return f"{gone[1].strip()} is not there"
    return text[:_LENGTH] or type(error).__name__
