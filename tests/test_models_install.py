"""Finding and fetching weights: from files, from a server on this machine, and without a network."""

import hashlib
import json
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from filelock import FileLock

from conftest import Shell
from photoindex.errors import (
    DownloadFailed,
    ModelBroken,
    ModelMissing,
)
from photoindex.models.install import locate, pull
from photoindex.models.record import read_record
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


# --- locate --------------------------------------------------------------------------------------------------------


def test_missing_weights_name_the_command_that_fetches_them(tmp_path: Path) -> None:
    registry = load_registry(None)
    with pytest.raises(ModelMissing, match="photoindex models pull yunet-sface"):
        locate(registry, registry.model("yunet-sface"), tmp_path)


def test_zero_shot_tags_are_where_their_embedding_model_is(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    text = f"""[models.mine]\n{HEAD}path = "{tmp_path / "weights"}"
[models.words]\ntask = "tags"\narchitecture = "zero-shot"\nlicence = "MIT"\ncommercial = true
options = {{ embedding = "mine", vocabulary = "vocabulary.txt" }}"""
    registry = registry_with(tmp_path, text)
    found = locate(registry, registry.model("words"), tmp_path / "models")
    assert found.path == tmp_path / "weights"
    assert found.base is not None
    assert found.base.spec.name == "mine"


def test_missing_zero_shot_tags_ask_for_the_embedding_model(tmp_path: Path) -> None:
    registry = load_registry(None)
    with pytest.raises(ModelMissing, match="photoindex models pull openclip-vit-h-14"):
        locate(registry, registry.model("zero-shot-openclip-vit-h-14"), tmp_path)


def test_models_inside_a_package_are_found_without_importing_it(tmp_path: Path) -> None:
    registry = load_registry(None)
    spec = registry.model("rapidocr-ppocr-v6-small")
    loaded = "rapidocr" in sys.modules
    found = locate(registry, spec, tmp_path)
    assert ("rapidocr" in sys.modules) == loaded
    for key in ("det", "rec", "cls"):
        assert (found.path / spec.options[key]).is_file()
    assert found.derived == tmp_path / spec.name  # never inside site-packages
    for file in spec.files:
        assert hashlib.sha256((found.path / file.name).read_bytes()).hexdigest() == file.sha256


def test_a_package_that_is_not_installed_is_missing(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, f'[models.a]\n{HEAD}package = "no_such_package_here"\n')
    with pytest.raises(ModelMissing, match="pip install"):
        locate(registry, registry.model("a"), tmp_path)


def test_a_local_folder_needs_no_download_and_must_exist(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, f'[models.small]\n{HEAD}path = "weights"\n')
    with pytest.raises(ModelBroken, match="no folder"):
        locate(registry, registry.model("small"), tmp_path / "models")
    (tmp_path / "weights").mkdir()
    assert fetch(registry, tmp_path).path == tmp_path / "weights"
    assert not (tmp_path / "models" / "small").exists()


# --- pull ----------------------------------------------------------------------------------------------------------


def test_a_file_url_is_copied_verified_and_recorded(tmp_path: Path) -> None:
    (tmp_path / "w w.bin").write_bytes(WEIGHTS)
    registry = one_file(tmp_path, (tmp_path / "w w.bin").as_uri(), sha256=SHA256, size=len(WEIGHTS))
    seen: list[tuple[str, int, int | None]] = []
    pull(registry, registry.model("small"), tmp_path / "models", lambda *step: seen.append(step))
    found = locate(registry, registry.model("small"), tmp_path / "models")
    assert (found.path / "weights.bin").read_bytes() == WEIGHTS
    assert read_record(found.path)["weights.bin"]["trust"] == "models.toml"
    assert seen[-1] == ("weights.bin", len(WEIGHTS), len(WEIGHTS))
    assert sorted(path.name for path in found.path.iterdir()) == ["installed.json", "weights.bin"]


def test_pulling_again_downloads_nothing(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    fetch(registry, tmp_path)
    fetch(registry, tmp_path)
    assert len(server.asked) == 1


def test_two_pulls_of_one_model_do_not_mix(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (tmp_path / "models").mkdir()
    with FileLock(tmp_path / "models" / ".small.lock"), pytest.raises(DownloadFailed, match="another photoindex"):
        fetch(registry, tmp_path)
    assert server.asked == []


def test_a_wrong_checksum_installs_nothing_and_leaves_no_part(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256="0" * 64)
    with pytest.raises(DownloadFailed, match=SHA256):
        fetch(registry, tmp_path)
    assert list((tmp_path / "models" / "small").iterdir()) == []
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")


def test_a_server_with_another_size_is_refused_before_the_bytes_come(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256, size=5)
    with pytest.raises(DownloadFailed, match="2,097,152 bytes, not the 5"):
        fetch(registry, tmp_path)


def test_a_cut_download_goes_on_where_it_stopped(tmp_path: Path, server: Server) -> None:
    server.cut_after = 1_500_000
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS
    first, second = (asked for _, _, asked in server.asked)
    assert (first, second) == (None, "bytes=1048576-")  # whole blocks are kept


def test_a_later_pull_resumes_the_part_of_an_earlier_one(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "models" / "small" / ".part-weights.bin").write_bytes(WEIGHTS[:1000])
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS
    assert server.asked == [("GET", "/w", "bytes=1000-")]


def test_a_part_of_another_version_is_thrown_away(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "models" / "small" / ".part-weights.bin").write_bytes(b"old" * 100)
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS
    assert [asked for _, _, asked in server.asked] == ["bytes=300-", None]


def test_a_server_that_cannot_resume_sends_the_whole_again(tmp_path: Path, server: Server) -> None:
    server.ranges = False
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "models" / "small" / ".part-weights.bin").write_bytes(WEIGHTS[:1000])
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_an_error_of_the_server_is_told_with_its_host(tmp_path: Path, server: Server, status: int) -> None:
    server.status = status
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    with pytest.raises(DownloadFailed, match=rf"from 127\.0\.0\.1:\d+: the server answered {status}"):
        fetch(registry, tmp_path)
    assert list((tmp_path / "models" / "small").iterdir()) == []  # the page with the error is no weights


def test_half_a_download_is_kept_for_the_next_try_and_never_used(tmp_path: Path, server: Server) -> None:
    server.cuts = server.cut_after = 0  # no byte comes any more
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256, size=len(WEIGHTS))
    (tmp_path / "models" / "small").mkdir(parents=True)
    part = tmp_path / "models" / "small" / ".part-weights.bin"
    part.write_bytes(WEIGHTS[:1_048_576])
    with pytest.raises(DownloadFailed, match="broke off"):
        fetch(registry, tmp_path)
    assert part.read_bytes() == WEIGHTS[:1_048_576]
    for _ in range(2):
        with pytest.raises(ModelMissing):
            locate(registry, registry.model("small"), tmp_path / "models")
    server.cuts = server.cut_after = None
    server.asked.clear()
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS
    assert server.asked == [("GET", "/w", "bytes=1048576-")]
    assert not part.exists()


def test_a_part_that_is_already_whole_is_verified_and_used(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "models" / "small" / ".part-weights.bin").write_bytes(WEIGHTS)
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS


def test_a_server_that_answers_a_range_with_the_whole_file_is_found_out(tmp_path: Path, server: Server) -> None:
    server.lies_about_range = True
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "models" / "small" / ".part-weights.bin").write_bytes(WEIGHTS[:1000])
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS
    assert [asked for _, _, asked in server.asked] == ["bytes=1000-", None]


@pytest.mark.parametrize("after", [-1, 0, 600_000], ids=["before its answer", "before the bytes", "in the middle"])
def test_a_server_that_hangs_is_given_up_and_what_came_is_kept(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr("photoindex.models.download.READ_S", 0.2)
    server.hang_after = after
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    with pytest.raises(DownloadFailed, match="no data for"):
        fetch(registry, tmp_path)
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")
    server.hang_after = None
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS


def test_a_server_that_hangs_after_some_blocks_is_asked_for_the_rest(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoindex.models.download.READ_S", 0.2)
    server.hang_after = 1_200_000
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS
    assert [asked for _, _, asked in server.asked] == [None, "bytes=1048576-"]


def test_a_server_that_does_not_stop_sending_is_stopped(tmp_path: Path, server: Server) -> None:
    server.sized, server.content = False, WEIGHTS * 2
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256, size=len(WEIGHTS))
    with pytest.raises(DownloadFailed, match="sends more than the 2,097,152 bytes"):
        fetch(registry, tmp_path)
    assert list((tmp_path / "models" / "small").iterdir()) == []


def test_a_server_that_says_less_and_sends_less_without_a_size_is_found_out(tmp_path: Path, server: Server) -> None:
    server.sized, server.content = False, WEIGHTS[:-5]
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256, size=len(WEIGHTS))
    with pytest.raises(DownloadFailed, match="2,097,147 bytes instead of 2,097,152"):
        fetch(registry, tmp_path)
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")


def test_a_killed_pull_leaves_nothing_that_is_used_and_the_next_goes_on(
    tmp_path: Path, server: Server, run: Shell, ended: Callable[[Popen[bytes]], Popen[bytes]]
) -> None:
    server.hang_after = 1_200_000
    one_file(tmp_path, f"{address(server)}/w", sha256=SHA256, size=len(WEIGHTS))
    run.home.mkdir()
    text = (tmp_path / "user.toml").read_text().replace("embedding", "faces")  # whose forms need not be made
    (run.home / "models.toml").write_text(text)
    part = run.home / "models" / "small" / ".part-weights.bin"
    process = ended(run.start("models", "pull", "small"))
    while process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = part.stat().st_size
    assert 0 < kept < len(WEIGHTS)
    run("models", "path", "small", code=ModelMissing.exit_code)
    server.hang_after = None
    server.asked.clear()
    run("models", "pull", "small")
    assert server.asked == [("GET", "/w", f"bytes={kept}-")]
    assert (part.parent / "weights.bin").read_bytes() == WEIGHTS


def test_a_kill_between_the_file_and_its_record_costs_no_second_download(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (fetch(registry, tmp_path).path / "installed.json").unlink()
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")
    fetch(registry, tmp_path)
    assert len(server.asked) == 1


def test_a_full_disk_is_told_before_the_download(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoindex.models.download.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(DownloadFailed, match=r"it needs 2 MB more and .* has 0 MB free"):
        fetch(one_file(tmp_path, f"{address(server)}/w", sha256=SHA256, size=len(WEIGHTS)), tmp_path)
    assert server.asked == []


@pytest.mark.parametrize("large", [True, False], ids=["sha256 of a large file", "git checksum of a small one"])
def test_without_a_checksum_the_hubs_own_decides_and_is_recorded(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address(server))
    blob = hashlib.sha1(b"blob %d\0" % len(WEIGHTS) + WEIGHTS).hexdigest()
    large_file = {"X-Linked-Etag": f'"{SHA256}"', "X-Linked-Size": str(len(WEIGHTS))}
    server.published = large_file if large else {"ETag": f'W/"{blob}"'}
    registry = one_file(tmp_path, HUB_URL)
    found = fetch(registry, tmp_path)
    assert read_record(found.path)["weights.bin"] == {
        "sha256": SHA256,
        "size": len(WEIGHTS),
        "trust": "hub",
        "url": HUB_URL,
    }
    assert [method for method, _, _ in server.asked] == ["HEAD", "GET"]


@pytest.mark.parametrize("etag", ["0" * 64, "0" * 40], ids=["sha256", "git"])
def test_a_file_that_is_not_what_the_hub_published_is_refused(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address(server))
    server.published = {"ETag": f'"{etag}"'}
    with pytest.raises(DownloadFailed, match="of the hub"):
        fetch(one_file(tmp_path, HUB_URL), tmp_path)


def test_the_checksum_of_a_renamed_repository_is_found(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address(server))
    first = HUB_URL.removeprefix("https://huggingface.co")
    server.moved = {first: "/renamed", "/renamed": "/cache"}
    server.published = {"ETag": f'"{SHA256}"'}
    assert read_record(fetch(one_file(tmp_path, HUB_URL), tmp_path).path)["weights.bin"]["trust"] == "hub"


def test_a_file_nobody_vouches_for_is_recorded_as_such(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS)
    found = fetch(one_file(tmp_path, (tmp_path / "w.bin").as_uri()), tmp_path)
    assert read_record(found.path)["weights.bin"]["trust"] == "first use"


def test_the_hubs_offline_switch_is_obeyed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for facts in ({}, {"sha256": SHA256}):
        with pytest.raises(DownloadFailed, match=r"huggingface\.co: HF_HUB_OFFLINE.*photoindex models import DIR"):
            fetch(one_file(tmp_path, HUB_URL, **facts), tmp_path)


@pytest.mark.parametrize(
    "endpoint", ["https://hub.invalid", "http://127.0.0.1:9"], ids=["no such host", "nobody there"]
)
@pytest.mark.parametrize("facts", [{}, {"sha256": SHA256}], ids=["unpinned", "pinned"])
def test_without_a_network_a_pull_fails_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, facts: dict[str, str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("NO_PROXY", "*")
    begun = time.monotonic()
    with pytest.raises(DownloadFailed, match=r"hub\.invalid|127\.0\.0\.1:9"):
        fetch(one_file(tmp_path, HUB_URL, **facts), tmp_path)
    assert time.monotonic() - begun < 10


def test_a_proxy_is_honoured(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", address(server))
    fetch(one_file(tmp_path, "http://weights.invalid/w", sha256=SHA256), tmp_path)
    assert server.asked == [("GET", "http://weights.invalid/w", None)]


# --- what is on disk -----------------------------------------------------------------------------------------------


def test_a_truncated_file_is_broken_and_pulled_again(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    weights = fetch(registry, tmp_path).path / "weights.bin"
    weights.write_bytes(WEIGHTS[:-1])
    with pytest.raises(ModelBroken, match="2,097,151 bytes instead of 2,097,152"):
        locate(registry, registry.model("small"), tmp_path / "models")
    fetch(registry, tmp_path)
    assert weights.read_bytes() == WEIGHTS


def test_pulling_mends_a_file_whose_bytes_changed(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    weights = fetch(registry, tmp_path).path / "weights.bin"
    weights.write_bytes(bytes(len(WEIGHTS)))
    fetch(registry, tmp_path)
    assert weights.read_bytes() == WEIGHTS


def test_weights_of_another_version_are_not_used(tmp_path: Path, server: Server) -> None:
    fetch(one_file(tmp_path, f"{address(server)}/w", sha256=SHA256), tmp_path)
    newer = one_file(tmp_path, f"{address(server)}/w", sha256="1" * 64)
    with pytest.raises(ModelBroken, match="another version"):
        locate(newer, newer.model("small"), tmp_path / "models")


def test_a_file_copied_by_hand_is_verified_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "models" / "small"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(WEIGHTS)
    registry = one_file(tmp_path, HUB_URL, sha256=SHA256)
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS


def test_an_unreadable_record_counts_as_not_installed(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (fetch(registry, tmp_path).path / "installed.json").write_text("{ half")
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")


def test_a_file_without_a_checksum_from_another_address_is_another_version(tmp_path: Path) -> None:
    for name, content in (("one.bin", b"one"), ("two.bin", b"two")):
        (tmp_path / name).write_bytes(content)
    fetch(one_file(tmp_path, (tmp_path / "one.bin").as_uri()), tmp_path)
    newer = one_file(tmp_path, (tmp_path / "two.bin").as_uri())
    with pytest.raises(ModelBroken, match="another version"):
        locate(newer, newer.model("small"), tmp_path / "models")
    assert (fetch(newer, tmp_path).path / "weights.bin").read_bytes() == b"two"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip" * 99], ids=["empty", "a beginning", "no zip"])
def test_an_archive_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pack.zip").write_bytes(content)
    with pytest.raises(DownloadFailed, match="the archive is not what it should be"):
        fetch(one_file(tmp_path, (tmp_path / "pack.zip").as_uri(), unpack=["rec.onnx"]), tmp_path)
    registry = load_registry(tmp_path / "user.toml")
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")


def zipped(folder: Path, **members: bytes) -> tuple[str, str]:
    with zipfile.ZipFile(folder / "pack.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name.replace("__", "."), content)
        out.writestr("../../escaped", b"outside")
    return (folder / "pack.zip").as_uri(), hashlib.sha256((folder / "pack.zip").read_bytes()).hexdigest()


def test_only_the_listed_members_of_an_archive_are_unpacked(tmp_path: Path) -> None:
    url, sha256 = zipped(tmp_path, det__onnx=b"det", rec__onnx=b"rec", other__onnx=b"other")
    registry = one_file(tmp_path, url, sha256=sha256, unpack=["det.onnx", "rec.onnx"])
    found = fetch(registry, tmp_path)
    assert sorted(path.name for path in found.path.iterdir()) == ["det.onnx", "installed.json", "rec.onnx"]
    assert not (tmp_path / "escaped").exists()
    (tmp_path / "pack.zip").unlink()
    fetch(registry, tmp_path)  # the members are verified; the archive is not needed again
    (found.path / "rec.onnx").unlink()
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")


def test_an_archive_without_its_member_is_refused(tmp_path: Path) -> None:
    url, sha256 = zipped(tmp_path, det__onnx=b"det")
    with pytest.raises(DownloadFailed, match=r"rec\.onnx"):
        fetch(one_file(tmp_path, url, sha256=sha256, unpack=["rec.onnx"]), tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    (tmp_path / "w.bin").write_bytes(WEIGHTS)
    with pytest.raises(DownloadFailed, match="small"):
        fetch(one_file(tmp_path, (tmp_path / "w.bin").as_uri()), tmp_path)
