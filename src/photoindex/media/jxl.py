"""The size of a JPEG XL picture from its header: its Pillow plugin decodes everything on opening, bombs too."""

from __future__ import annotations

from collections.abc import Iterator

_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The top-level boxes (kind, payload) of an ISO base media file; stops quietly where they no longer fit."""
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        size = size or len(data) - at
        if size < head:
            return
        yield kind, data[at + head : at + size]
        at += size


def jxl_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels as coded (ISO/IEC 18181-1, SizeHeader), or None without a codestream."""
    stream = _codestream(data)
    if not stream.startswith(b"\xff\x0a"):
        return None
    bits = _Bits(stream[2:16])
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    if ratio == 0:
        return _side(bits, small), height
    over, under = _RATIOS[ratio]
    return height * over // under, height


def _codestream(data: bytes) -> bytes:
    if data.startswith(b"\xff\x0a"):
        return data[:32]
    for kind, payload in boxes(data):
        if kind in (b"jxlc", b"jxlp"):
            return payload[4 if kind == b"jxlp" else 0 :][:32]
    return b""


class _Bits:
    """Bits of a codestream, least significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


def _side(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1
