"""What belongs to a file besides its bytes and its name: times, permissions, owner, extended attributes."""

from __future__ import annotations

import base64
import contextlib
import os
import stat
from collections.abc import Mapping
from typing import Any


def attributes_of(path: str, found: os.stat_result) -> dict[str, Any]:
    """As JSON values. `found`: what `os.lstat` said. Access control lists are extended attributes on Linux."""
    kept: dict[str, str] = {}
    with contextlib.suppress(AttributeError, OSError):  # no such thing on this system, or on this disk
        for name in os.listxattr(path, follow_symlinks=False):
            with contextlib.suppress(OSError):
                kept[name] = base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode()
    return {
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "atime_ns": found.st_atime_ns,
        "mtime_ns": found.st_mtime_ns,
        **({"xattrs": kept} if kept else {}),
    }


def put_attributes(path: str, was: Mapping[str, Any]) -> None:
    """Give a file what `attributes_of` told; the owner and extended attributes where this user may. Raises OSError."""
    with contextlib.suppress(OSError, AttributeError):  # only root may give files away
        os.chown(path, was["uid"], was["gid"])
    for name, value in was.get("xattrs", {}).items():
        with contextlib.suppress(OSError, AttributeError):
            os.setxattr(path, name, base64.b64decode(value))
    os.chmod(path, was["mode"])
    os.utime(path, ns=(was["atime_ns"], was["mtime_ns"]))
