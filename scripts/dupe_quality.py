"""How well duplicates are found on labelled pictures, beside other methods: used by bench_dupes.py and a slow test.

A method is a list of groups of file names. A copy counts as found where it shares a group with its original; a pair
of files in one group is wrong where the labels, or a person who looked, say that they are two pictures.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from photoindex.dupes import DupeOptions, dupes
from photoindex.pure.grouping import connected_groups
from photoindex.pure.hamming import pairs_within
from photoindex.pure.tiers import DUPLICATES, TIERS
from photoindex.records import Group
from photoindex.store.library import Library

Row = dict[str, str]
Groups = Sequence[frozenset[str]]
# Not in the labels, judged by eye: a portrait and its mirror image.
ALSO_ONE_PICTURE = (frozenset({"faces/f019.jpg", "faces/f020.jpg"}),)
_IMAGEDEDUP = """
import json, sys
from imagededup.methods import PHash
found = PHash(verbose=False).find_duplicates(image_dir=sys.argv[1], recursive=True, max_distance_threshold=10)
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Truth:
    rows: list[Row]
    original: dict[str, str]  # of each labelled group

    @classmethod
    def read(cls, photos: Path) -> Truth:
        with open(photos / "dupes" / "truth.csv", encoding="utf-8", newline="") as stream:
            rows = [*csv.DictReader(stream)]
        return cls(rows, {row["group"]: row["file"] for row in rows if row["expectation"] == "group"})

    def copies(self, wanted: Callable[[Row], bool]) -> list[tuple[str, str]]:
        """Original and copy of the rows that are wanted."""
        rows = [row for row in self.rows if row["expectation"] in ("must", "should", "optional") and wanted(row)]
        return [(self.original[row["group"]], row["file"]) for row in rows]

    def look_alikes(self) -> set[frozenset[str]]:
        """Pairs that must not be called duplicates."""
        rows = [row for row in self.rows if row["expectation"].startswith("must_not")]
        pairs = combinations(rows, 2)
        return {frozenset({a["file"], b["file"]}) for a, b in pairs if a["group"] == b["group"]}

    def one_picture(self, a: str, b: str) -> bool:
        families = [
            {row["original_file"] or row["group"] for row in self.rows if row["file"] == name} for name in (a, b)
        ]
        return bool(families[0] & families[1]) or frozenset({a, b}) in ALSO_ONE_PICTURE


def scan(photos: Path, folder: Path) -> Library:
    """A new library of the pictures, with the steps that duplicates need."""
    command = [sys.executable, "-m", "photoindex", "scan", str(photos), "--library", str(folder)]
    subprocess.run([*command, "--steps", "metadata,thumbnail,hash"], check=False, capture_output=True)  # 1: bad files
    return Library.open(folder)


def ours(library: Library) -> list[Group]:
    return dupes(library, DupeOptions(tiers=TIERS))


def names_of(groups: Iterable[Group], photos: Path, tiers: Sequence[str] = DUPLICATES) -> Groups:
    chosen = (group for group in groups if group.tier in tiers)
    return [frozenset(_name(member.photo.path, photos) for member in group.members) for group in chosen]


def plain_pdq(library: Library, photos: Path, threshold: int = 31) -> Groups:
    """What PDQ alone gives: groups connected by distances within the threshold, of quality 50 and more."""
    facts = [one for one in library.likeness.facts() if one.quality >= 50]
    files: dict[int, list[str]] = {}
    for row in library.queries.file_rows():
        files.setdefault(row.photo_id, []).append(_name(row.path, photos))
    hashes = np.frombuffer(b"".join(one.pdq for one in facts), np.uint8).reshape(-1, 32)
    groups = connected_groups(len(facts), pairs_within(hashes, threshold)[0])
    near = [frozenset(name for k in group for name in files[facts[k].photo_id]) for group in groups]
    return [*near, *(frozenset(names) for names in files.values() if len(names) > 1)]


def imagededup_phash(python: str, photos: Path) -> Groups:
    """imagededup's pHash at its default distance of 10, by an interpreter that has it."""
    ran = subprocess.run([python, "-c", _IMAGEDEDUP, str(photos)], check=True, capture_output=True, text=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    names = sorted(found)
    place = {name: at for at, name in enumerate(names)}
    pairs = [(place[a], place[b]) for a, others in found.items() for b in others if b in place]
    groups = connected_groups(len(names), np.array(pairs, np.int64).reshape(-1, 2))
    return [frozenset(_name(names[k], photos) for k in group) for group in groups]


def found(groups: Groups, pairs: Sequence[tuple[str, str]]) -> int:
    return sum(any(a in group and b in group for group in groups) for a, b in pairs)


def precision(groups: Groups, truth: Truth) -> tuple[int, int]:
    """Pairs of one picture, and all pairs, in groups; files broken on purpose are left out."""
    pairs = [pair for group in groups for pair in combinations(sorted(n for n in group if n[:9] != "bad/made/"), 2)]
    return sum(truth.one_picture(*pair) for pair in pairs), len(pairs)


def print_table(methods: dict[str, Groups], truth: Truth) -> None:
    """A row for each transformation, then the sums."""
    kinds = list(dict.fromkeys(row["transformation"] for row in truth.rows if row["group"].startswith("grp")))[1:]
    lines = [(kind, lambda row, kind=kind: row["transformation"] == kind) for kind in kinds]
    lines += [
        ("mirrored and turned, all", lambda row: row["relation"] in ("mirrored", "rotated")),
        ("natural copies", lambda row: row["group"].startswith("nat_")),
        ("must", lambda row: row["expectation"] == "must"),
        ("should", lambda row: row["expectation"] == "should"),
        ("optional", lambda row: row["expectation"] == "optional"),
    ]
    print("| |", " | ".join(methods), "|\n|---" + "|---" * len(methods) + "|")
    for name, wanted in lines:
        pairs = truth.copies(wanted)
        print(f"| {name} ({len(pairs)}) |", " | ".join(str(found(groups, pairs)) for groups in methods.values()), "|")
    shares = [precision(groups, truth) for groups in methods.values()]
    print("| pairs in groups that are one picture |", " | ".join(f"{right} of {of}" for right, of in shares), "|")


def _name(path: str, photos: Path) -> str:
    return Path(path).relative_to(photos).as_posix() if Path(path).is_absolute() else path
