"""The metadata step: what a file and its sidecars say of the picture. Works where the pixels are damaged."""

from __future__ import annotations

from photoindex.media.metadata import gather
from photoindex.media.source import SourcePicture
from photoindex.records import Metadata


def read(source: SourcePicture) -> Metadata:
    """Size, format, dates, camera, place and words; damaged parts become `warnings`. Raises nothing."""
    return gather(source)
