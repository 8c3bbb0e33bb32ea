"""The words of a library with the number of documents that hold each: a file beside the full-text index, derived from
it, so that words can be completed and corrected without a look into the index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_MARK = b"photoindex terms 1"


@dataclass(frozen=True, slots=True)
class TermsFile:
    """`documents`: how many were counted; `lines`: a line feed, then term, tab, count and line feed for each term, in
    the order of their UTF-8 bytes."""

    documents: int
    lines: bytes


NO_TERMS = TermsFile(0, b"\n")


def read_terms(path: Path) -> TermsFile:
    """The file, or NO_TERMS where it is not there or of another form: it is made again by the next scan."""
    try:
        whole = path.read_bytes()
        head, _, _ = whole.partition(b"\n")
        mark, documents = head.rsplit(b" ", 1)
        return TermsFile(int(documents), whole[len(head) :]) if mark == _MARK else NO_TERMS
    except (OSError, ValueError):
        return NO_TERMS


def write_terms(path: Path, documents: Iterable[str], left_out: frozenset[str]) -> None:
    """Count the words of `documents`, which are parted by spaces, but for `left_out`."""
    counts: Counter[str] = Counter()
    number = 0
    for text in documents:
        counts.update(set(text.split()) - left_out)
        number += 1
    lines = sorted(f"{term}\t{count}\n".encode() for term, count in counts.items())
    part = path.with_suffix(".part")
    part.write_bytes(b"%s %d\n" % (_MARK, number) + b"".join(lines))
    part.replace(path)
