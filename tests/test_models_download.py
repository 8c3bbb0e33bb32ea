"""Fetching weights: from files, from a server on this machine that does what servers do, and without a network."""

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest
from filelock import FileLock

from conftest import Shell
from photoindex.errors import DownloadFailed, ModelMissing
from photoindex.models.install import locate, pull
from photoindex.models.record import read_record
from weights_server import HUB_URL, SHA256, WEIGHTS, Server, address, fetch, one_file

pytest_plugins = ("weights_server",)


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
    monkeypatch.setattr("photoindex.models.download.READ_S", 60.0)
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS


def test_a_server_that_hangs_after_some_blocks_is_asked_for_the_rest(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoindex.models.download.READ_S", 2.0)  # of which the first block needs a thousandth
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
def test_without_a_network_a_pull_fails_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, facts: dict[str, str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("NO_PROXY", "*")
    begun = time.monotonic()
    with pytest.raises(DownloadFailed, match=r"hub\.invalid|127\.0\.0\.1:9"):
        fetch(one_file(tmp_path, HUB_URL, **facts), tmp_path)
    assert time.monotonic() - begun < 120  # not the minutes of retries that the libraries would make


def test_a_proxy_is_honoured(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", address(server))
    fetch(one_file(tmp_path, "http://weights.invalid/w", sha256=SHA256), tmp_path)
    assert server.asked == [("GET", "http://weights.invalid/w", None)]
