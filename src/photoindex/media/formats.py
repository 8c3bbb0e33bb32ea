"""Which files are pictures: by suffix for the walk, by their first bytes for the decoder. Plain data, no decoder."""

from __future__ import annotations

from dataclasses import dataclass

# fmt: off
RAW_SUFFIXES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
PICTURE_SUFFIXES = RAW_SUFFIXES | {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".heic", ".heif", ".hif", ".heics", ".heifs", ".avif", ".avifs", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c",
    ".mpo", ".psd",
}
# fmt: on
SIDECAR_SUFFIX = ".xmp"

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
_AVIF_BRANDS = {b"avif", b"avis"}
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"8BPS", "PSD"),
    (b"FUJIFILMCCD-RAW", "RAF"),
    (b"IIU\0", "RW2"),
    (b"IIRO", "ORF"),
    (b"IIRS", "ORF"),
    (b"MMOR", "ORF"),
    (b"FOVb", "X3F"),
    (b"\0MRM", "MRW"),
    (b"II\x1a\0\0\0HEAPCCDR", "CRW"),
)
RAW_FORMATS = frozenset(suffix[1:].upper() for suffix in RAW_SUFFIXES)
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"ID3", "an MP3 sound file"),
    (b"\0\x05\x16\x07", "a macOS companion file (its name begins with ._)"),
    (b"SQLite format 3", "a database"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the bytes are: `format` upper-case where they are a picture, else None; `what` in words."""

    format: str | None
    what: str


def sniff(data: bytes) -> Kind:
    """Tell what a file is from its first bytes. The name has no say; a damaged picture is still that picture."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return Kind("CR2" if name == "TIFF" and data[8:10] == b"CR" else name, f"a {name} picture")
    if data[:4] == b"RIFF":
        return Kind("WEBP", "a WebP picture") if data[8:12] == b"WEBP" else Kind(None, "a sound or video file (RIFF)")
    if data[4:8] == b"ftyp":
        return _sniff_boxes(data)
    for magic, what in _OTHERS:
        if data.startswith(magic):
            return Kind(None, what)
    return Kind(None, _describe(data[:4096]))


def _sniff_boxes(data: bytes) -> Kind:
    """ISO base media files say in their `ftyp` box which brands they follow."""
    size = min(max(int.from_bytes(data[:4], "big"), 16), 512)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, size, 4))]
    if brands[0] == b"crx ":
        return Kind("CR3", "a CR3 picture")
    if _AVIF_BRANDS & set(brands):
        return Kind("AVIF", "an AVIF picture")
    if _HEIF_BRANDS & set(brands):
        return Kind("HEIF", "a HEIF picture")
    return Kind(None, "a video (MP4 or QuickTime)")


def _describe(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "a run of zero bytes (an interrupted copy or a failing disk leaves these)"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML), perhaps an error page saved in place of the picture"
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "an SVG drawing"
    if text.startswith((b"<?xml", b"<x:xmpmeta", b"<?xpacket")):
        return "an XML file"
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in head)
    return "a text file" if printable == len(head) and _is_utf8(head) else "data of no kind that photoindex knows"


def _is_utf8(head: bytes) -> bool:
    try:
        head[: max(1, len(head) - 3)].decode()
    except UnicodeDecodeError:
        return False
    return True
