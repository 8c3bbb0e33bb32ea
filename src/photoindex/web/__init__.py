"""Pages for a browser. Each is one file that needs nothing else and runs no script."""
