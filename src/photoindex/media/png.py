"""EXIF and XMP of a PNG without decoding it: Pillow finds those that follow the pixels only after all pixels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_LARGEST_TEXT = 16 << 20
_TEXTS = (b"zTXt", b"iTXt", b"tEXt", b"iCCP")
_LARGEST_OF_PILLOW, _MOST_OF_PILLOW = 1 << 20, 32 << 20  # its MAX_TEXT_CHUNK, and half of its MAX_TEXT_MEMORY
_PROFILES = (b"Raw profile type exif\0", b"Raw profile type APP1\0")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks (kind, content), pixels left out; stops quietly where the file does."""
    at = 8
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind not in (b"IDAT", b"fdAT"):
            yield kind, data[at + 8 : at + 8 + size]
        at += size + 12


def png_metadata(data: bytes) -> dict[str, bytes]:
    """`exif` (a TIFF block, or hexadecimal text as ImageMagick writes it, decoded) and `xmp`, where there."""
    found: dict[str, bytes] = {}
    for kind, content in png_chunks(data):
        if kind == b"eXIf":
            found["exif"] = content
        elif kind == b"iTXt" and content.startswith(b"XML:com.adobe.xmp\0"):
            found["xmp"] = _international_text(content)
        elif kind in (b"zTXt", b"tEXt") and content.startswith(
            (b"Raw profile type exif\0", b"Raw profile type APP1\0")
        ):
            found.setdefault("exif", _raw_profile(content, compressed=kind == b"zTXt"))
    return {name: value for name, value in found.items() if value}


def without_bombs(data: bytes) -> bytes:
    """The same PNG without texts and profiles that Pillow refuses, and the whole picture with them: one that inflates
    to more than a megabyte, or all together to more than 32. Their checksums and the pixels are untouched."""
    parts, kept_to, total, at = [], 0, 0, 8
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + size + 12
        if kind in _TEXTS:
            inflated = _inflated_size(kind, data[at + 8 : at + 8 + size])
            total += inflated
            if inflated > _LARGEST_OF_PILLOW or total > _MOST_OF_PILLOW:
                parts.append(data[kept_to:at])
                kept_to = end
        at = end
    return b"".join([*parts, data[kept_to:]]) if parts else data


def _inflated_size(kind: bytes, content: bytes) -> int:
    """At least; no more is inflated than tells that it is too much."""
    if kind == b"tEXt" or (kind == b"iTXt" and content.partition(b"\0")[2][:1] != b"\1"):
        return min(len(content), _LARGEST_OF_PILLOW)  # Pillow limits only their sum
    packed = content.partition(b"\0")[2]
    packed = packed[2:].split(b"\0", 2)[-1] if kind == b"iTXt" else packed[1:]
    try:
        return len(zlib.decompressobj().decompress(packed, _LARGEST_OF_PILLOW + 1))
    except zlib.error:
        return 0


def _international_text(content: bytes) -> bytes:
    """Keyword, compression flag and method, language and translated keyword precede the text."""
    _, _, rest = content.partition(b"\0")
    compressed, tail = rest[:1] == b"\1", rest[2:]
    text = tail.split(b"\0", 2)[-1]
    return _inflate(text) if compressed else text


def _raw_profile(content: bytes, compressed: bool) -> bytes:
    """ImageMagick's form: a name, a length and hexadecimal digits, each on lines of their own."""
    text = content.split(b"\0", 1)[1]
    text = _inflate(text[1:]) if compressed else text
    digits = b"".join(text.split()[2:])
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""


def _inflate(packed: bytes) -> bytes:
    """At most 16 MiB: a text chunk can be a bomb too."""
    try:
        return zlib.decompressobj().decompress(packed, _LARGEST_TEXT)
    except zlib.error:
        return b""
