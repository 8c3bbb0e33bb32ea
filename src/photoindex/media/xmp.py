"""XMP packets and sidecars. Parsed without entities or document types: they come from strangers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from photoindex.media.exif import number, positive
from photoindex.media.text import clean, unique

_LARGEST = 16 << 20
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/lightroom/1.0/": "lr",
    "http://ns.microsoft.com/photo/1.0": "ms",
    "http://ns.microsoft.com/photo/1.0/": "ms",
    "http://www.digikam.org/ns/1.0/": "digiKam",
}
Xmp = Mapping[str, tuple[str, ...]]


def parse_xmp(packet: bytes, warnings: list[str], name: str = "XMP") -> Xmp:
    """Properties as `prefix:name` to their values in order (one for a simple property); empty where unreadable."""
    if not packet.strip(b"\0 \r\n\t"):
        return {}
    if len(packet) > _LARGEST:
        warnings.append(f"{name} is too large to be read")
        return {}
    try:
        root = fromstring(_bare(packet), forbid_dtd=True)
    except DefusedXmlException:
        warnings.append(f"{name} holds a document type or entities and was refused")
        return {}
    except (ParseError, ValueError, LookupError):
        warnings.append(f"{name} is damaged")
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for key, values in _properties(root):
        if values:
            found.setdefault(key, values)
    return found


def _bare(packet: bytes) -> bytes:
    """Without padding, and without the packet wrapper, whose processing instructions may stand before `<?xml`."""
    packet = packet.strip(b"\0 \r\n\t\xef\xbb\xbf")
    return re.sub(rb"<\?xpacket.*?\?>", b"", packet, flags=re.DOTALL).strip()


def _properties(root: Element) -> Iterator[tuple[str, tuple[str, ...]]]:
    for description in root.iter(f"{_RDF}Description"):
        for key, value in description.attrib.items():
            if name := _short_name(key):
                yield name, _texts([value])
        for child in description:
            if name := _short_name(child.tag):
                yield name, _values(child)


def _values(element: Element) -> tuple[str, ...]:
    """The items of a bag, a sequence or a choice of languages (the default first), or the element's own text."""
    items = list(element.iter(f"{_RDF}li"))
    if not items:
        return _texts([element.text, element.attrib.get(f"{_RDF}resource")])
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    items.sort(key=lambda item: item.attrib.get(language, "x-default") != "x-default")
    return _texts([item.text for item in items])


def _texts(values: list[str | None]) -> tuple[str, ...]:
    cleaned = (clean(value) for value in values if value)
    return tuple(value for value in cleaned if value)


def _short_name(tag: Any) -> str | None:
    uri, _, name = tag[1:].partition("}") if isinstance(tag, str) else ("", "", "")
    prefix = _PREFIXES.get(uri)
    return f"{prefix}:{name}" if prefix else None


def first(xmp: Xmp, *names: str) -> str | None:
    """The first value of the first property that is there."""
    return next((xmp[name][0] for name in names if xmp.get(name)), None)


def xmp_words(xmp: Xmp) -> dict[str, Any]:
    """Title, description, keywords (the levels of hierarchical ones each) and rating, as fields of Metadata."""
    levels = [part for entry in xmp.get("lr:hierarchicalSubject", ()) for part in entry.split("|")]
    levels += [part for entry in xmp.get("digiKam:TagsList", ()) for part in entry.split("/")]
    return {
        "title": first(xmp, "dc:title", "photoshop:Headline"),
        "description": first(xmp, "dc:description", "exif:UserComment", "tiff:ImageDescription"),
        "keywords": unique([*xmp.get("dc:subject", ()), *xmp.get("ms:LastKeywordXMP", ()), *levels]),
        "rating": _rating(xmp),
    }


def _rating(xmp: Xmp) -> int | None:
    """-1 (rejected) to 5. Microsoft counts 1 to 99: 1, 25, 50, 75, 99 are one to five stars."""
    stars = number(first(xmp, "xmp:Rating"))
    if stars is not None:
        return round(stars) if -1 <= stars <= 5 else None
    percent = number(first(xmp, "ms:Rating"))
    return None if percent is None or not 0 <= percent <= 100 else round(percent / 25 + 0.9) if percent else 0


def xmp_camera(xmp: Xmp) -> dict[str, Any]:
    """What exports keep of the camera where they drop EXIF, as fields of Metadata."""
    iso = positive(first(xmp, "exif:ISOSpeedRatings", "exifEX:PhotographicSensitivity"))
    return {
        "camera_make": first(xmp, "tiff:Make"),
        "camera_model": first(xmp, "tiff:Model"),
        "lens": first(xmp, "exifEX:LensModel", "aux:Lens"),
        "iso": round(iso) if iso and iso < 1e7 else None,
        "f_number": positive(first(xmp, "exif:FNumber")),
        "exposure_s": positive(first(xmp, "exif:ExposureTime")),
        "focal_mm": positive(first(xmp, "exif:FocalLength")),
    }


def xmp_degrees(text: str | None) -> float | None:
    """`52,31.5N` or `52,31,30N` (XMP's own forms), or plain decimal degrees."""
    found = re.fullmatch(r"([\d.]+)(?:,([\d.]+))?(?:,([\d.]+))?\s*([NSEW])", text or "")
    if found is None:
        return number(text)
    parts = [number(found[index] or "0") for index in (1, 2, 3)]
    degrees = sum((part or 0.0) / math.pow(60, power) for power, part in enumerate(parts))
    return -degrees if found[4] in "SW" else degrees
