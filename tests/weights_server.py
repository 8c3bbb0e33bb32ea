"""A small model and a server for it on this machine, for the test files that name this one a plugin.

There is no assertion in it: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from photoindex.models.install import pull
from photoindex.models.registry import Registry, load_registry
from photoindex.models.spec import InstalledModel

WEIGHTS = bytes(range(256)) * 8192  # 2 MiB: more than one chunk
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
HUB_URL = "https://huggingface.co/someone/small/resolve/main/weights.bin"
HEAD = 'task = "embedding"\narchitecture = "ViT-B-32"\nlicence = "MIT"\ncommercial = true\n'


def registry_with(folder: Path, text: str) -> Registry:
    (folder / "user.toml").write_text(text)
    return load_registry(folder / "user.toml")


def one_file(folder: Path, url: str, **facts: object) -> Registry:
    """A registry with a model `small` of one file, weights.bin."""
    entry = {"name": "weights.bin", "url": url, **facts}
    fields = ", ".join(f"{key} = {json.dumps(value)}" for key, value in entry.items())
    return registry_with(folder, f"[models.small]\n{HEAD}files = [{{ {fields} }}]\n")


def fetch(registry: Registry, folder: Path) -> InstalledModel:
    return pull(registry, registry.model("small"), folder / "models", lambda *_: None)


class Server(ThreadingHTTPServer):
    """Serves WEIGHTS at any path; remembers what was asked; can cut, lie, hang and publish checksums like the hub.

    `cut_after`: the bytes that the next answer stops after, `cuts`: every answer. `hang_after`: the bytes after which
    an answer waits for `go_on`; -1 before its headers. `sized`: whether it says how much it sends.
    """

    asked: list[tuple[str, str, str | None]]
    content = WEIGHTS
    published: dict[str, str] = {}
    cut_after: int | None = None
    cuts: int | None = None
    hang_after: int | None = None
    sized = True
    lies_about_range = False
    ranges = True
    status = 200
    moved: dict[str, str] = {}

    def __init__(self, *args: Any) -> None:
        self.go_on = threading.Event()
        super().__init__(*args)

    def handle_error(self, *args: object) -> None:
        """A client that hangs up early is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append((self.command, self.path, asked))
        if self.path in self.server.moved:
            self.send_response(307)
            self.send_header("Location", self.server.moved[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.server.hang_after == -1:
            self.server.go_on.wait(60)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        content = self.server.content[0 if self.server.lies_about_range else start :]
        if start >= len(self.server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else self.server.status)
        if self.server.sized:
            self.send_header("Content-Length", str(len(content)))
        for name, value in self.server.published.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            cut, self.server.cut_after = self.server.cut_after, self.server.cuts
            hang = self.server.hang_after
            self.wfile.write(content[: cut if hang is None else hang])
            if hang is not None:
                self.wfile.flush()
                self.server.go_on.wait(60)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server
        server.go_on.set()
        server.shutdown()


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"
