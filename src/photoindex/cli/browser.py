"""Pages that are shown in the user's browser."""

from __future__ import annotations

from pathlib import Path

from photoindex.errors import UsageError


def show_in_browser(path: Path) -> None:
    """Raises UsageError, which says where the page is, where no browser can be started."""
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        raise UsageError(f"No browser could be started. Open {path} yourself; --sheet FILE.html writes it elsewhere.")
