"""`photoindex backup` and `photoindex restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photoindex.cli.options import LibraryOption, ObjectFormatOption, open_library
from photoindex.config import read_settings
from photoindex.errors import UsageError
from photoindex.render.output import ObjectFormat
from photoindex.render.text import note, short_path, size

if TYPE_CHECKING:
    from photoindex.keeping import Words
    from photoindex.store.library import Library


def register(app: typer.Typer) -> None:
    for command in (backup, restore):
        app.command(command.__name__)(command)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file: a zip, or JSON with --user-data.")],
    user_data: Annotated[
        bool, typer.Option("--user-data", help="Only your own words: collections, decisions, thresholds, categories.")
    ] = False,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails/--no-thumbnails", help="Thumbnails too; without, a scan makes them again.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is there.")] = False,
    library: LibraryOption = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Write all that the library knows into one file, while scans and searches go on. Photos are not part of it."""
    from photoindex import keeping
    from photoindex.render.keeping import print_counts

    opened, settings = open_library(library)
    if user_data:
        words = keeping.backup_words(opened, file, force=force)
        counts = {
            "collections": len(words.collections),
            "decisions": len(words.decisions),
            "tag thresholds": len(words.thresholds),
            "categories": len(words.categories or ()),
        }
        print_counts({"file": str(file), "kind": "user-data"}, counts, output)
        note(f"Your own words are in {file}.")
        _tell_if_scanned(opened, file)
        return
    made = keeping.backup(opened, file, force=force, thumbnails=thumbnails, tell=note)
    print_counts({"file": made.file, "kind": "library", "bytes": made.bytes}, made.counts, output)
    note(f"Backup of {settings.library} in {file}, {size(made.bytes)}. Your photos are not in it.")
    _tell_if_scanned(opened, file)


def _tell_if_scanned(library: Library, file: Path) -> None:
    """Nothing else that photoindex writes lies among photos."""
    for root in library.queries.roots():
        if file.resolve().is_relative_to(Path(root).resolve()):
            note(f"It lies in {short_path(root)}, among your photos. Scans leave it alone.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `photoindex backup` wrote.")],
    user_data: Annotated[
        bool, typer.Option("--user-data", help="Of a backup, only your own words; they are merged into the library.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Set a library that is there aside; of words that differ, take the file's."),
    ] = False,
    library: LibraryOption = None,
    output: ObjectFormatOption = ObjectFormat.table,
) -> None:
    """Bring a library back from a backup, or merge a file of your own words into the library.

    Everything is checked before anything is changed. Nothing is deleted: what was there is set aside, and words that
    --force replaces are kept in `backups` in the library's folder.
    """
    from photoindex import keeping
    from photoindex.keeping.restore import is_words
    from photoindex.render.keeping import print_counts, print_merged, print_repaired

    folder = read_settings(library).library
    if user_data or is_words(file):
        words = keeping.read_words_file(file)
        merged = keeping.put_words(folder, words, force=force)
        print_merged(merged, output)
        note("Your own words are in the library." if merged else "There are no words in this file.")
        _tell_folders(folder, words)
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: choose another --library.")
    done = keeping.restore(folder, file, force=force, tell=note)
    about = {"kind": done.kind, "made_at": done.made_at, "set_aside": done.set_aside, "repaired": list(done.repaired)}
    print_counts(about, done.counts, output)
    if output is not ObjectFormat.json:
        print_repaired(done.repaired)
    note(f"{folder} is what it was on {done.made_at}. The next scan brings it up to date.")
    if done.set_aside:
        note(f"What was there before lies in {done.set_aside}: delete it when you no longer want it.")


def _tell_folders(folder: Path, words: Words) -> None:
    """Words fit any place where the same photos lie: which to scan, only the user knows."""
    from photoindex.store.library import Library

    scanned = Library.open(folder).queries.roots()
    if missing := [root for root in words.folders if root not in scanned]:
        named = ", ".join(map(short_path, missing))
        note(f"They were said of photos in {named}. Scan these folders, or where the photos are now.")
