"""`photoindex scan`."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from photoindex.cli.listening import LogFileOption, VerboseOption, listening
from photoindex.cli.native import write_native_crashes
from photoindex.cli.options import LibraryOption, ModelsOption, RuntimeOption, registry_of
from photoindex.cli.scan_options import (
    AcceptOption,
    BatchOption,
    DryRunOption,
    ExcludeOption,
    Folders,
    FormatOption,
    IncludeOption,
    LimitOption,
    MemoryOption,
    PollOption,
    ProfileOption,
    RescanOption,
    RetryOption,
    StepsOption,
    TimeLimitOption,
    WatchOption,
    WorkersOption,
)
from photoindex.config import read_settings
from photoindex.errors import RootEmpty, UsageError
from photoindex.render.output import ObjectFormat, ScanFormat
from photoindex.render.text import note

if TYPE_CHECKING:
    from photoindex.config import Settings
    from photoindex.models.registry import Registry
    from photoindex.records import ScanReport
    from photoindex.scan.options import ScanOptions
    from photoindex.store.library import Library


def register(app: typer.Typer) -> None:
    app.command("scan")(scan)


def scan(
    folders: Folders,
    library: LibraryOption = None,
    steps: StepsOption = None,
    profile: ProfileOption = None,
    models: ModelsOption = None,
    workers: WorkersOption = None,
    batch_size: BatchOption = None,
    max_memory: MemoryOption = None,
    runtime: RuntimeOption = None,
    time_limit: TimeLimitOption = 60.0,
    limit: LimitOption = None,
    dry_run: DryRunOption = False,
    retry_failed: RetryOption = False,
    rescan: RescanOption = None,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    accept_missing: AcceptOption = False,
    log_file: LogFileOption = None,
    verbose: VerboseOption = 0,
    watch: WatchOption = False,
    watch_poll: PollOption = None,
    output: FormatOption = ScanFormat.table,
) -> None:
    """Bring the library up to date with the photos in some folders. Photos are only read, never changed."""
    from photoindex.records import RuntimeOptions
    from photoindex.scan.options import ScanOptions

    options = ScanOptions(
        steps=tuple(name.strip() for name in steps.split(",")) if steps else None,
        profile=profile,
        workers=workers,
        batch_size=batch_size,
        limit=limit,
        dry_run=dry_run,
        retry_failed=retry_failed,
        rescan=tuple(rescan or ()),
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        accept_missing=accept_missing,
        time_limit_s=time_limit,
        max_memory=_memory(max_memory),
        runtime=RuntimeOptions(runtime=runtime),
    )
    if watch_poll is not None and not watch:
        raise UsageError("--watch-poll says how often --watch looks for changes: give --watch too.")
    if watch:
        with listening("watch", log_file, verbose, folders):
            run_watch(folders, library, options, output, models, watch_poll)
        leave(130)
    with listening("scan", log_file, verbose, folders):
        report = run_scan(folders, library, options, output, models)
    _end(report)


def _end(report: ScanReport) -> NoReturn:
    """Leave with the exit code of a scan."""
    from photoindex.runtimes.attendant import stuck_threads

    if report.interrupted:
        leave(130)
    if stuck_threads():
        leave(1 if report.failed else 0)
    raise typer.Exit(1 if report.failed else 0)


def leave(code: int) -> NoReturn:
    """End the process without taking torch apart first, which takes longer than stopping the scan."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _memory(written: str | None) -> int | None:
    from photoindex.pure.sizes import parse_size
    from photoindex.runtimes.machine_memory import read_machine_memory

    if written is None:
        return None
    try:
        return parse_size(written, read_machine_memory().total)
    except ValueError as error:
        raise UsageError(f"--max-memory: {error}") from error


def run_scan(
    folders: list[str],
    library: str | None,
    options: ScanOptions,
    output: ObjectFormat | ScanFormat,
    models: str | None = None,
) -> ScanReport:
    """Scan with progress on stderr and the report on stdout. Whoever sits before it is asked where much has gone."""
    from dataclasses import replace

    from photoindex.render.scanning import print_report

    settings, registry = _checked(folders, library, options, models)
    while True:
        try:
            report = _run(settings, registry, folders, options)
        except RootEmpty as error:
            if not _has_really_gone(error):
                raise
            options = replace(options, gone=(*options.gone, str(error.args[0])))  # a yes is for this folder alone
            continue
        print_report(report, output)
        return report


def run_watch(
    folders: list[str],
    library: str | None,
    options: ScanOptions,
    output: ScanFormat,
    models: str | None,
    poll_s: float | None,
) -> None:
    """Scan, then scan what changes, until Ctrl-C. Prints a report for the first scan and a line for each other."""
    from dataclasses import replace

    from photoindex.render.watching import WatchView
    from photoindex.scan.watching import WatchOptions, watch

    if options.dry_run:
        raise UsageError("--watch and --dry-run do not go together.")
    if output is ScanFormat.json:
        raise UsageError("--watch prints many reports: --format ndjson has one a line.")
    settings, registry = _checked(folders, library, options, models)
    write_native_crashes()
    with stop_signals() as stopped, WatchView(folders, output) as view:
        how = WatchOptions(poll_s=poll_s, shown=view.shown, report=view.report, say=view.say)
        watch(settings.library, folders, registry, settings.models_dir, replace(options, stop=stopped.is_set), how)


def _checked(
    folders: list[str], library: str | None, options: ScanOptions, models: str | None
) -> tuple[Settings, Registry]:
    """What a scan needs, and whether it was asked for what there is, before a library is made for it."""
    from photoindex.runtimes.selection import check_runtime
    from photoindex.scan.roots import check_roots
    from photoindex.steps import STEPS, choose_steps

    settings = read_settings(library, models=models)
    check_roots(folders)
    registry = registry_of(settings)
    if options.profile is not None:
        registry.for_profile(options.profile)
    choose_steps((*(options.steps or ()), *options.rescan))
    check_runtime(options.runtime.runtime, [spec.name for spec in STEPS.values() if spec.task])
    _check_home(settings.library, folders)
    return settings, registry


def _run(settings: Settings, registry: Registry, folders: list[str], options: ScanOptions) -> ScanReport:
    from dataclasses import replace

    from photoindex.render.scanning import progress_view
    from photoindex.scan import scan as run

    with stop_signals() as stopped, progress_view() as view, _opened(settings.library, options.dry_run) as opened:
        told = replace(options, stop=stopped.is_set, progress=view.show, tell=view.note)
        return run(opened, folders, registry, settings.models_dir, told)


def _has_really_gone(error: RootEmpty) -> bool:
    """Ask on a terminal; in a script nobody could answer, and --accept-missing is the answer given before."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    note(str(error))
    return typer.confirm("Are they really gone?", err=True)


@contextlib.contextmanager
def _opened(folder: Path, dry_run: bool) -> Iterator[Library]:
    """The library to write to; for a dry run one to read, which is empty where there is none yet."""
    from photoindex.store.library import Library

    if not dry_run:
        with Library.writing(folder) as library:
            write_native_crashes()
            yield library
    elif (folder / "catalog.duckdb").is_file():
        yield Library.open(folder)
    else:
        with tempfile.TemporaryDirectory() as nowhere, Library.writing(Path(nowhere)) as library:
            yield library


def _check_home(home: Path, folders: list[str]) -> None:
    for folder in folders:
        if home == Path(os.path.expanduser(folder)).absolute():
            raise UsageError(f"{folder} is the library itself. Choose another place with --library.")


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """While inside, the first Ctrl-C (or SIGTERM) asks the scan to end in order; the second ends it at once."""
    stopped = threading.Event()
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: object) -> None:
        stopped.set()
        signal.signal(number, before[number] or signal.SIG_DFL)
        note("Stopping; what is done is being saved. Once more to stop at once.")

    try:
        for number in before:
            signal.signal(number, ask)
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
