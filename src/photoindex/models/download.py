"""One file from its URL to a verified part file: resumed where it can be, and given up soon without a network."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urljoin, urlsplit

from photoindex.errors import DownloadFailed
from photoindex.models.spec import ModelFile

if TYPE_CHECKING:
    import requests

HUB = "https://huggingface.co"
CONNECT_S, READ_S = 5.0, 20.0
CHUNK = 1 << 20
SPARE_BYTES = 64 << 20

_OFFLINE = (
    "HF_HUB_OFFLINE is set. Bring it on a disk: `photoindex models export DIR NAME` on a machine with a network, "
    "then `photoindex models import DIR` here"
)

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes there are so far, and all its bytes where known."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete part file. `trust`: who vouched for it, `models.toml`, `hub`, or nobody (`first use`)."""

    sha256: str
    size: int
    trust: str


@dataclass(frozen=True, slots=True)
class _Promise:
    """What the file must turn out to be. `blob`: git's SHA-1 of it, which the hub publishes for small files."""

    sha256: str | None
    size: int | None
    trust: str
    blob: str | None = None

    @property
    def provable(self) -> bool:
        return bool(self.sha256 or self.blob)


def fetch(file: ModelFile, part: Path, progress: Progress) -> Fetched:
    """Download `file` to `part` and verify it.

    A part of an earlier try is continued where a checksum will tell whether the whole is right; it stays for the
    next try when the network fails, and goes when the checksum is wrong. Raises DownloadFailed.
    """
    try:
        promise = _promise(file)
        _room(file, part, promise)
        resumed = _transfer(file, part, promise, progress)
        wrong, fetched = _verify(part, promise)
        if wrong and resumed:  # the old part may have been of another version: once more from the start
            part.unlink()
            _transfer(file, part, promise, progress)
            wrong, fetched = _verify(part, promise)
    except OSError as error:
        _fail(file, error.strerror or str(error))
    if wrong:
        part.unlink()
        _fail(file, wrong)
    return fetched


def unheard(_: str, __: int, ___: int | None) -> None:
    """A Progress that nobody follows."""


def sha256_of(path: Path, progress: Progress = unheard) -> str:
    """`progress` is called after every megabyte; what it raises ends the reading."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(path.name, done, total)
    return digest.hexdigest()


def _promise(file: ModelFile) -> _Promise:
    if file.sha256 is None and file.url.startswith(HUB + "/"):
        return _hub_promise(file)
    return _Promise(file.sha256, file.size, "models.toml" if file.sha256 else "first use")


def _hub_promise(file: ModelFile) -> _Promise:
    """What the hub publishes of a file: the SHA-256 of large ones, git's blob SHA-1 of small ones, and the size."""
    import requests

    _refuse_offline(file)
    url, headers = _run_time_url(file), {"Accept-Encoding": "identity"}
    try:
        for _ in range(4):  # relative redirects: a renamed repository, the hub's cache of small files
            answer = requests.head(url, headers=headers, timeout=(CONNECT_S, READ_S), allow_redirects=False)
            if not (answer.is_redirect and answer.headers["Location"].startswith("/")):
                break
            url = urljoin(url, answer.headers["Location"])
    except requests.RequestException as error:
        _fail(file, _reason(error))
    if answer.status_code >= 400:
        _fail(file, f"the server answered {answer.status_code} {answer.reason}")
    etag = (answer.headers.get("X-Linked-Etag") or answer.headers.get("ETag") or "").removeprefix("W/").strip('"')
    size = answer.headers.get("X-Linked-Size") or (None if answer.is_redirect else answer.headers.get("Content-Length"))
    sha256 = etag if re.fullmatch("[0-9a-f]{64}", etag) else None
    blob = etag if re.fullmatch("[0-9a-f]{40}", etag) else None
    return _Promise(sha256, int(size) if size else file.size, "hub" if sha256 or blob else "first use", blob)


def _room(file: ModelFile, part: Path, promise: _Promise) -> None:
    have = part.stat().st_size if part.exists() else 0
    missing = max((promise.size or 0) - have, 0)
    free = shutil.disk_usage(part.parent).free
    if missing + SPARE_BYTES > free:
        _fail(file, f"it needs {missing / 1e6:,.0f} MB more and {part.parent} has {free / 1e6:,.0f} MB free")


def _transfer(file: ModelFile, part: Path, promise: _Promise, progress: Progress) -> bool:
    """Fill the part file. Returns whether it began with what was already there."""
    if urlsplit(file.url).scheme == "file":
        _copy(file, part, progress)
        return False
    return _download(file, part, promise, progress)


def _copy(file: ModelFile, part: Path, progress: Progress) -> None:
    from urllib.request import url2pathname  # with all of http, which a search would wait for

    origin = Path(url2pathname(urlsplit(file.url).path))
    total, done = origin.stat().st_size, 0
    with origin.open("rb") as source, part.open("wb") as out:
        while chunk := source.read(CHUNK):
            done += out.write(chunk)
            progress(file.name, done, total)


def _download(file: ModelFile, part: Path, promise: _Promise, progress: Progress) -> bool:
    import requests

    _refuse_offline(file)
    if not promise.provable:
        part.unlink(missing_ok=True)
    resumed = False
    with requests.Session() as session:
        for last in (False, False, True):
            start = part.stat().st_size if part.exists() else 0
            resumed = resumed or start > 0
            try:
                _stream(session, file, part, start, promise, progress)
            except requests.RequestException as error:
                stuck = not part.exists() or part.stat().st_size <= start
                if last or stuck or not promise.provable:
                    _fail(file, _reason(error))
            else:
                break
    return resumed


def _stream(
    session: requests.Session, file: ModelFile, part: Path, start: int, promise: _Promise, progress: Progress
) -> None:
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    with session.get(_run_time_url(file), headers=headers, stream=True, timeout=(CONNECT_S, READ_S)) as answer:
        if answer.status_code == 416:  # nothing is left to send; the checksum decides whether the part is whole
            return
        if answer.status_code not in (200, 206):
            _fail(file, f"the server answered {answer.status_code} {answer.reason}")
        done = start if answer.status_code == 206 else 0
        total = done + int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
        if total and promise.size and total != promise.size:
            _fail(file, f"the server has {total:,} bytes, not the {promise.size:,} expected")
        with part.open("ab" if done else "wb") as out:
            for chunk in answer.iter_content(CHUNK):
                done += out.write(chunk)
                if promise.size and done > promise.size:
                    part.unlink()
                    _fail(file, f"the server sends more than the {promise.size:,} bytes expected")
                progress(file.name, done, total)


def _verify(part: Path, promise: _Promise) -> tuple[str, Fetched]:
    """What is wrong with the part file (empty when nothing), and what it is."""
    size, sha256 = part.stat().st_size, sha256_of(part)
    wrong = ""
    if promise.size is not None and size != promise.size:
        wrong = f"it has {size:,} bytes instead of {promise.size:,}"
    elif promise.sha256 and sha256 != promise.sha256:
        wrong = f"its sha256 is {sha256}, not the {promise.sha256} of {_voucher(promise)}"
    elif promise.blob and _blob_of(part) != promise.blob:
        wrong = f"its git checksum is not the {promise.blob} of {_voucher(promise)}"
    return wrong, Fetched(sha256, size, promise.trust)


def _voucher(promise: _Promise) -> str:
    return "the hub" if promise.trust == "hub" else promise.trust


def _blob_of(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _run_time_url(file: ModelFile) -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return endpoint + file.url.removeprefix(HUB) if endpoint and file.url.startswith(HUB + "/") else file.url


def _refuse_offline(file: ModelFile) -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true"):
        _fail(file, _OFFLINE)


def _fail(file: ModelFile, reason: str) -> NoReturn:
    host = urlsplit(_run_time_url(file)).netloc
    raise DownloadFailed(f"{file.name} from {host}" if host else f"{file.name} from {file.url}", reason)


def _reason(error: requests.RequestException) -> str:
    """A sentence for a person: what requests says is a chain of class names and addresses."""
    import requests

    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_S:.0f} s"
    if isinstance(error, requests.exceptions.ReadTimeout) or isinstance(inner, TimeoutError):
        return f"no data for {READ_S:.0f} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy failed ({inner})"
    if "getaddrinfo" in repr(inner) or "NameResolution" in repr(error) or "gaierror" in type(inner).__name__:
        return "the name of the host cannot be resolved; without a network, `photoindex models import DIR` reads a disk"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection broke off ({inner})"
    return str(inner)
