"""What the tests share: real small pictures drawn here, libraries in a temporary folder, and the command line."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from filelock import FileLock
from PIL import Image, ImageDraw

from applying import make_settings, quarantine_setting  # noqa: F401 - fixtures for all tests
from kept_library import _kept, made, packed  # noqa: F401
from photoindex.store.library import Library

sys.path.append(str(Path(__file__).parents[1] / "scripts"))  # for scenes.py
TINY_CLIP = Path(__file__).with_name("tiny_clip")
# Shells start what runs in the background of a script with Ctrl-C ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What the terminal or the machine of whoever runs the tests would change in what commands write. COLUMNS and LINES are
# set by GNU readline in the first process of a run, and so are there in those that it starts.
for _name in (
    *("COLUMNS", "LINES", "TERMINAL_WIDTH", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS"),
    *("TTY_COMPATIBLE", "TTY_INTERACTIVE", "PYTHONUNBUFFERED"),
):
    os.environ.pop(_name, None)
# The same examples in every run, however long one takes; --hypothesis-profile=default looks for others.
hypothesis.settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("same")
QUICK = ("--steps", "metadata,place,thumbnail,hash", "--workers", "2")

NO_NETWORK = """
import socket

def refuse(*_: object, **__: object) -> None:
    raise OSError("this test has no network")

socket.socket.connect = socket.create_connection = refuse
"""


def draw(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture of many edges that no other seed gives."""
    picture = Image.new("RGB", size, ((seed * 67) % 256, (seed * 131) % 256, (seed * 29) % 256))
    pen = ImageDraw.Draw(picture)
    for k in range(24):
        x, y = (k * 61 * (seed + 3)) % size[0], (k * 37 * (seed + 1)) % size[1]
        pen.rectangle((x, y, x + 40, y + 30), fill=((k * 40) % 256, (seed * 17 + k * 90) % 256, (k * seed) % 256))
    return picture


def exif(taken: str | None = None, gps: tuple[float, float] | None = None) -> Image.Exif:
    """EXIF of a camera called Kamera K-1. `taken` as "2023:05:01 14:30:00", `gps` degrees north and east."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "Kamera", "K-1"
    if taken:
        tags.get_ifd(0x8769)[0x9003] = taken
    if gps:
        degrees = [(float(int(v)), float(int(v % 1 * 60)), v * 60 % 1 * 60) for v in gps]
        tags.get_ifd(0x8825).update({1: "N", 2: degrees[0], 3: "E", 4: degrees[1]})
    return tags


def _draw_folder(folder: Path) -> None:
    """Twelve files, of which ten hold distinct pictures, one is a copy and one is broken."""
    (folder / "2023" / "trip").mkdir(parents=True)
    for n in range(4):
        draw(n).save(folder / "2023" / f"img_{n}.jpg", exif=exif(f"2023:05:0{n + 1} 14:30:00"), quality=90)
    draw(4).save(folder / "2023" / "trip" / "paris.jpg", exif=exif("2023:07:14 09:00:00", (48.8584, 2.2945)))
    draw(5).save(folder / "2023" / "trip" / "Kölner Dom.png")
    draw(6).save(folder / "beach.webp")
    draw(7).save(folder / "beach small.gif")
    draw(8).save(folder / "plain.bmp")
    draw(9).save(folder / "large.jpg", quality=95)
    shutil.copyfile(folder / "large.jpg", folder / "2023" / "copy of large.jpg")
    (folder / "broken.jpg").write_bytes((folder / "large.jpg").read_bytes()[:40])


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    folder.mkdir()
    _draw_folder(folder)
    return folder


@pytest.fixture
def photos(_drawn: Path, tmp_path: Path) -> Path:
    """A folder of twelve small files; see `_draw_folder`."""
    shutil.copytree(_drawn, tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def sound(photos: Path) -> Path:
    """The photos without the broken one: ten pictures and a copy."""
    (photos / "broken.jpg").unlink()
    return photos


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A new library, opened for writing."""
    with Library.writing(tmp_path / "library") as opened:
        yield opened


@dataclass(frozen=True)
class Ran:
    """What a command gave back. `out` is the bytes of stdout."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """Runs `photoindex` as a user would, with a home of its own."""

    home: Path
    patch: pytest.MonkeyPatch

    @property
    def folder(self) -> Path:
        return self.home / "default"

    def __call__(self, *arguments: str | os.PathLike[str], code: int | None = 0) -> Ran:
        """In this process, through the same `main` as the installed command. Checks the exit code, unless None."""
        import pandas  # noqa: F401 - else a search leaves cli.lean's stand-in for it to every test that follows

        from photoindex.cli import main

        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
        with self.patch.context() as patch:
            patch.setenv("PHOTOINDEX_HOME", str(self.home))  # a shell of wider scope may have set its own since
            patch.setattr(sys, "argv", ["photoindex", *map(os.fspath, arguments)])
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            # A command that leaves at once would take all tests along, silently; and what it does before that ends the
            # fork server, without which no later scan of this process starts its workers.
            patch.setattr(os, "_exit", sys.exit)
            patch.setattr(atexit, "_run_exitfuncs", lambda: None)
            try:
                main()
                ended = 0
            except SystemExit as end:
                ended = end.code if isinstance(end.code, int) else 2 if end.code else 0
        ran = Ran(ended, out.buffer.getvalue(), err.getvalue())  # type: ignore[attr-defined]
        assert code is None or ran.code == code, f"exit code {ran.code}\n{ran.out.decode(errors='replace')}\n{ran.err}"
        return ran

    def start(self, *arguments: str | os.PathLike[str], script: str | None = None) -> subprocess.Popen[bytes]:
        """In a process group of its own. `script` is Python to run before the command begins."""
        before = ["-c", f"{script}\nfrom photoindex.cli import main\nmain()"] if script else ["-m", "photoindex"]
        command = [sys.executable, *before, *map(os.fspath, arguments)]
        pipe = subprocess.PIPE
        env = {**os.environ, "PHOTOINDEX_HOME": str(self.home)}
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True, env=env)

    def scan(self, *arguments: str | os.PathLike[str], code: int | None = 0) -> Any:
        """A scan with the steps that need no model; its report."""
        return self("scan", *arguments, *QUICK, "--format", "json", code=code).json

    def open(self) -> Library:
        return Library.open(self.folder)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the catalog directly, to check what no command shows."""
        with self.open().catalog.file.read() as con:
            return con.execute(sql).fetchall()


def shell(home: Path, patch: pytest.MonkeyPatch) -> Shell:
    for name in ("PHOTOINDEX_LIBRARY", "PHOTOINDEX_MODELS", "PHOTOINDEX_MODELS_FILE", "FORCE_COLOR"):
        patch.delenv(name, raising=False)
    patch.setenv("PHOTOINDEX_HOME", str(home))
    return Shell(home, patch)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return shell(tmp_path / "home", monkeypatch)


@pytest.fixture
def ended() -> Iterator[Callable[[subprocess.Popen[bytes]], subprocess.Popen[bytes]]]:
    """Registers a process whose whole group is killed when the test is over."""
    started: list[subprocess.Popen[bytes]] = []

    def register(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        started.append(process)
        return process

    yield register
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def install_tiny_clip(run: Shell) -> None:
    """Put the small OpenCLIP model of tests/tiny_clip into the user's models.toml, as the profile `tiny`."""
    if not [*TINY_CLIP.glob("*.safetensors")]:
        pytest.skip("tests/tiny_clip holds no weights; scripts/train_tiny_clip.py makes them")
    blocks = (TINY_CLIP / "models.toml").read_text().replace('path = "."', f'path = "{TINY_CLIP}"')
    blocks = blocks.replace('vocabulary = "vocabulary.txt"', f'vocabulary = "{TINY_CLIP / "vocabulary.txt"}"')
    run.home.mkdir(exist_ok=True)
    (run.home / "models.toml").write_text(blocks)
    shutil.copytree(prepared_tiny_clip(), run.home / "models", dirs_exist_ok=True)


_of_this_run: list[Path] = []


@pytest.fixture(scope="session", autouse=True)
def _know_the_folder_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All processes of a run, as pytest-xdist starts them, have one folder for what is made once for all of them."""
    own = tmp_path_factory.getbasetemp()
    _of_this_run[:] = [own.parent if "PYTEST_XDIST_WORKER" in os.environ else own]


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is filled by the first process of this run to ask for it, and only read by all."""
    [base] = _of_this_run
    folder, whole = base / f"made once {name}", base / f"made once {name}.whole"
    with FileLock(base / f"made once {name}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


def prepared_tiny_clip() -> Path:
    """A folder of models with the forms of tiny-clip, made once and without a network: that takes seconds."""
    return made_once("tiny clip", _prepare_tiny_clip)


def _prepare_tiny_clip(folder: Path) -> None:
    from photoindex.models.install import locate
    from photoindex.models.registry import load_registry
    from photoindex.steps.forms import make_forms

    registry = load_registry(TINY_CLIP / "models.toml")
    with tempfile.TemporaryDirectory() as without, pytest.MonkeyPatch.context() as patch:
        (Path(without) / "sitecustomize.py").write_text(NO_NETWORK)
        patch.setenv("PYTHONPATH", without)
        make_forms(locate(registry, registry.model("tiny-clip"), folder))


@pytest.fixture
def tiny_clip(run: Shell) -> Shell:
    install_tiny_clip(run)
    return run


@pytest.fixture(scope="session")
def _scanned(tmp_path_factory: pytest.TempPathFactory, _drawn: Path) -> Path:
    home = tmp_path_factory.mktemp("scanned")
    with pytest.MonkeyPatch.context() as patch:
        shell(home, patch).scan(_drawn, code=1)
    return home


@pytest.fixture
def scanned(_scanned: Path, run: Shell) -> Shell:
    """A library, of this test alone, of the files in `pictures`."""
    shutil.copytree(_scanned, run.home)
    return run


@pytest.fixture
def pictures(_drawn: Path) -> Path:
    """The twelve files that `scanned` has: not to be changed."""
    return _drawn


@pytest.fixture(scope="module")
def looked_at(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose library has the pictures of a module, compared: for modules with `pictures` of their own scope."""
    home = tmp_path_factory.mktemp("looked at")
    with pytest.MonkeyPatch.context() as patch:
        run = shell(home, patch)
        run.scan(pictures)
        run("dupes")
    return home


@pytest.fixture
def found(run: Shell, looked_at: Path) -> Shell:
    """That library, of this test alone."""
    shutil.copytree(looked_at, run.home)
    return run
