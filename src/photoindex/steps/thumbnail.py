"""The thumbnail step: a small upright JPEG for lists and the gallery."""

from __future__ import annotations

import io

from PIL import Image

from photoindex.media.source import SourcePicture
from photoindex.media.views import fit_size

LONGEST_SIDE = 400
QUALITY = 80
# One and a half times the thumbnail's longest side: what is resized has about twice its pixels and more.
SHORT_SIDE = 600


def render(source: SourcePicture) -> bytes:
    """A JPEG with the longest side at most 400 pixels (never enlarged), sRGB, without metadata. Raises Unreadable."""
    image = source.at_least(SHORT_SIDE)
    small = image.resize(fit_size(image.size, LONGEST_SIDE), Image.Resampling.BICUBIC, reducing_gap=1.5)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY, exif=b"", icc_profile=None)
    return out.getvalue()
