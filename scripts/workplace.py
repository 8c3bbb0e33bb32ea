"""What runs of hours share: a folder of their own, when they end, and the small model of the tests."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

TINY = Path(__file__).parents[1] / "tests" / "tiny_clip"


def parser_of(description: str | None, ends: str) -> argparse.ArgumentParser:
    """With the options that all of them have. `ends`: what --seconds does."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder without it")
    parser.add_argument("--seconds", type=float, help=ends)
    return parser


@contextlib.contextmanager
def workplace(folder: Path | None, *parts: str) -> Iterator[Path]:
    """A folder to work in, without what a run before left under these names; a temporary one goes with the run.

    Ends the program where another run works there: they would take one another's libraries for broken ones.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="photoindex-run-", ignore_cleanup_errors=True) as made:
            yield Path(made)
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "run.lock", timeout=0):
            for part in parts:
                shutil.rmtree(folder / part, ignore_errors=True)
            yield folder
    except Timeout:
        raise SystemExit(f"Another run works in {folder}: give this one a --folder of its own.") from None


def tiny_models() -> str:
    """The blocks of a models.toml with tests/tiny_clip, where it lies, and the profile `tiny`."""
    blocks = (TINY / "models.toml").read_text().replace('path = "."', f'path = "{TINY}"')
    return blocks.replace('vocabulary = "vocabulary.txt"', f'vocabulary = "{TINY / "vocabulary.txt"}"')
