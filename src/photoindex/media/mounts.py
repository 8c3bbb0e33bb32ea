"""Whether a folder lies on a file system that does not tell this machine what changes there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# Other machines change files there, and the kernel hears nothing of it.
_REMOTE = """nfs nfs4 cifs smb3 smbfs smb2 afs afpfs ceph ncpfs davfs webdav glusterfs lustre beegfs gpfs
9p virtiofs vboxsf prl_fs vmhgfs drvfs fuse osxfuse macfuse"""
# File systems in programs of their own are mostly servers seen from afar; these are disks.
_LOCAL_FUSE = {"fuse.ntfs-3g", "fuse.exfat", "fuse.mergerfs", "fuse.gocryptfs", "fuse.encfs", "fuse.bindfs", "fuseblk"}


def remote_kind(folder: str) -> str | None:
    """The kind of file system that `folder` is on (nfs4, cifs, fuse.sshfs), where that is a remote one."""
    kind = kind_of(os.path.realpath(folder), mounts())
    if kind is None or kind in _LOCAL_FUSE:
        return None
    return kind if kind in _REMOTE.split() or kind.startswith("fuse.") else None


def kind_of(path: str, mounted: Iterable[tuple[str, str]]) -> str | None:
    """The kind of the mount that holds `path`; of several at one place the last counts. None where none does."""
    best: tuple[int, str] | None = None
    for place, kind in mounted:
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and (best is None or len(place) >= best[0]):
            best = len(place), kind
    return best[1] if best else None


def mounts() -> list[tuple[str, str]]:
    """Every mount of this machine: its place and its kind."""
    table = Path("/proc/self/mountinfo")
    if table.is_file():
        return read_mountinfo(table.read_text("utf-8", "surrogateescape"))
    if sys.platform == "darwin":
        said = subprocess.run(["/sbin/mount"], capture_output=True, text=True, errors="surrogateescape", check=False)
        return read_mount(said.stdout)
    return []


def read_mountinfo(text: str) -> list[tuple[str, str]]:
    """Places and kinds out of Linux's /proc/self/mountinfo (proc_pid_mountinfo(5)), where blanks are octal."""
    found = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4:
            found.append((_unescape(fields[4]), after.split(" ")[0]))
    return found


def read_mount(text: str) -> list[tuple[str, str]]:
    """Places and kinds out of what `mount` of macOS prints: //me@nas/photos on /Volumes/photos (smbfs, nodev)"""
    found = []
    for line in text.splitlines():
        _, separator, rest = line.partition(" on ")
        place, opening, kinds = rest.rpartition(" (")
        if separator and opening:
            found.append((place, kinds.rstrip(")").split(",")[0]))
    return found


def _unescape(field: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field
