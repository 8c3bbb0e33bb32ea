"""Making a report fit to be sent to others: nothing in it names the user's files, folders or words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

_QUOTED = re.compile(r"""(?P<quote>['"`])(?P<path>(?:/|~|[A-Za-z]:\\).*?)(?P=quote)""")
_BARE = re.compile(r"""(?<![\w.~:>/-])(?:/|[A-Za-z]:\\)[^\s'"`,;:()\[\]{}<>]+""")


class Redactor:
    """Replaces private things in texts.

    `home`: the home folder, written as ~; `open_to_all`: folders of programs, whose paths stay readable (the longest
    prefix is shortened to its last part); `private`: words and paths that are replaced wherever they stand.
    """

    def __init__(self, home: str, open_to_all: Sequence[str], private: Iterable[str] = ()) -> None:
        self._home = home
        self._open = sorted({folder for folder in open_to_all if folder}, key=len, reverse=True)
        self._private = sorted({word for word in private if len(word) > 2}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text with private words and paths replaced; two mentions of one file get the same name."""
        for word in self._private:
            text = text.replace(word, self.name(word))
        text = _QUOTED.sub(lambda found: f"{found['quote']}{self.path(found['path'])}{found['quote']}", text)
        return _BARE.sub(lambda found: self.path(found[0]), text)

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
