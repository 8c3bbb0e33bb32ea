"""The command line: parse, open the library, call one function, render. `main` maps errors to exit codes."""

from photoindex.cli.app import main, run

__all__ = ["main", "run"]
