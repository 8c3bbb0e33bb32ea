"""`photoindex demo`: the main job on real pictures, as a person would do it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A new or empty folder that keeps photos and library. [default: a temporary one]"
        ),
    ] = None,
) -> None:
    """Build a small library of real pictures, then scan it, search it and list its duplicates."""
    if folder is not None:
        _run_demo(folder)
    else:
        with tempfile.TemporaryDirectory(prefix="photoindex-demo-") as temporary:
            _run_demo(Path(temporary))


def _run_demo(folder: Path) -> None:
    from photoindex.demo import make_photos
    from photoindex.errors import UsageError

    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and no empty folder. Name a new one: the demo fills it.")
    count = make_photos(folder / "photos")
    typer.echo(
        f"Made {count} pictures in {folder / 'photos'}: photos from installed packages, some drawn, some copies."
    )
    os.environ["PHOTOINDEX_LIBRARY"] = str(folder.absolute() / "library")
    codes = [
        _show(folder, "scan", "photos"),
        _show(folder, "search", "pizza receipt", "--explain"),
        _show(folder, "search", "no parking", "--mode", "keyword"),
        _show(folder, "dupes"),
        _show(folder, "status"),
    ]
    if any(codes):
        raise typer.Exit(max(codes))


def _show(folder: Path, *arguments: str) -> int:
    """Print a command as a person would type it, run it, and let its output through."""
    typer.echo(f"\n$ photoindex {shlex.join(arguments)}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "photoindex", *arguments]
    return subprocess.run(command, cwd=folder, check=False).returncode  # noqa: S603 - our own program
