"""The options of `photoindex scan`."""

from __future__ import annotations

from typing import Annotated

import typer

from photoindex.cli.completion import complete_profile
from photoindex.render.output import ScanFormat

Folders = Annotated[list[str], typer.Argument(metavar="FOLDER...", help="Folders with photos.")]
StepsOption = Annotated[
    str | None,
    typer.Option(
        "--steps",
        metavar="STEP,...",
        help="Only these: metadata, place, thumbnail, hash, ocr, embedding, tags, faces, captions.",
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Which models: fast, quality, permissive, or one of your own.",
        autocompletion=complete_profile,
    ),
]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Decode workers. [default: one a core]")]
BatchOption = Annotated[int | None, typer.Option("--batch-size", min=1, max=512, help="Photos a batch. [default: 8]")]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        metavar="AMOUNT",
        envvar="PHOTOINDEX_MAX_MEMORY",
        show_envvar=False,
        help="Take no more: 4G, 4096M or 50% (also PHOTOINDEX_MAX_MEMORY). [default: most of what is free]",
    ),
]
TimeLimitOption = Annotated[
    float, typer.Option("--time-limit", min=0.1, metavar="SECONDS", help="Give a file up that takes longer to decode.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=0, help="Analyse at most so many photos.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")]
RescanOption = Annotated[
    list[str] | None, typer.Option("--rescan", metavar="STEP", help="Do this step again. Repeat it.")
]
IncludeOption = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="PATTERN", help="Only files of such names or paths: '*.jpg'. Repeat it."),
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="PATTERN", help="No files or folders like this. Repeat it.")
]
FormatOption = Annotated[
    ScanFormat,
    typer.Option("--format", help="A table for people, JSON for programs: with --watch ndjson, a line a scan."),
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Then wait for changes and scan what changed, until Ctrl-C.")
]
PollOption = Annotated[
    float | None,
    typer.Option(
        "--watch-poll",
        metavar="SECONDS",
        min=0.1,
        help="With --watch: look for changes so often, should none be told. [default: 60 on network folders only]",
    ),
]
AcceptOption = Annotated[
    bool,
    typer.Option("--accept-missing", help="Believe a folder that is empty, or has lost most of its pictures."),
]
