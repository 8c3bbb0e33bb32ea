"""The control groups around this process, by which Linux limits what a container may take."""

from __future__ import annotations

from pathlib import Path

MOUNTED, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def control_groups(controller: str, mounted: Path = MOUNTED, own: Path = OWN) -> list[Path]:
    """The folders of the groups that bind this process by `controller` (memory, cpu), its own and those around it.

    Both versions (Linux's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1), as they are seen from here: inside a
    container the outer ones may be hidden. Each of them may hold the tightest limit.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    found: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        names = [controllers, controller] if controllers else [""]  # version 1 mounts each, alone or with others
        for base in [mounted / name for name in names]:
            inside = base / path.lstrip("/")
            found += [folder for folder in (inside, *inside.parents) if folder == base or base in folder.parents]
    return list(dict.fromkeys(found))
