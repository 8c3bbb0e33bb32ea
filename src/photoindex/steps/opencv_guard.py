"""Says clearly that the installed OpenCV cannot work, before a step fails on it in a stranger way."""

from __future__ import annotations

from functools import cache
from importlib import metadata

from photoindex.errors import DependencyBroken

_WANTED = "opencv-python-headless"
_OTHERS = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
# All of them write into one folder `cv2`, so removing one tears files out of the others: reinstall what stays.
REPAIR = f"pip uninstall -y {' '.join(_OTHERS)} && pip install --force-reinstall --no-deps {_WANTED}"


@cache
def require_one_opencv() -> None:
    """Call before the first `import cv2`. Raises DependencyBroken with the commands that repair it."""
    found = installed_opencvs()
    if len(found) > 1:
        raise DependencyBroken(
            f"{len(found)} packages overwrite each other's OpenCV: {', '.join(found)}. Leave one: `{REPAIR}`"
        )
    require_opencv()


@cache
def require_opencv() -> None:
    """The same for what only needs OpenCV's own arithmetic, which works whichever package it came from."""
    try:
        import cv2

        cv2.resize  # noqa: B018 - a folder emptied by an uninstallation still imports
    except (ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DependencyBroken(f"OpenCV does not load ({reason}). Repair it: `{REPAIR}`") from error
    cv2.setNumThreads(1)  # the models have the processor; OpenCV's own pool would only compete with them
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def installed_opencvs() -> list[str]:
    """The names of the installed distributions that bring a `cv2`."""
    return [name for name in (_WANTED, *_OTHERS) if _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
