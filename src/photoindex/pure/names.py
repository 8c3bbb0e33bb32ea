"""What file names tell: which belong to one shot, which are frames of a series, which are copies.

Camera makers' and phones' habits as they are met in photo libraries: IMG_1234.CR2 beside IMG_1234.JPG;
IMG_1234.HEIC with IMG_1234.MOV (Apple's live photos, whose edits are IMG_E1234); PXL_20231006_063000139.MP.jpg with
.MP or .mp4 (Google's motion photos), MVIMG_ (older ones), names ending in _MP (Samsung); "name (1)", "name - Copy",
"name (copy)", "name-edited", "copy of name".
"""

from __future__ import annotations

import re
from pathlib import PurePath

VIDEO_SUFFIXES = frozenset({".mov", ".mp4", ".m4v", ".mp", ".3gp"})
# "(copy)", "(copy 2)", "(another copy)", "(3rd copy)", "(3. Kopie)": desktops of Linux.
_IN_BRACKETS = (
    r"\((?:another |weitere |\d{1,3}(?:st|nd|rd|th|\.) )?(?:copy|copie|kopie|copia)(?:[ _-]*\d{1,3})?\)"
    r"(?:[ _-]*\d{1,3})?"
)
_COPY = re.compile(
    rf"(?:[ _-]*\(\d{{1,3}}\)|[ _-]*{_IN_BRACKETS}|[ _-]+(?:copy|copie|kopie|copia)(?:[ _-]*\d{{1,3}})?"
    r"|[ _-]edited|[ _-]bearbeitet|~\d{1,2})$",
    re.IGNORECASE,
)
_COPY_BEFORE = re.compile(r"^(?:copy of |kopie von |copie de )", re.IGNORECASE)
_MOTION = re.compile(r"(?:\.mp|_mp|\.motion(?:-\d+)?)$", re.IGNORECASE)
_EDITED_BY_APPLE = re.compile(r"^(img)_e(\d{4,})$", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)(?=\D*$)")


def stem_of_shot(path: str) -> str:
    """What the files of one shot have in common in their name, in lower case: no suffix, no mark of motion or copy."""
    stem = PurePath(path).stem.lower()
    stem = _MOTION.sub("", stem)
    return re.sub(r"^mvimg_", "img_", stem)


def same_shot(path: str, other: str) -> bool:
    """Whether two names in one folder say that both come from one press of the button."""
    return PurePath(path).parent == PurePath(other).parent and stem_of_shot(path) == stem_of_shot(other)


def is_copy_name(path: str) -> bool:
    """Whether a name says that the file is a copy or an edit of another."""
    stem = PurePath(path).stem
    return bool(_COPY.search(stem) or _COPY_BEFORE.search(stem) or _EDITED_BY_APPLE.match(stem))


def frames_of_series(path: str, other: str) -> bool:
    """Whether two names differ in their last number alone, as those of consecutive shots do: IMG_0041, IMG_0042."""
    one, two = PurePath(path).stem.lower(), PurePath(other).stem.lower()
    mine, theirs = _NUMBER.search(one), _NUMBER.search(two)
    if is_copy_name(path) or is_copy_name(other) or not mine or not theirs or mine[1] == theirs[1]:
        return False
    return _NUMBER.sub("#", one, count=0) == _NUMBER.sub("#", two, count=0)


def video_of(path: str, siblings: frozenset[str]) -> str | None:
    """The moving part of a live or motion photo among the names (not paths) in its folder, or None."""
    stem = stem_of_shot(path)
    videos = (n for n in sorted(siblings) if PurePath(n).suffix.lower() in VIDEO_SUFFIXES)
    return next((name for name in videos if stem_of_shot(name) == stem), None)
