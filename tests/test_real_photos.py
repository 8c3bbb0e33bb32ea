"""The main job on several hundred real photos, where they lie beside the checkout: what is found, what fails, why."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from photoindex.pure.fold import document, tokens

PHOTOS = Path(__file__).parents[2] / "shared" / "photos"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PHOTOS.is_dir(), reason="the real photos are not beside this checkout"),
]
# What a person who knows the query language would type for each of the questions about dates, cameras and positions.
QUERIES = {
    "photos taken in October 2023": "date:2023-10",
    "photos from 2004": "year:2004",
    "photos taken before the year 2000": "before:2000",
    "photos taken with an iPhone": "camera:iphone",
    "photos taken with a Pixel 6 Pro": 'camera:"pixel 6 pro"',
    "Canon PowerShot photos": 'camera:"canon powershot"',
    "photos taken by a FujiFilm camera": "camera:fujifilm",
    "photos taken in Paris": "place:paris",
    "photos taken in Iceland": "place:iceland",
    "photos taken in Berlin": "near:52.52,13.40~30km",
    "photos taken in Japan": "place:JP",
    "photos taken in Italy": "place:italy",
    "photos taken in Fiji": "place:fiji",
    "photos with a location": "has:gps",
    "pictures with EXIF orientation 6": "orientation:6",
}


class Scanned:
    """The library of all the photos, asked through the command line."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "photoindex", *arguments]
        environment = {**os.environ, "PHOTOINDEX_HOME": str(self.home)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def json(self, *arguments: str) -> list[dict[str, object]]:
        done = self(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = json.loads(done.stdout)
        return found


def below(path: object) -> str:
    return Path(str(path)).relative_to(PHOTOS.resolve()).as_posix()


@pytest.fixture(scope="module")
def first_s() -> dict[str, float]:
    return {}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory, first_s: dict[str, float]) -> Scanned:
    run = Scanned(tmp_path_factory.mktemp("home"))
    started = time.monotonic()
    done = run("scan", str(PHOTOS.resolve()))
    first_s["first"] = time.monotonic() - started
    assert done.returncode == 1, done.stderr
    return run


def read(name: str) -> list[dict[str, str]]:
    with open(PHOTOS / name, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def recall(rows: list[dict[str, str]], scanned: Scanned, queries: dict[str, str] | None = None) -> float:
    """The mean share of the relevant photos that the first five hits hold (of five at most)."""
    content = {row["path"]: row["sha256"] for row in read("manifest.csv")}  # a photo is listed once, copies or not
    shares = []
    for row in rows:
        relevant = {content[name] for name in row["relevant_files"].split(";")}
        ignored = {content[name] for name in row["also_acceptable"].split(";") if name} - relevant
        query = queries[row["query"]] if queries else row["query"]
        hits = scanned.json("search", query, "--limit", "100", "--mode", "keyword")
        first = [str(hit["photo"]) for hit in hits if hit["photo"] not in ignored][:5]
        share = len(relevant & set(first)) / min(5, len(relevant))
        print(f"{share:.2f}  {row['query']}")
        shares.append(share)
    return sum(shares) / len(shares)


def test_every_readable_picture_is_analysed_and_every_other_is_a_failure_with_a_reason(scanned: Scanned) -> None:
    failures = {below(f["path"]): f for f in scanned.json("failures")}
    assert all(len(str(f["message"])) > 20 and f["code"] != "crashed" for f in failures.values())
    # These two raw files hold no image data: the rest of them was cut off where they were published.
    assert {name for name in failures if not name.startswith("bad/")} == {"raw/r003.cr3", "raw/r005.nef"}
    status = json.loads(scanned("status", "--format", "json").stdout)
    assert status["states"].keys() <= {"completed", "partial", "failed"}
    assert status["steps"]["metadata"]["done"] + len(failures) >= status["photos"]
    cut = [name for name, f in failures.items() if f["code"] == "cut_short"]  # what is left of them has no hash
    told = {step: counts["failed"] for step, counts in status["steps"].items() if "failed" in counts}
    assert told == ({"hash": len(cut)} if cut else {})


def test_a_second_scan_takes_less_than_a_tenth_of_the_first(scanned: Scanned, first_s: dict[str, float]) -> None:
    started = time.monotonic()
    report = json.loads(scanned("scan", str(PHOTOS.resolve()), "--format", "json").stdout)
    second = time.monotonic() - started
    print(f"first {first_s['first']:.1f} s, second {second:.1f} s")
    assert report["unchanged"] == report["found"]
    assert report["analysed"] == 0
    assert second < first_s["first"] / 10


def test_text_in_pictures_is_found(scanned: Scanned) -> None:
    rows = [row for row in read("queries.csv") if row["type"] == "ocr" and row["relevant_files"]]
    assert recall(rows, scanned) >= 0.85


def test_real_queries_find_the_photos_that_show_their_words(scanned: Scanned) -> None:
    """Without what a search does of its own: counting the words of a question that a photo shows is enough."""
    lines: dict[str, list[str]] = defaultdict(list)
    for row in scanned.json("sql", "SELECT path, text FROM files JOIN texts USING (photo) ORDER BY path, line"):
        lines[below(row["path"])].append(str(row["text"]))
    said = {name: set(document("\n".join(texts)).split()) for name, texts in lines.items()}
    rows = [row for row in read("queries.csv") if row["type"] == "ocr" and row["relevant_files"]]
    recalls = {row["query"]: recall_by_words(row, said) for row in rows}
    assert sum(recalls.values()) / len(recalls) >= 0.85, [query for query, share in recalls.items() if share < 1]


def recall_by_words(row: Mapping[str, str], said: Mapping[str, set[str]]) -> float:
    """The share of the wanted photos among the first five by the number of the query's words they show."""
    wanted, neither = set(row["relevant_files"].split(";")), set(row["also_acceptable"].split(";"))
    words = tokens(row["query"])
    met = {name: sum(word in shown for word in words) for name, shown in said.items() if name not in neither}
    first = [name for name in sorted(met, key=lambda name: (-met[name], name)) if met[name]][:5]
    return len(wanted.intersection(first)) / min(5, len(wanted))


def test_dates_cameras_and_places_are_found_with_a_query_in_the_language(scanned: Scanned) -> None:
    rows = [row for row in read("queries.csv") if row["type"] == "metadata"]
    assert recall(rows, scanned, QUERIES) >= 0.95


@pytest.mark.parametrize("threshold", [8, 31])
def test_copies_are_grouped_and_lookalikes_are_not(scanned: Scanned, threshold: int) -> None:
    groups = scanned.json("dupes", "--threshold", str(threshold))
    together = defaultdict(set)
    for number, group in enumerate(groups):
        for member in group["members"]:  # type: ignore[attr-defined]
            together[below(member["path"])].add(number)
    missed, wrong = [], []
    rows = read("dupes/truth.csv")
    listed = {row["file"] for row in rows if row["pdq_hash"]}
    for row in rows:
        shared = together[row["file"]] & together[row["original_file"]]
        within = row["original_file"] in listed and int(row["pdq_distance_to_original"]) <= threshold
        if row["expectation"] == "must" and (row["relation"] == "exact" or within) and not shared:
            missed.append((row["file"], row["original_file"], row["pdq_distance_to_original"]))
        if row["expectation"].startswith("must_not") and shared:
            wrong.append((row["file"], row["original_file"]))
    print(f"threshold {threshold}: {len(groups)} groups, missed {missed}, wrong {wrong}")
    assert not missed
    assert not wrong
