"""Ask whether a locked package has a known hole that a newer version closes; exit 1 if so.

    python scripts/audit.py    # in the project's folder; needs uv and the network

Where the database cannot be reached that is said, and the exit code is 0: there is nothing to be told.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

_LIMIT_S = 300


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        locked, answer = Path(scratch, "requirements.txt"), Path(scratch, "answer.json")
        export = ["uv", "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes"]
        subprocess.run([*export, "--output-file", str(locked)], check=True, stdout=subprocess.DEVNULL)
        audit = [
            "uv",
            "tool",
            "run",
            "--quiet",
            "pip-audit",
            "--requirement",
            str(locked),
            "--no-deps",
            "--disable-pip",
        ]
        said = _run([*audit, "--progress-spinner", "off", "--format", "json", "--output", str(answer)])
        if not answer.is_file() or not (told := answer.read_text().strip()):
            print(f"skipped: the database of known holes cannot be reached ({said})")
            return 0
        return report(json.loads(told)["dependencies"])


def _run(command: list[str]) -> str:
    """Run, and the last line that was said on stderr. Its exit code tells holes and failures not apart."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    lines = ran.stderr.strip().splitlines()
    return lines[-1][:120] if lines else "no answer"


def report(packages: list[dict]) -> int:
    """Print every known hole; 1 where a newer version closes one."""
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        print("skipped: the database that answered knows none of the packages")
        return 0
    closed = 0
    for package in packages:
        for hole in package.get("vulns", ()):
            fixed = ", ".join(hole["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {hole['id']}, closed by {fixed}")
            closed += bool(hole["fix_versions"])
    print(f"{len(asked)} of {len(packages)} packages were known to the database")
    return 1 if closed else 0


if __name__ == "__main__":
    sys.exit(main())
