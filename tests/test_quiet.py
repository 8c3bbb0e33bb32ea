"""Libraries say nothing unasked: neither on the terminal, nor to their makers."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Shell, draw

NAMES = ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY", "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK")
OURS = re.compile(
    r"load models|[a-z]+: (load|prepare|measure) .*|walk: \d+|analyse: \d+ of \d+.*|"
    r"[a-z, ]+ did not run: .*|photoindex: .*|\d\d:\d\d:\d\d [a-z ]+: .*"
)
# Whoever looks for a host is noted, and finds none.
NO_NETWORK = """
import os, socket
def nowhere(*asked, **_):
    with open(os.environ["ASKED"], "a") as file:
        print(asked, file=file)
    raise OSError("there is no network")
socket.getaddrinfo = socket.create_connection = nowhere
"""


@pytest.fixture
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "TRANSFORMERS_VERBOSITY", "LANCE_LOG"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_forgetful")
def test_every_command_switches_off_telemetry_and_chatter(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANCE_LOG", "debug")
    run("status", code=10)
    assert {os.environ[name].lower() for name in NAMES} <= {"1", "true"}
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "error"
    assert os.environ["LANCE_LOG"] == "debug"


@pytest.mark.usefixtures("_forgetful")
def test_debug_lets_libraries_talk_but_not_to_their_makers(run: Shell) -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        run("--debug", "status", code=10)
        assert not any(rule[0] == "ignore" and rule[2] is Warning for rule in warnings.filters)
    assert "TRANSFORMERS_VERBOSITY" not in os.environ
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


@pytest.mark.slow
def test_a_scan_with_models_says_nothing_but_its_own_lines_and_asks_nobody(
    tiny_clip: Shell, photos: Path, ended: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (photos / "large.jpg").read_bytes()
    (photos / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "noisy.jpg").write_bytes(whole[:2000] + b"\xff\xd9\x00\xff" * 50 + whole[2200:])
    draw(60).save(photos / "scan.tif", compression="tiff_lzw")
    torn = (photos / "scan.tif").read_bytes()
    (photos / "torn.tif").write_bytes(torn[:-300])
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    scan = ended(tiny_clip.start("scan", photos, "--profile", "tiny", "-v", script=NO_NETWORK))
    _, said = scan.communicate(timeout=400)
    assert scan.returncode == 1, said
    assert [line for line in said.decode().splitlines() if not OURS.fullmatch(line)] == []
    assert b"model loaded: step ocr" in said
    assert b"model loaded: step embedding" in said
    assert not (tmp_path / "asked").exists()
