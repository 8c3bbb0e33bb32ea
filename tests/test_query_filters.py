"""Filters: what the store answers is what a plain reading of every photo's facts gives, on random queries."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photoindex.errors import QueryInvalid
from photoindex.pure.query import parse
from photoindex.pure.query.tree import And, Dates, Field, Near, Node, Not, Number, Or, Phrase, Text, Word
from photoindex.pure.query.values import interval
from photoindex.records import Analysed, Face, FoundFile, Metadata, Outcome, Place, Problem, Tag, TextLine
from photoindex.scan.documents import write_due_documents
from photoindex.search.filtering import Filtering
from photoindex.store import vectors as vectors_module
from photoindex.store.filters import finding
from photoindex.store.library import Library

WORDS = ("dog", "cat", "receipt", "no parking", "beach", "tree", "taxi")
CAMERAS = (
    ("NIKON CORPORATION", "NIKON D90"),
    ("Apple", "iPhone 12"),
    ("Canon", "Canon EOS 5D"),
    (None, None),
    ("Ricoh", None),
)
PLACES = (
    *(Place("Neuilly", "Paris", "Île-de-France", "France", "FR"), Place("Berlin", None, "Berlin", "Germany", "DE")),
    *(Place("New York", None, "New York", "United States", "US"), Place("Delhi", None, None, "India", "IN")),
)
CATEGORIES = {"pets": ["dog", "Cat"], "people": ["person"], "nothing": []}


@dataclass(frozen=True)
class Facts:
    """Everything that a filter may ask about a photo, as the test put it into the library."""

    photo_id: int
    files: tuple[tuple[str, bool], ...]  # path, missing
    metadata: Metadata | None
    place: Place | None
    ocr: tuple[str, ...]
    tags: tuple[str, ...]
    faces: int | None
    failed: bool

    def text(self) -> str:
        """Words of one field stand together, fields apart."""
        m = self.metadata
        words = [*(x for x in (m.title, m.camera_make, m.camera_model, m.lens) if x)] if m else []
        groups = [self.ocr, self.tags, words, [m.description] if m and m.description else []]
        names = [" ".join(Path(path).parts[-3:]) for path, _ in self.files]
        place = (
            [x for x in (self.place.city, self.place.metropolis, self.place.region, self.place.country) if x]
            if self.place
            else []
        )
        return " | ".join(" ".join(group) for group in (*groups, place, names))


def random_photo(rng: random.Random, number: int) -> tuple[Analysed, Facts]:
    name = rng.choice(("IMG_{}.jpg", "Screenshot_{}.png", "Kölner Dom {}.jpg", "beach {}.webp")).format(number)
    path = f"/p/{rng.choice(('2022', '2023/Trip'))}/{name}"
    metadata = random_metadata(rng) if rng.random() < 0.9 else None
    place = rng.choice(PLACES) if rng.random() < 0.5 else None
    ocr = tuple(rng.sample(WORDS, rng.randrange(3)))
    tags = tuple(rng.sample(("dog", "Cat", "traffic light", "tree", "person"), rng.randrange(4)))
    faces = rng.choice((None, 0, 0, 1, 2, 5))
    failed = rng.random() < 0.1
    outcomes = [Outcome("ocr", 1, "done", tuple(TextLine(text, 0.9, (0.0,) * 8) for text in ocr))]
    outcomes += [Outcome("tags", 1, "done", tuple(Tag(tag, 0.9) for tag in tags))]
    outcomes += [Outcome("metadata", 1, "done", metadata)] if metadata else []
    outcomes += [Outcome("place", 1, "done", place)] if place else []
    face = Face((0.0, 0.0, 0.1, 0.1), (0.0,) * 10, 0.9)
    outcomes += [Outcome("faces", 1, "done", (face,) * faces)] if faces is not None else []
    outcomes += [Outcome("hash", 1, "failed", problem=Problem("x", "y"))] if failed else []
    analysed = Analysed(FoundFile(path, "/p", 1, 1, 1, number), f"{number:04x}" + "ab" * 30, tuple(outcomes))
    return analysed, Facts(analysed.photo_id, ((path, False),), metadata, place, ocr, tags, faces, failed)


def random_metadata(rng: random.Random) -> Metadata:
    make, model = rng.choice(CAMERAS)
    maybe: Callable[[Any], Any] = lambda value: value if rng.random() < 0.7 else None  # noqa: E731
    width, height = rng.choice(((4000, 3000), (3000, 4000), (1080, 2400), (500, 500), (2400, 1080)))
    taken = datetime(rng.randrange(2020, 2025), rng.randrange(1, 13), rng.randrange(1, 29), rng.randrange(24))
    return Metadata(
        format=rng.choice(("JPEG", "PNG", "NEF", "HEIF")),
        width=width,
        height=height,
        orientation=rng.choice((1, 6)),
        taken_at=maybe(taken),
        taken_source=rng.choice((None, "exif_original", "file_time")),
        camera_make=make,
        camera_model=model,
        lens=maybe("EF 50mm f/1.8"),
        iso=maybe(rng.choice((100, 400, 1600, 3200))),
        f_number=maybe(rng.choice((1.8, 2.8, 2.8000001, 8.0))),
        focal_mm=maybe(rng.choice((24.0, 50.0, 49.7))),
        latitude=rng.choice((48.85, 48.9, 52.5)) if make else None,
        longitude=rng.choice((2.35, 13.4)) if make else None,
        rating=maybe(rng.randrange(6)),
        title=maybe(rng.choice(("Sunset harbour", "Wedding"))),
        description=maybe("over the harbours"),
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, list[Facts]]:
    folder = tmp_path_factory.mktemp("filters") / "library"
    rng = random.Random(7)
    made = [random_photo(rng, number) for number in range(120)]
    with Library.writing(folder) as library:
        library.catalog.set_categories(CATEGORIES)
        library.save([analysed for analysed, _ in made])
        copy, gone = made[3][0].file, made[5][0].file
        again = FoundFile("/p/Copy.JPG", "/p", 1, 1, 1, 9999)
        library.catalog.place_files([(again, made[3][1].photo_id)], [])
        library.catalog.mark_missing([gone.path])
        write_due_documents(library)
    facts = [f for _, f in made]
    facts[3] = Facts(facts[3].photo_id, ((copy.path, False), ("/p/Copy.JPG", False)), *_rest(facts[3]))
    facts[5] = Facts(facts[5].photo_id, ((gone.path, True),), *_rest(facts[5]))
    return Library.open(folder), facts


def _rest(facts: Facts) -> tuple[Any, ...]:
    return facts.metadata, facts.place, facts.ocr, facts.tags, facts.faces, facts.failed


# --- the plain reading ----------------------------------------------------------------------------------------------

NUMBERS: dict[str, Callable[[Metadata], Any]] = {
    "iso": lambda m: m.iso,
    "f": lambda m: m.f_number,
    "mm": lambda m: m.focal_mm,
    "width": lambda m: m.width,
    "height": lambda m: m.height,
    "mp": lambda m: m.width * m.height / 1e6,
    "rating": lambda m: m.rating,
    "orientation": lambda m: m.orientation,
    "year": lambda m: m.taken_at and m.taken_at.year,
    "month": lambda m: m.taken_at and m.taken_at.month,
}


def plain(text: str) -> str:
    """Lower case without accents and plural, words parted by single spaces."""
    accents = str.maketrans("öÎî", "oii")
    words = "".join(char if char.isalnum() else " " for char in text.lower().translate(accents)).split()
    return " ".join(word.removesuffix("s") if word.isalpha() and len(word) > 3 else word for word in words)


def holds(text: str, words: str, in_order: bool) -> bool:
    fields = [f" {plain(field)} " for field in text.split("|")]
    if in_order:
        return any(f" {plain(words)} " in field for field in fields)
    return set(plain(words).split()) <= set(" ".join(fields).split())


def fulfils(node: Node, facts: Facts) -> bool:
    match node:
        case And(parts):
            return all(fulfils(part, facts) for part in parts)
        case Or(parts):
            return any(fulfils(part, facts) for part in parts)
        case Not(part):
            return not fulfils(part, facts)
        case Word(text):
            return holds(facts.text(), text, in_order=False)
        case Phrase(text):
            return holds(facts.text(), text, in_order=True)
        case Field(name, Number() as value):
            number = facts.faces if name == "faces" else NUMBERS[name](facts.metadata) if facts.metadata else None
            return number is not None and compares(name, float(number), value)
        case Field(name, Dates() as value):
            first, last = interval(name, value)
            taken = facts.metadata and facts.metadata.taken_at
            return bool(taken and (first is None or taken >= first) and (last is None or taken < last))
        case Field(_, Near() as value):
            return is_near(facts.metadata, value)
        case Field(name, Text(text, glob)):
            return fits(name, text, glob, facts)
    raise AssertionError(node)


def compares(name: str, number: float, value: Number) -> bool:
    low, high = float(value.low), float(value.high or 0)
    if value.operator == "..":
        return (number >= low or number <= high) if name == "month" and low > high else low <= number <= high
    half = 0.5 * 10 ** int(value.low.as_tuple().exponent)
    checks = {"<": number < low, "<=": number <= low, ">": number > low, ">=": number >= low}
    return checks.get(value.operator, low - half <= number < low + half)


def is_near(metadata: Metadata | None, value: Near) -> bool:
    if metadata is None or metadata.latitude is None or metadata.longitude is None:
        return False
    a, b = math.radians(metadata.latitude), math.radians(float(value.latitude))
    turn = math.radians(metadata.longitude - float(value.longitude))
    cosine = math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(turn)
    return math.acos(min(1.0, cosine)) * 6371 <= float(value.km)


def fits(name: str, text: str, glob: bool, facts: Facts) -> bool:
    m, place, paths = facts.metadata, facts.place, [path.lower() for path, _ in facts.files]
    names = paths if name == "path" else [path.rpartition("/")[2] for path in paths]
    tags = [plain(tag) for tag in facts.tags]
    if glob:
        return any(Path(n.replace("/", "_")).match(text.lower().replace("/", "_")) for n in names)
    match name:
        case "path" | "name":
            return any(text.lower() in n for n in names)
        case "tag":
            return plain(text) in tags
        case "category":
            return any(plain(tag) in tags for tag in CATEGORIES.get(text, ()))
        case "camera":
            return m is not None and plain(text) in plain(f"{m.camera_make or ''} {m.camera_model or ''}")
        case "lens":
            return bool(m and m.lens and plain(text) in plain(m.lens))
        case "place" if place:
            known = [x for x in (place.city, place.metropolis, place.region, place.country) if x]
            return (
                any(f" {plain(text)} " in f" {plain(x)} " for x in known) or place.country_code.lower() == text.lower()
            )
        case "text":
            return f" {plain(text)} " in f" {plain(' '.join(facts.ocr))} "
        case "caption":
            return bool(m) and f" {plain(text)} " in f" {plain(f'{m.title or str()} {m.description or str()}')} "
        case "format":
            return m is not None and m.format in {"jpg": ("JPEG",), "raw": ("NEF",), "heic": ("HEIF",)}.get(
                text, (text.upper(),)
            )
        case "has":
            return has(text, facts)
        case "is":
            return is_so(text, facts)
    return False


def has(what: str, facts: Facts) -> bool:
    m = facts.metadata
    return {
        "faces": bool(facts.faces),
        "text": bool(facts.ocr),
        "gps": bool(m and m.latitude is not None),
        "people": bool(facts.faces) or "person" in facts.tags,
        "tags": bool(facts.tags),
        "date": bool(m and m.taken_at and m.taken_source != "file_time"),
        "camera": bool(m and (m.camera_make or m.camera_model)),
        "rating": bool(m and m.rating is not None),
    }[what]


def is_so(what: str, facts: Facts) -> bool:
    m = facts.metadata
    width, height = (m.width, m.height) if m else (0, 0)
    camera = m and (m.camera_make or m.camera_model or m.lens or m.iso or m.f_number or m.focal_mm)
    on_screen = m and m.format == "PNG" and sorted((width, height)) == [1080, 2400]
    return bool(
        {
            "missing": all(missing for _, missing in facts.files),
            "failed": facts.failed,
            "duplicate": sum(not missing for _, missing in facts.files) > 1,
            "screenshot": not camera and (on_screen or any("Screenshot" in path for path, _ in facts.files)),
            "portrait": height > width,
            "landscape": width > height,
            "square": width == height and m is not None,
        }[what]
    )


# --- the comparison -------------------------------------------------------------------------------------------------


def found(filled: tuple[Library, list[Facts]], node: Node, typed: str = "") -> set[int]:
    library, _ = filled
    with finding(library.catalog.file) as finder:
        chosen = finder.select(Filtering(library, finder, typed, lambda _: None).condition(node))
    assert len(chosen) == len(set(chosen))
    return set(chosen)


@pytest.mark.parametrize("few", [0, 2_000])
@pytest.mark.parametrize("query", ["-tag:dog", "tag:dog", "year:>1900", "-name:nowhere", "iso:>9999"])
def test_texts_are_found_among_the_chosen_however_many_these_are(
    filled: tuple[Library, list[Facts]], monkeypatch: pytest.MonkeyPatch, query: str, few: int
) -> None:
    """By their ids in the question, or by reading the list deeper."""
    library, _ = filled
    monkeypatch.setattr(vectors_module, "FEW", few)
    with finding(library.catalog.file) as finder:
        chosen = finder.select(Filtering(library, finder, query, lambda _: None).condition(parse(query)))
    whole = library.vectors.holding([["jpg"]], 1000, every=True)
    expected = [row for row in whole if row[0] in chosen]
    for limit in (1, 7, 1000):
        found = library.vectors.holding([["jpg"]], limit, every=True, among=chosen)
        assert len(found) == min(limit, len(expected))
        assert {row[0] for row in found} <= {row[0] for row in expected}
        if not few:  # Lance weighs words by the photos that a filter leaves, but the same for all of these
            assert [row[1] for row in found] == [row[1] for row in expected[:limit]]
        assert all(not text for _, _, text in library.vectors.holding([["jpg"]], limit, every=True, texts=0))


def expected(filled: tuple[Library, list[Facts]], node: Node) -> set[int]:
    return {facts.photo_id for facts in filled[1] if fulfils(node, facts)}


QUERIES = [
    *(
        "tag:dog",
        "tag:dogs",
        "tag:CAT",
        'tag:"traffic light"',
        "tag:unheard",
        "-tag:dog",
        "category:pets",
        "category:nothing",
    ),
    *("camera:nikon", 'camera:"nikon d90"', "camera:canon", "camera:ricoh", "camera:nikn", "lens:50mm", "-lens:50mm"),
    *("date:2022", "date:2021-05..2022-03", "after:2023", "before:2021-06", "date:>2022", "date:<=2021", "-date:2022"),
    *("year:2021..2022", "year:>2022", "month:5", "month:11..2", "month:jan", "-month:11..2"),
    *("place:paris", "place:york", 'place:"ile de france"', "place:FR", "place:de", "place:del", "-place:germany"),
    *("near:48.85,2.35~10km", "near:52.5,13.4~500m", "near:48.87,2.35~3mi", "-near:48.85,2.35~10km", "near:0,0"),
    *("near:0,0~30000km", "-near:0,0~30000km"),
    *(
        "iso:>1600",
        "iso:400",
        "iso:..400",
        "f:2.8",
        "f:<2.8",
        "f:2.800",
        "mm:50",
        "mm:50.0",
        "mm:24..49.7",
        "rating:>=4",
    ),
    *(
        "width:>3000",
        "height:2400",
        "mp:>2.5",
        "mp:12",
        "orientation:6",
        "faces:>1",
        "faces:0",
        "-faces:>1",
        "rating:0",
    ),
    *("format:jpg", "format:raw", "format:png", "format:heic", "-format:raw"),
    *(
        "path:trip",
        "path:2023/trip",
        "path:/p/*.png",
        "name:img_1",
        "name:IMG_*",
        "name:kölner",
        'name:"*"',
        "name:copy.jpg",
    ),
    *(
        "text:receipt",
        'text:"no parking"',
        'text:"parking no"',
        "text:receipts",
        "caption:harbour",
        "caption:wedding",
        "-text:dog",
    ),
    *(f"has:{what}" for what in ("faces", "text", "gps", "people", "tags", "date", "camera", "rating")),
    *(f"is:{what}" for what in ("missing", "failed", "duplicate", "screenshot", "portrait", "landscape", "square")),
    *(
        "-beach",
        '-"no parking"',
        "-(dog cat)",
        "-(dog OR cat)",
        "dog OR tag:tree",
        "(tag:dog OR text:receipt) -camera:nikon",
    ),
    *(
        '"no parking"',
        '"2023 trip"',
        "-nikon",
        "NOT harbour",
        "-trip",
        "-(-beach tag:dog)",
        "tag:dog (iso:>100 OR -has:gps)",
    ),
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_filter_gives_what_a_plain_reading_gives(filled: tuple[Library, list[Facts]], query: str) -> None:
    node = parse(query)
    assert found(filled, node, query) == expected(filled, node)


def test_the_queries_above_divide_the_photos(filled: tuple[Library, list[Facts]]) -> None:
    """A test of the test: nearly all of them find some photos and leave some out."""
    sizes = [len(expected(filled, parse(query))) for query in QUERIES]
    assert sum(0 < size < len(filled[1]) for size in sizes) > 0.9 * len(QUERIES)


nodes = st.recursive(
    st.sampled_from(QUERIES).map(parse) | st.sampled_from(("dog", "beach", "nikon")).map(Word),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=6,
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(node=nodes)
def test_any_combination_gives_what_a_plain_reading_gives(filled: tuple[Library, list[Facts]], node: Node) -> None:
    assert found(filled, node) == expected(filled, node)


@pytest.mark.parametrize(
    "nasty", ["'; DROP TABLE photos; --", '") OR true --', "%", "_", "\\", "a\0b", "\udcff x", "$$x", "?"]
)
@pytest.mark.parametrize("field", ["tag", "category", "camera", "lens", "place", "path", "name", "text", "caption", ""])
def test_nothing_typed_reaches_sql_or_the_full_text_engine(
    filled: tuple[Library, list[Facts]], field: str, nasty: str
) -> None:
    node = Field(field, Text(nasty)) if field else Not(Phrase(nasty))
    chosen = found(filled, node)
    assert len(chosen) in ((0, 120) if field in ("path", "name") else (0,) if field else (120,)) or nasty in (
        "_",
        "\\",
        "%",
        "?",
    )
    assert len(found(filled, Field("year", Number(">", Decimal(1900))))) > 50


def test_a_value_that_no_photo_has_is_told_with_what_was_meant(filled: tuple[Library, list[Facts]]) -> None:
    said: list[str] = []
    with finding(filled[0].catalog.file) as finder:
        for query in ("camera:nikn", "tag:dgo", "place:berlim", "category:pats", "lens:sigma", "camera:nikon"):
            Filtering(filled[0], finder, query, said.append).condition(parse(query))
    assert [line.partition("library.")[2].strip() for line in said] == [
        'Did you mean camera:"NIKON D90"?',
        "Did you mean tag:dog?",
        "Did you mean place:Berlin?",
        "Did you mean category:pets?",
        "There are: EF 50mm f/1.8.",
    ]


@pytest.mark.parametrize(("query", "what"), [("dog in:holiday", "collections"), ("-person:Anna", "people")])
def test_people_and_collections_do_not_exist_yet(filled: tuple[Library, list[Facts]], query: str, what: str) -> None:
    with finding(filled[0].catalog.file) as finder:
        filtering = Filtering(filled[0], finder, query, lambda _: None)
        with pytest.raises(QueryInvalid, match=f"no {what} in this library yet") as caught:
            filtering.condition(parse(query))
    assert query[slice(*caught.value.at)] in ("in:holiday", "person:Anna")
