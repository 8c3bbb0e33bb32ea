"""Feed what strangers write to our own parsers until one fails in a way it should not.

    python scripts/fuzz.py query --seconds 60 [--corpus DIR]    # or xmp, exif, png, ...; needs `uv sync --group fuzz`
    python scripts/fuzz.py headers --seconds 60 --corpus DIR --seeds FOLDER   # begins with the files of a folder

Without --seeds `models` begins with the blocks of our own models.toml: few random bytes are TOML. A target may raise
only what its callers expect. What breaks one is written to `crash-*` in the current folder.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["photoindex"]):
    from photoindex.dupes.deciding import read_decision
    from photoindex.errors import PhotoindexError
    from photoindex.evaluate import read_questions
    from photoindex.media.dates import ImpossibleDate, date_in_name, parse_date
    from photoindex.media.exif import Exif, camera_facts, exif_dates, read_exif, words
    from photoindex.media.formats import sniff
    from photoindex.media.gps import place_of
    from photoindex.media.jxl import boxes, jxl_size
    from photoindex.media.movie import read_movie
    from photoindex.media.png import png_metadata, without_bombs
    from photoindex.media.raw import RawPicture, canon_directories, may_be_raw
    from photoindex.media.text import clean, utf16
    from photoindex.media.xmp import parse_xmp, xmp_camera, xmp_degrees, xmp_words
    from photoindex.models.registry import load_registry
    from photoindex.pure.plans import parse_plan, parse_rows
    from photoindex.pure.query.parser import parse
    from photoindex.pure.query.plan import split
    from photoindex.pure.sizes import parse_size
    from photoindex.saved import _read_rows

NOW = datetime(2030, 1, 1)
_LONGEST = 4096
SCRATCH = Path(tempfile.mkdtemp(prefix="fuzz-"))


def query(data: bytes) -> None:
    """What is parsed is written so that it is parsed to the same again."""
    text = data.decode("utf-8", "replace")
    tree = parse(text)
    assert parse(str(tree)) == tree, (text, str(tree))
    split(tree)


def xmp(data: bytes) -> None:
    found = parse_xmp(data, [])
    xmp_words(found)
    xmp_camera(found)
    for values in found.values():
        xmp_degrees(values[0])


class _Opened:
    def __init__(self, block: bytes) -> None:
        self.block = block

    def exif(self) -> Any:
        from PIL import Image

        found = Image.Exif()
        found.load(self.block)
        return found


def exif(data: bytes) -> None:
    warnings: list[str] = []
    facts = read_exif(_Opened(data), data, warnings)  # type: ignore[arg-type]
    _facts(facts, warnings)


def _facts(facts: Exif, warnings: list[str]) -> None:
    camera_facts(facts)
    words(facts)
    exif_dates(facts, NOW, warnings)
    place_of(facts.gps, warnings)


def values(data: bytes) -> None:
    """EXIF values of every kind in every place, which few random bytes would reach."""
    provider = atheris.FuzzedDataProvider(data)
    kinds: list[Callable[[], Any]] = [
        lambda: provider.ConsumeUnicode(30),
        lambda: provider.ConsumeBytes(30),
        lambda: provider.ConsumeInt(8),
        provider.ConsumeFloat,
        lambda: tuple(provider.ConsumeFloat() for _ in range(provider.ConsumeIntInRange(0, 4))),
        lambda: None,
    ]
    tags = [0x010F, 0x0110, 0x8827, 0xA434, 0x829D, 0x9202, 0x829A, 0x9201, 0x920A, 0x010E, 0x4746, 0x9C9B, 0x9C9E]
    tags += [0x9286, 0x9003, 0x9004, 0x0132, 0x9291, 0x9011, 1, 2, 3, 4, 5, 6, 7, 29]

    def directory() -> dict[int, Any]:
        count = provider.ConsumeIntInRange(0, 8)
        return {tags[provider.ConsumeIntInRange(0, len(tags) - 1)]: _one(provider, kinds) for _ in range(count)}

    _facts(Exif(directory(), directory(), directory()), [])


def _one(provider: Any, kinds: list[Callable[[], Any]]) -> Any:
    return kinds[provider.ConsumeIntInRange(0, len(kinds) - 1)]()


def headers(data: bytes) -> None:
    """All that looks at the bytes of a picture before a decoder does."""
    kind = sniff(data)
    may_be_raw(data, kind, ".x")
    png_metadata(data)
    without_bombs(data)
    jxl_size(data)
    canon_directories(data)
    list(boxes(data))
    RawPicture.xmp(type("Raw", (), {"_data": data})())  # type: ignore[arg-type]


def movie(data: bytes) -> None:
    (SCRATCH / "film.mov").write_bytes(data)
    read_movie(str(SCRATCH / "film.mov"))


def texts(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    shown = clean(text) or ""
    assert not set(shown) & set("\x1b\x07\x9b\u202e"), ascii(shown)
    clean(data)
    utf16(data)
    with contextlib.suppress(ImpossibleDate):
        parse_date(text, NOW)
    date_in_name(text, NOW)
    with contextlib.suppress(ValueError):
        parse_size(text, 1 << 40)


def models(data: bytes) -> None:
    (SCRATCH / "models.toml").write_bytes(data)
    load_registry(SCRATCH / "models.toml")


def plan(data: bytes) -> None:
    if (value := _json(data)) is not None:
        parse_plan(value)


def rows(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(csv.Error):
        parse_rows(csv.DictReader(io.StringIO(text)))


def decisions(data: bytes) -> None:
    if (value := _json(data)) is not None:
        read_decision(value, "here")


def collections(data: bytes) -> None:
    if (value := _json(data)) is not None:
        _read_rows(value)


def questions(data: bytes) -> None:
    (SCRATCH / "questions.csv").write_bytes(data)
    read_questions(SCRATCH / "questions.csv")


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


TARGETS = {
    each.__name__: each
    for each in (
        *(query, xmp, exif, values, headers, movie, texts, models, plan, rows, decisions, collections, questions),
    )
}


def first_inputs(target: str, folder: Path | None) -> list[bytes]:
    """What to begin with: the files of a folder, as far as they are read."""
    if folder is not None:
        return [path.read_bytes()[:_LONGEST] for path in sorted(folder.rglob("*")) if path.is_file()]
    if target == "models":
        blocks = re.split(r"(?m)^(?=\[)", (Path(__file__).parents[1] / "models.toml").read_text())
        return [block.encode()[:_LONGEST] for block in blocks]
    return []


def expected_only(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def once(data: bytes) -> None:
        with contextlib.suppress(PhotoindexError):
            target(data)

    return once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=[*TARGETS])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", help="folder with inputs to begin with; new ones are added")
    parser.add_argument("--seeds", type=Path, help="folder with more files to begin with, such as pictures")
    asked = parser.parse_args()
    corpus = Path(asked.corpus or SCRATCH / "corpus")
    corpus.mkdir(parents=True, exist_ok=True)
    for data in first_inputs(asked.target, asked.seeds):
        (corpus / hashlib.sha256(data).hexdigest()).write_bytes(data)
    options = [sys.argv[0], f"-max_total_time={asked.seconds}", f"-max_len={_LONGEST}", "-print_final_stats=1"]
    options.append(str(corpus))
    atheris.Setup(options, expected_only(TARGETS[asked.target]))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
