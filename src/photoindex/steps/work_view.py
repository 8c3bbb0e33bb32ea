"""The one view that text and face recognition share, so that a picture is prepared for both once."""

from __future__ import annotations

from photoindex.records import View

# A page of 80 lines fills a photograph at about 12 pixels a line here, the least that is read without loss
# (28-pixel type in a 12-megapixel photograph: every word; no more words are found at 1600 or 2048).
WORK = View("work", "fit", 1280, "bilinear")
