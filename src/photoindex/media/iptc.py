"""IPTC (the older way to write words into JPEG and TIFF)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photoindex.media.text import clean, unique


def iptc_words(iptc: Mapping[tuple[int, int], Any]) -> dict[str, Any]:
    """Title, description and keywords, as fields of Metadata."""
    keywords = iptc.get((2, 25)) or []
    return {
        "title": clean(iptc.get((2, 5))) or clean(iptc.get((2, 105))),
        "description": clean(iptc.get((2, 120))),
        "keywords": unique(clean(word) for word in (keywords if isinstance(keywords, list) else [keywords])),
    }


def iptc_date_text(iptc: Mapping[tuple[int, int], Any]) -> str | None:
    """Date and time created in one text, such as `20230501 123456+0200`."""
    day, time = clean(iptc.get((2, 55))), clean(iptc.get((2, 60)))
    if not day or not day.strip("0"):
        return None
    return f"{day} {time}" if time else day
