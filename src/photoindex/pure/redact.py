"""Making a report fit to be sent to others: nothing in it names the user's files, folders or words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

_QUOTED = re.compile(r"""(?P<quote>['"`])(?P<path>(?:/|~|[A-Za-z]:\\).*?)(?P=quote)""")
_BARE = re.compile(r"""(?<![\w.~:>/-])(?:/|[A-Za-z]:\\)[^\s'"`,;:()\[\]{}<>]+""")

_PATH = re.compile(r"/|~|\.{1,2}[/\\]|[A-Za-z]:\\")
_WORD = re.compile(r"[^\W_]{3,}")
_REST = r"""(?:[/\\](?:[^\n'"`]|'(?=\w))*)?"""


class Redactor:
    """Replaces private things in texts.

    `home`: the home folder, written as ~; `open_to_all`: folders of programs, whose paths stay readable (the longest
    prefix is shortened to its last part); `private`: words and paths that are replaced wherever they stand, and their
    own words (not those of whole paths) of three letters and more, in upper or lower case, where they stand alone;
    `folders`: what follows them to the end of the line or quotation is taken for part of a path, blanks included.
    """

    def __init__(
        self, home: str, open_to_all: Sequence[str], private: Iterable[str] = (), folders: Iterable[str] = ()
    ) -> None:
        self._home = home
        self._open = sorted({folder for folder in open_to_all if folder}, key=len, reverse=True)
        self._private = sorted({word for word in private if len(word) > 2}, key=len, reverse=True)
        self._folders = _below(folder for folder in (home, *folders))
        self._parts = _alone({part for word in self._private if not _PATH.match(word) for part in _WORD.findall(word)})

    def text(self, text: str) -> str:
        """The text with private words and paths replaced; two mentions of one file get the same name."""
        if self._folders is not None:
            text = self._folders.sub(lambda found: self.path(found[0]), text)
        for word in self._private:
            for form in _forms(word):
                text = text.replace(form, self.name(word))
        text = _QUOTED.sub(lambda found: f"{found['quote']}{self.path(found['path'])}{found['quote']}", text)
        text = _BARE.sub(lambda found: self.path(found[0]), text)
        if self._parts is not None:
            text = self._parts.sub(lambda found: found[0] if found["kept"] else self.name(found[0].lower()), text)
        return text

    def path(self, path: str) -> str:
        """A path of a program shortened, any other replaced by `name`."""
        for folder in self._open:
            if path == folder or path.startswith(folder.rstrip("/\\") + "/"):
                return f"<{PurePath(folder).name}>{path[len(folder.rstrip('/')) :]}"
        if path in ("/", "~", self._home) or path.startswith(("/dev/", "/proc/", "/sys/")):
            return path if path != self._home else "~"
        return self.name(path)

    def name(self, private: str) -> str:
        """What stands for a private word or path: a few digits of its checksum, and the suffix of a file."""
        digits = hashlib.sha256(private.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        suffix = PurePath(private).suffix.lower()
        return f"<private-{digits}{suffix if re.fullmatch(r'[.][a-z0-9]{1,5}', suffix) else ''}>"


def _forms(word: str) -> set[str]:
    """How a word stands in plain text, in Python's quotes and in JSON, where ü may be \\u00fc."""
    return {word, repr(word)[1:-1], json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]}


def _any_of(words: Iterable[str]) -> str:
    forms = {form for word in words for form in _forms(word)}
    return "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))


def _below(folders: Iterable[str]) -> re.Pattern[str] | None:
    """Folders and all that may be a path below them. A name with blanks ends nowhere in particular."""
    named = _any_of({folder.rstrip("/\\") for folder in folders} - {""})
    return re.compile(rf"""(?<![\w.~:>/-])(?:{named})(?=[/\\\s'"`,;:)\]}}>]|$){_REST}""") if named else None


def _alone(words: Iterable[str]) -> re.Pattern[str] | None:
    """Words where no letter or digit touches them, beside what has been made readable before, which is kept."""
    named = _any_of(words)
    return re.compile(rf"(?P<kept><[^<>\n]*>[^\s'\"]*)|(?<![^\W_])(?:{named})(?![^\W_])", re.I) if named else None
