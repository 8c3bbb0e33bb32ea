"""Every error a user can meet: the docstring is the message, `exit_code` what the process returns.

0 success, 1 finished with problems, 2 wrong usage or a crash, 10 and up the errors below, 130 Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class PhotoindexError(Exception):
    """{}"""

    exit_code = 2

    def __str__(self) -> str:
        return (type(self).__doc__ or "{}").format(*self.args)


class UsageError(PhotoindexError):
    """{}"""

    exit_code = 2


class QueryInvalid(UsageError):
    """{}"""

    def __init__(self, message: str, query: str, at: tuple[int, int]) -> None:
        """`at`: the place in `query` that the message is about, as (first, last + 1) character."""
        super().__init__(message)
        self.query, self.at = query, at


class LibraryNotFound(PhotoindexError):
    """No library at {}. Run `photoindex scan FOLDER` first, or choose one with --library."""

    exit_code = 10


class LibraryBusy(PhotoindexError):
    """The library at {} is being written by process {} since {}. Wait for it, or stop it, then try again."""

    exit_code = 11


class LibraryTooNew(PhotoindexError):
    """The library at {} was made by a newer photoindex (schema {}, this program knows {}). Upgrade photoindex."""

    exit_code = 12


class LibraryCorrupt(PhotoindexError):
    """The library at {} cannot be read: {}. Your photos are untouched; bring a backup back with `photoindex restore FILE --force`, or move that folder away and scan again."""

    exit_code = 13


class LibraryForeign(LibraryCorrupt):
    """The library at {} is not used: its catalog asks for files that are not its own ({}). No library of photoindex does, and nothing of them was read. Your photos are untouched; bring a backup back with `photoindex restore FILE --force`, or move that folder away and scan again."""


class LibraryUnreadable(PhotoindexError):
    """Cannot read the library at {}: {}. Nothing is lost; give yourself the right to read it, and try again."""

    exit_code = 13


class LibraryNotWritable(PhotoindexError):
    """Cannot write to the library at {}: {}. What was saved before is kept; fix that and run the same command again."""

    exit_code = 14


class RootNotFound(PhotoindexError):
    """No folder at {}. Is the disk plugged in, or the name misspelt?"""

    exit_code = 15


class RootNotAFolder(PhotoindexError):
    """{} is a file. Give the folder that holds it; --include {!r} limits the scan to it."""

    exit_code = 15


class RootUnreadable(PhotoindexError):
    """Cannot read the folder {}: {}."""

    exit_code = 15


class RootLost(PhotoindexError):
    """The folder {} cannot be reached any more: {}. What was done is kept; once it is back, run the same command again."""

    exit_code = 15


class PlanOutOfReach(PhotoindexError):
    """Nothing that this plan lets go can be let go now: {}. Plug the disk in and run the same command again. Nothing was touched."""

    exit_code = 15


class RootEmpty(PhotoindexError):
    """{} holds no pictures, but {} were known there. Is a disk unplugged? Nothing was changed; use --accept-missing if they are really gone."""

    exit_code = 16


class RootMostlyGone(RootEmpty):
    """Of the {1:,} pictures known in {0}, {2:,} are not there any more. Is a disk unplugged? Nothing was changed; use --accept-missing if they are really gone."""


class DiskGone(RootEmpty):
    """{} is empty, but {:,} pictures were known there, on a disk of its own. Is it unplugged? Nothing was changed; use --accept-missing if they are really gone."""


class UnknownName(PhotoindexError):
    """Nothing is called {!r}. {}"""

    exit_code = 17
    list_all = ""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        """What was meant among the `known` names is said; where that cannot be told, all of them."""
        names = list(known)
        meant = _meant(name, names)
        guess = f"Did you mean {' or '.join(meant)}?{self.list_all}"
        super().__init__(name, guess if meant else f"There are: {', '.join(names)}.")


def _meant(name: str, known: Sequence[str]) -> list[str]:
    """Up to three names that are nearly as was typed, or hold that as a part."""
    from difflib import get_close_matches

    asked, spelt = name.casefold(), {each.casefold(): each for each in known}
    near = get_close_matches(asked, spelt, 3, 0.7)
    near = near or ([each for each in spelt if asked in each][:3] if len(asked) > 2 else [])
    return [spelt[each] for each in near]


class UnknownStep(UnknownName):
    """No step is called {!r}. {}"""


class UnknownProfile(UnknownName):
    """No profile is called {!r}. {}"""


class ProfileGone(UnknownProfile):
    """This library's profile {!r} is in no models file. Give its file with --models, or a --profile of: {}."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        PhotoindexError.__init__(self, name, ", ".join(known))


class UnknownModel(UnknownName):
    """No model is called {!r}. {}"""

    list_all = " `photoindex models list` shows all."


class ModelMissing(PhotoindexError):
    """The weights of {} are not installed. Run `{}`."""

    exit_code = 18


class ModelBroken(PhotoindexError):
    """The model {} cannot be used: {}. `{}` fetches it again."""

    exit_code = 19


class DownloadFailed(PhotoindexError):
    """Could not download {}: {}. Nothing was installed; run the same command to try again."""

    exit_code = 20


class BundleInvalid(PhotoindexError):
    """Cannot use {} as a bundle of models: {}."""

    exit_code = 26


class RegistryInvalid(PhotoindexError):
    """{}: [{}] {}: {}"""

    exit_code = 21


class RuntimeUnavailable(PhotoindexError):
    """Nothing on this machine can run {}: {}."""

    exit_code = 22


class RuntimeRefused(PhotoindexError):
    """{} cannot run on {!r}: {}. This machine has for it: {}."""

    exit_code = 22


class NoVectors(PhotoindexError):
    """This library cannot be searched by meaning: {}"""

    exit_code = 23


class PhotoNotFound(PhotoindexError):
    """No photo matches {!r}. Give a path, or at least six characters of a SHA-256."""

    exit_code = 24


class PhotoNotScanned(PhotoNotFound):
    """{} is there, but not in this library. `photoindex scan FOLDER` takes in the folder that it lies in, and `photoindex failures` says what could not be read."""


class PictureUnreadable(PhotoindexError):
    """Cannot search by the picture {}: {}"""

    exit_code = 24


class PhotoAmbiguous(PhotoindexError):
    """{!r} could be any of {} photos. Give more characters of the SHA-256, or a path."""

    exit_code = 24


class DependencyBroken(PhotoindexError):
    """{}"""

    exit_code = 25


class MemoryTooSmall(PhotoindexError):
    """A scan takes at least {} of memory without any model, and may take {}. Allow more with --max-memory, or close other programs."""

    exit_code = 27


class PlanInvalid(PhotoindexError):
    """This plan is not sound: {}. Nothing was touched."""

    exit_code = 28


class BackupInvalid(PhotoindexError):
    """Cannot restore from {}: {}. Nothing was changed."""

    exit_code = 29


class BackupNotWritten(PhotoindexError):
    """Cannot write the backup {}: {}. The library is as it was."""

    exit_code = 29


class BackupTooNew(LibraryTooNew):
    """The backup {} was made by a newer photoindex (schema {}, this program knows {}). Upgrade photoindex. Nothing was changed."""


class LogNotWritable(PhotoindexError):
    """Cannot write the log {}: {}. Nothing was done; choose another --log-file."""

    exit_code = 30


class RunNotFound(PhotoindexError):
    """There is no scan with the number {}. {}; `photoindex runs` lists them."""

    exit_code = 24
