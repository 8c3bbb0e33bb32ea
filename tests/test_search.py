"""Searching: words, filters, meaning, and why a photo is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from conftest import Shell, install_tiny_clip, shell
from photoindex.conditions import EVERYTHING
from photoindex.records import Analysed, FoundFile, Metadata, Outcome, Place, Problem, Tag, TextLine
from photoindex.scan.documents import write_due_documents
from photoindex.store.filters import finding
from photoindex.store.library import Library


def photo(name: str, **facts: Any) -> Analysed:
    """A photo at /p/NAME with the facts that a test needs; the others are empty."""
    given = {"metadata": Metadata("JPEG", 40, 30), **facts}
    outcomes = tuple(Outcome(step, 1, "done", value) for step, value in given.items())
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return Analysed(FoundFile(f"/p/{name}", "/p", 1, 1, 1, 1), sha256, outcomes)


def lines(*texts: str) -> tuple[TextLine, ...]:
    return tuple(TextLine(text, 0.9, (0.0,) * 8) for text in texts)


def taken(year: int, month: int = 1, camera: str | None = None) -> Metadata:
    return Metadata("JPEG", 40, 30, taken_at=datetime(year, month, 1), camera_make=camera, camera_model="X100")


def save(run: Shell, *photos: Analysed) -> None:
    with Library.writing(run.folder) as library:
        library.save(photos)
        write_due_documents(library)


def names(run: Shell, *arguments: str) -> list[str]:
    """The file names of the hits of a keyword search, best first."""
    hits = run("search", *arguments, "--mode", "keyword", "--format", "json").json
    return [Path(hit["path"]).name for hit in hits]


# --- words ----------------------------------------------------------------------------------------------------------


def test_the_text_in_a_picture_is_found(run: Shell) -> None:
    save(
        run, photo("a.jpg", ocr=lines("PIZZERIA ROMA", "Total 12,50")), photo("b.jpg", ocr=lines("Bahnhof")), photo("c")
    )
    assert names(run, "pizzeria") == ["a.jpg"]
    assert names(run, "12,50") == ["a.jpg"]
    assert names(run, "nothing such") == []


def test_a_file_edited_in_place_is_found_as_it_is_now_and_not_counted_twice(run: Shell) -> None:
    before = photo("a.jpg", ocr=lines("Pizzeria Roma, Total"))
    after = replace(before, sha256="ab" * 32)
    broken = FoundFile("/p/broken.jpg", "/p", 1, 1, 1, 1)
    save(run, before, photo("b.jpg", ocr=lines("Pizzeria")))
    with Library.writing(run.folder) as library:
        library.save([after], [(broken, Problem("corrupt", "It is broken."))])
        write_due_documents(library)
        with finding(library.catalog.file) as finder:
            chosen = finder.select(EVERYTHING)
        assert before.photo_id not in chosen
        assert library.queries.with_files([before.photo_id, after.photo_id, 1]) == {after.photo_id}
    for query in (["pizzeria"], ["pizzeria", "year:..2000 OR -has:date"]):
        assert sorted(names(run, *query)) == ["a.jpg", "b.jpg"]
        assert run("search", *query, "--mode", "keyword", "--count").text.strip() == "2"
    status = run("status", "--format", "json").json
    assert (status["photos"], sum(status["states"].values()), status["steps"]["ocr"]) == (2, 2, {"done": 2})


def test_every_kind_of_text_is_searched(run: Shell) -> None:
    metadata = Metadata("JPEG", 1, 1, title="Sunset", description="over the harbour", keywords=("vacation",))
    save(
        run,
        photo("a.jpg", ocr=lines("receipt")),
        photo("b.jpg", tags=(Tag("traffic light", 0.9),)),
        photo("c.jpg", metadata=metadata),
        photo("d.jpg", place=Place("Neuilly", "Paris", None, "France", "FR")),
        photo("E_portrait.jpg"),
    )
    for query, name in {"receipt": "a", "traffic": "b", "sunset": "c", "harbour": "c", "vacation": "c"}.items():
        assert names(run, query) == [f"{name}.jpg"], query
    assert names(run, "paris") == names(run, "france") == ["d.jpg"]
    assert names(run, "portrait") == ["E_portrait.jpg"]


def test_accents_and_case_do_not_matter(run: Shell) -> None:
    save(run, photo("a.jpg", ocr=lines("Überraschung")), photo("b.jpg"))
    for query in ("ÜBERRASCHUNG", "uberraschung", "U\u0308berraschung"):
        assert names(run, query) == ["a.jpg"], query


@pytest.mark.parametrize("query", ["'", '"a"', "(*)", "-x", "12:30", "http://a", "\\", "%", "a\nb", "🍕", "$1"])
def test_signs_in_a_query_are_no_syntax_of_the_stores(album: Shell, query: str) -> None:
    assert album("search", "--mode", "keyword", "--", query).code == 0


def test_photos_with_all_the_words_come_before_those_with_some(run: Shell) -> None:
    save(
        run,
        photo("some.jpg", ocr=lines("receipt receipt receipt receipt")),
        photo("all.jpg", ocr=lines("a long menu with a pizza among forty other things and a receipt at the end of it")),
        photo("none.jpg", ocr=lines("street")),
    )
    assert names(run, "pizza receipt", "--all") == ["all.jpg", "some.jpg"]
    assert names(run, "pizza receipt") == ["all.jpg"]


def test_limit_and_ranks(run: Shell) -> None:
    save(run, *(photo(f"{n}.jpg", ocr=lines("same")) for n in range(30)))
    assert len(names(run, "same")) == 20
    hits = run("search", "same", "--mode", "keyword", "--limit", "3", "--format", "json").json
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["score"] > hits[2]["score"]


def test_more_good_matches_than_shown_are_counted_and_all_can_be_had(run: Shell) -> None:
    save(run, *(photo(f"{n:02d}.jpg", ocr=lines("same words")) for n in range(30)))
    ran = run("search", "same", "--mode", "keyword", "--format", "paths")
    assert ran.text.count("\n") == 20
    assert "20 of 30 shown; --limit 0 lists all." in ran.err
    everything = run("search", "same", "--mode", "keyword", "--limit", "0", "--format", "paths")
    assert (everything.text.count("\n"), everything.err) == (30, "")


def test_the_good_matches_can_be_sorted_by_date_and_name(run: Shell) -> None:
    years = {"b.jpg": 2021, "C.jpg": 2023, "a.jpg": 2022}
    save(run, *(photo(name, metadata=taken(year), ocr=lines("same")) for name, year in years.items()), photo("d.jpg"))
    assert names(run, "same", "--sort", "date") == ["C.jpg", "a.jpg", "b.jpg"]
    assert names(run, "same", "--sort", "name") == ["a.jpg", "b.jpg", "C.jpg"]
    assert names(run, "same", "--sort", "date", "--limit", "1") == ["C.jpg"]


def test_a_query_about_nothing_here_says_so_and_shows_the_nearest_only_when_asked(run: Shell) -> None:
    save(run, photo("a.jpg", ocr=lines("NO ENTRY", "pass")), photo("b.jpg", ocr=lines("no dogs")))
    ran = run("search", "boarding pass", "--mode", "keyword")
    assert (ran.out, ran.code) == (b"", 0)
    assert "No good match. --all shows what is nearest." in ran.err
    [hit] = run("search", "boarding pass", "--mode", "keyword", "--all", "--format", "json").json
    assert (Path(hit["path"]).name, hit["kept"], hit["match"] < 0.6) == ("a.jpg", False, True)
    assert "no good match" in run("search", "boarding pass", "--mode", "keyword", "--all").text


def test_only_photos_that_match_well_enough_are_shown_where_that_is_asked(run: Shell) -> None:
    save(run, photo("a.jpg", ocr=lines("wurst")), photo("b.jpg", ocr=lines("wurstsalat")))
    assert names(run, "wurst") == ["a.jpg", "b.jpg"]
    assert names(run, "wurst", "--min-score", "0.9") == ["a.jpg"]


def test_weights_say_what_a_list_counts(run: Shell) -> None:
    save(run, photo("x.jpg", ocr=lines("boat")), photo("y.jpg", tags=(Tag("boat", 0.9),), ocr=lines("harbour", "quay")))
    assert names(run, "boat", "--weights", "text=1,tags=5") == ["y.jpg", "x.jpg"]
    assert names(run, "boat", "--weights", "text=0") == ["y.jpg"]
    for wrong in ("text", "text=x", "words=1", "text=-1", "text=nan"):
        assert "--weights" in run("search", "boat", "--weights", wrong, code=2).err


# --- filters --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Four photos of different years, cameras and tags. Tests only ask."""
    with pytest.MonkeyPatch.context() as patch:
        yield _album(shell(tmp_path_factory.mktemp("album") / "home", patch))


def _album(run: Shell) -> Shell:
    save(
        run,
        photo("2021.jpg", metadata=taken(2021, camera="Fuji"), tags=(Tag("cat", 0.9), Tag("grass", 0.5))),
        photo("2022.jpg", metadata=taken(2022, camera="Fuji"), ocr=lines("cat food")),
        photo("2023.jpg", metadata=taken(2023, 5, camera="Nikon"), tags=(Tag("dog", 0.9),)),
        photo("undated.jpg", metadata=Metadata("JPEG", 1, 1, latitude=1.0, longitude=1.0), tags=(Tag("Cat", 0.9),)),
    )
    with Library.writing(run.folder) as library:
        library.catalog.set_categories({"pets": ["cat", "dog"], "plants": ["grass"]})
    return run


FILTERED: Mapping[str, tuple[tuple[str, ...], list[str]]] = {
    "after a year": (("--after", "2022"), ["2023.jpg", "2022.jpg"]),
    "before a year": (("--before", "2022"), ["2021.jpg"]),
    "before is exclusive": (("--before", "2023-05-01"), ["2022.jpg", "2021.jpg"]),
    "after is inclusive": (("--after", "2023-05-01T00:00"), ["2023.jpg"]),
    "part of the camera in any case": (("--camera", "fuji x"), ["2022.jpg", "2021.jpg"]),
    "a tag in any case": (("--tag", "CAT"), ["2021.jpg", "undated.jpg"]),
    "all tags": (("--tag", "cat", "--tag", "grass"), ["2021.jpg"]),
    "a category": (("--category", "Pets"), ["2023.jpg", "2021.jpg", "undated.jpg"]),
    "all categories": (("--category", "pets", "--category", "plants"), ["2021.jpg"]),
    "text": (("--has", "text"), ["2022.jpg"]),
    "a position": (("--has", "gps"), ["undated.jpg"]),
    "tags": (("--has", "tags", "--after", "2023"), ["2023.jpg"]),
    "words as well": (("cat", "--after", "2022"), ["2022.jpg"]),
    "nothing": (("--after", "2030"), []),
}


@pytest.mark.parametrize(("arguments", "found"), FILTERED.values(), ids=FILTERED)
def test_filters_limit_what_is_found_newest_first(album: Shell, arguments: tuple[str, ...], found: list[str]) -> None:
    assert names(album, *arguments) == found


def test_a_search_for_nothing_or_by_a_wrong_date_is_refused(album: Shell) -> None:
    assert "Say what to search" in album("search", code=2).err
    for date in ("yesterday", "2023-13", "01.05.2023", ""):
        ran = album("search", "cat", "--after", date, code=2)
        assert f"--after: {date!r} is no date" in ran.err


# --- why ------------------------------------------------------------------------------------------------------------


def test_explain_says_which_list_which_rank_which_words_and_where(run: Shell) -> None:
    save(
        run,
        photo("pizza.jpg", ocr=lines("RECEIPT", "Total"), tags=(Tag("pizza", 0.9),)),
        photo("other.jpg", ocr=lines("receipt")),
    )
    arguments = ("search", "Pizza receipts", "--mode", "keyword", "--explain", "--all")
    first, second = run(*arguments, "--format", "json").json
    text, tags = first["reasons"]
    assert (text["source"], text["rank"], text["words"]) == ("text", 1, ["Pizza", "receipts"])
    assert (text["where"], text["line"], text["kept"]) == (["ocr", "tags", "name"], "RECEIPT", True)
    assert (tags["source"], tags["kept"], tags["why"]) == ("tags", False, "tagged pizza, 50% of what was asked")
    [text] = second["reasons"]
    assert (text["rank"], text["words"], text["kept"]) == (2, ["receipts"], False)
    assert "other photos have every word" in text["why"]
    assert "text #1" in run(*arguments).text
    assert "reasons" not in run("search", "pizza", "--mode", "keyword", "--format", "json").json[0]


# --- meaning --------------------------------------------------------------------------------------------------------


def test_without_vectors_the_text_is_searched_and_that_is_said_once(run: Shell) -> None:
    save(run, photo("a.jpg", ocr=lines("word")))
    ran = run("search", "word", "--format", "paths")
    assert ran.out == b"/p/a.jpg\n"
    assert ran.err.count("\n") == 1
    assert "photoindex models pull" in ran.err
    assert "Searching the text only" in ran.err
    assert run("search", "word", "--mode", "semantic", code=23).out == b""
    assert run("search", "word", "--mode", "keyword").err == ""


SCENES = ("a red circle", "a green tree", "a blue car", "a pizza", "a fish on the sea", "a house in the snow")


@pytest.fixture(scope="module")
def meaningful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A library of drawn scenes with the vectors and tags of the small OpenCLIP model; the names tell nothing."""
    pytest.importorskip("scenes", reason="scripts/scenes.py draws what the small model knows")
    from scenes import render_scene

    folder = tmp_path_factory.mktemp("meaning")
    (folder / "photos").mkdir()
    for n, words in enumerate(SCENES):
        render_scene(words, seed=n).save(folder / "photos" / f"{n}.png")
    with pytest.MonkeyPatch.context() as patch:
        run = shell(folder / "home", patch)
        install_tiny_clip(run)
        steps = ("--steps", "metadata,embedding,tags", "--profile", "tiny")
        assert run("scan", folder / "photos", *steps, "--format", "json").json["steps"]["embedding"] == {"done": 6}
        yield run


def scenes_found(run: Shell, *arguments: str) -> list[str]:
    return [SCENES[int(Path(hit["path"]).stem)] for hit in run("search", *arguments, "--format", "json").json]


@pytest.mark.parametrize("scene", SCENES)
def test_a_picture_is_found_by_what_it_shows(meaningful: Shell, scene: str) -> None:
    assert scenes_found(meaningful, scene, "--mode", "semantic")[0] == scene


def test_searching_by_meaning_ranks_every_photo_and_obeys_filters(meaningful: Shell) -> None:
    assert sorted(scenes_found(meaningful, "a blue car", "--mode", "semantic", "--all")) == sorted(SCENES)
    assert scenes_found(meaningful, "a blue car", "--mode", "semantic") == ["a blue car"]
    assert scenes_found(meaningful, "a blue car", "--mode", "semantic", "--all", "--after", "2099") == []
    assert scenes_found(meaningful, "a blue car", "--mode", "semantic", "--all", "--tag", "pizza") == ["a pizza"]


def test_searching_by_meaning_loads_no_torch(meaningful: Shell) -> None:
    script = "import atexit, sys\natexit.register(lambda: print([m for m in ('torch', 'lancedb') if m in sys.modules]))"
    process = meaningful.start("search", "a blue car", "--format", "paths", script=script)
    out, err = process.communicate()
    assert out.splitlines()[0].endswith(b"/2.png"), err.decode()
    assert out.splitlines()[-1] == b"[]"


def test_a_hybrid_search_joins_words_and_meaning_and_says_which_gave_what(meaningful: Shell) -> None:
    hits = meaningful("search", "pizza", "--explain", "--all", "--format", "json").json
    assert Path(hits[0]["path"]).name == "3.png"
    assert {reason["source"] for reason in hits[0]["reasons"]} == {"text", "tags", "vector"}
    assert all(reason["kept"] and reason["rank"] == 1 for reason in hits[0]["reasons"])
    assert (hits[0]["kept"], hits[0]["match"], hits[1]["kept"]) == (True, 1.0, False)
    assert {reason["source"] for reason in hits[1]["reasons"]} == {"vector"}
    assert len(hits) == len(SCENES)


def test_the_tags_of_a_photo_are_searched_and_shown(meaningful: Shell) -> None:
    assert scenes_found(meaningful, "--tag", "tree") == ["a green tree"]
    shown = meaningful("search", "--tag", "tree", "--format", "json").json[0]["photo"]
    assert meaningful("show", shown, "--format", "json").json["tags"][0]["name"] == "tree"


@pytest.mark.slow
def test_another_model_is_searched_once_its_vectors_are_complete(meaningful: Shell) -> None:
    """The same weights under another name stand for a better model that the user changes to."""
    registry = meaningful.home / "models.toml"
    blocks = registry.read_text()
    registry.write_text(
        blocks
        + blocks.replace("tiny-clip]", "better-clip]")
        .replace("profiles.tiny]", "profiles.next]")
        .replace('embedding = "tiny-clip"', 'embedding = "better-clip"')
        .replace('tags = "zero-shot-tiny-clip"', 'tags = "zero-shot-better-clip"')
    )
    photos = meaningful.home.parent / "photos"
    arguments = ("scan", photos, "--steps", "embedding", "--profile", "next")
    try:
        meaningful(*arguments, "--limit", "2")
        assert dict(meaningful.rows("SELECT * FROM settings"))["embedding_model"] == "tiny-clip"
        assert scenes_found(meaningful, "a blue car", "--mode", "semantic")[0] == "a blue car"
        meaningful(*arguments)
        assert dict(meaningful.rows("SELECT * FROM settings"))["embedding_model"] == "better-clip"
        assert scenes_found(meaningful, "a blue car", "--mode", "semantic")[0] == "a blue car"
    finally:
        registry.write_text(blocks)
